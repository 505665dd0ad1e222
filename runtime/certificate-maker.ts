/**
 * Makes X.509 v3 certificates (RFC 5280) with keys on NIST curves: for development authorities, for tests, never for a public one.
 *
 *   Certificate = SEQUENCE { TBSCertificate, ecdsa-with-SHA256, BIT STRING signature }
 *   TBSCertificate = SEQUENCE { [0] version 2, serial, algorithm, issuer, validity, subject, public key, [3] extensions }
 */
import { createSign, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface CertificateRequest {
  readonly commonName: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** May issue others. */
  readonly authority?: boolean
  /** `undefined`: signs itself. */
  readonly issuer?: IssuedCertificate | undefined
  /** Names and IPv4 addresses of a server. */
  readonly hosts?: readonly string[]
  readonly use?: 'client' | 'server'
  /** Left out: P-256. */
  readonly curve?: 'P-256' | 'P-384'
  /** Authorities that may follow below this one. */
  readonly pathLength?: number
  /** Common names, and hosts with all below them, that certificates below this one may or may not have. */
  readonly permitted?: NameConstraint
  readonly excluded?: NameConstraint
}

export interface NameConstraint {
  readonly commonNames?: readonly string[]
  readonly hosts?: readonly string[]
}

export interface IssuedCertificate {
  readonly commonName: string
  readonly privateKey: KeyObject
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/** A new key pair and its certificate. */
export function makeCertificate(request: CertificateRequest): IssuedCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: request.curve ?? 'P-256' })
  const { commonName, issuer } = request
  const signed = sequence(
    element(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    ecdsaWithSha256,
    nameOf(issuer?.commonName ?? commonName),
    sequence(time(request.notBeforeMs), time(request.notAfterMs)),
    nameOf(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa3, sequence(...extensionsOf(request))),
  )
  const signature = createSign('sha256')
    .update(signed)
    .sign(issuer?.privateKey ?? privateKey)
  const der = sequence(signed, ecdsaWithSha256, bitString(signature))
  return {
    commonName,
    privateKey,
    certificatePem: pem('CERTIFICATE', der),
    privateKeyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}

function extensionsOf({ authority, hosts, use, pathLength, permitted, excluded }: CertificateRequest): Buffer[] {
  const basic = [
    ...(authority ? [element(0x01, Buffer.from([0xff]))] : []),
    ...(pathLength === undefined ? [] : [integer(Buffer.from([pathLength]))]),
  ]
  const extensions = [extension('2.5.29.19', true, sequence(...basic))]
  const subtrees = [...subtreesOf(0xa0, permitted), ...subtreesOf(0xa1, excluded)]
  if (subtrees.length > 0) extensions.push(extension('2.5.29.30', true, sequence(...subtrees)))
  if (authority) extensions.push(extension('2.5.29.15', true, element(0x03, Buffer.from([1, 0x06]))))
  if (use) {
    extensions.push(
      extension('2.5.29.37', false, sequence(oid(use === 'client' ? '1.3.6.1.5.5.7.3.2' : '1.3.6.1.5.5.7.3.1'))),
    )
  }
  if (hosts && hosts.length > 0) {
    const names = hosts.map((host) =>
      isIPv4(host)
        ? element(0x87, Buffer.from(host.split('.').map(Number)))
        : element(0x82, Buffer.from(host, 'latin1')),
    )
    extensions.push(extension('2.5.29.17', false, sequence(...names)))
  }
  return extensions
}

function subtreesOf(tag: number, { commonNames = [], hosts = [] }: NameConstraint = {}): Buffer[] {
  const bases = [
    ...commonNames.map((name) => element(0xa4, nameOf(name))),
    ...hosts.map((host) => element(0x82, Buffer.from(host, 'latin1'))),
  ]
  return bases.length === 0 ? [] : [element(tag, Buffer.concat(bases.map((base) => sequence(base))))]
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [element(0x01, Buffer.from([0xff]))] : []
  return sequence(oid(id), ...flag, element(0x04, value))
}

function nameOf(commonName: string): Buffer {
  return sequence(element(0x31, sequence(oid('2.5.4.3'), element(0x0c, Buffer.from(commonName)))))
}

/** RFC 5280 section 4.1.2.5: UTCTime until 2049, GeneralizedTime from then on. */
function time(atMs: number): Buffer {
  const text = `${new Date(atMs).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
  return text < '2050' ? element(0x17, Buffer.from(text.slice(2))) : element(0x18, Buffer.from(text))
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes: number[] = [first * 40 + second]
  for (const part of rest) {
    const groups = [part & 0x7f]
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return element(0x06, Buffer.from(bytes))
}

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'))

function integer(bytes: Buffer): Buffer {
  return element(0x02, bytes)
}

function bitString(bytes: Buffer): Buffer {
  return element(0x03, Buffer.concat([Buffer.from([0]), bytes]))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts))
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const size = Buffer.alloc(4)
  size.writeUInt32BE(length)
  const bytes = size.subarray(size.findIndex((byte) => byte !== 0))
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length]), bytes, content])
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
