/**
 * `penstock dev-ca`: what is needed to try TLS and client certificates on one machine or a test network. Not for production: the
 * authority's key lies beside the certificates.
 *
 *   <dataDir>/tls/ca.pem  ca.key              the authority; made once and kept
 *                 server.pem  server.key      for the hub's names, localhost and 127.0.0.1; made anew each time
 *                 <device>.pem  <device>.key  for each device asked for; made once and kept
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CertificateRequest, type IssuedCertificate, makeCertificate } from '#runtime/certificate-maker.ts'
import { makePrivateFolder, replacePrivateFile } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'
import { isIdentityId } from '#schemas/identity-id.ts'
import { dayMs } from '#schemas/time.ts'

export interface DevelopmentCaOptions {
  readonly dataDir: string
  /** Names that the server's certificate is for, beside localhost and 127.0.0.1. */
  readonly hostNames: readonly string[]
  /** Device ids, or `device/module`; each gets a certificate of this common name. */
  readonly deviceIds: readonly string[]
  /** Of the server's key; left out: P-256. A client of TLS 1.2 must have it, and some have secp384r1 (P-384) alone. */
  readonly curve?: 'P-256' | 'P-384'
  readonly nowMs: number
}

/** Paths of what was made or kept. */
export interface DevelopmentCa {
  readonly folder: string
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
  readonly devices: readonly DeviceCertificate[]
}

export interface DeviceCertificate {
  readonly id: string
  readonly certFile: string
  readonly keyFile: string
  /** SHA-256, as the registry takes it. */
  readonly thumbprint: string
}

const authorityDays = 3_650
/** Some clients refuse server certificates that are valid for longer. */
const leafDays = 397

/** Makes what is missing, all of it readable by its owner only. @throws CONTROL_COMMAND_INVALID for an id that cannot be a file */
export function makeDevelopmentCa({
  dataDir,
  hostNames,
  deviceIds,
  curve,
  nowMs,
}: DevelopmentCaOptions): DevelopmentCa {
  for (const id of deviceIds) checkId(id)
  const folder = join(dataDir, 'tls')
  makePrivateFolder(folder)
  // An hour ago: clocks of devices differ.
  const times = (days: number) => ({ notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + days * dayMs })
  const authority = keptOrMade(folder, 'ca', {
    commonName: 'Penstock development CA',
    authority: true,
    ...times(authorityDays),
  })
  const hosts = [...new Set([...hostNames, 'localhost', '127.0.0.1'])]
  const server = makeCertificate({
    commonName: hosts[0] ?? 'localhost',
    hosts,
    use: 'server',
    issuer: authority,
    ...(curve === undefined ? {} : { curve }),
    ...times(leafDays),
  })
  write(folder, 'server', server)
  const devices = deviceIds.map((id) => {
    const name = fileNameOf(id)
    const made = keptOrMade(folder, name, { commonName: id, use: 'client', issuer: authority, ...times(leafDays) })
    const thumbprint = new X509Certificate(made.certificatePem).fingerprint256.replaceAll(':', '')
    return { id, certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`), thumbprint }
  })
  const file = (name: string) => join(folder, name)
  return { folder, caFile: file('ca.pem'), certFile: file('server.pem'), keyFile: file('server.key'), devices }
}

/** What to do next, as commands that work as they stand. */
export function developmentCaText({ caFile, certFile, keyFile, devices }: DevelopmentCa, hostName: string): string {
  const deviceId = devices[0]?.id ?? 'thermostat-1'
  const publish = `mosquitto_pub -h ${hostName} -p 8883 --cafile ${caFile} -q 1 -i ${deviceId} -t ${telemetryPath(deviceId)}/ -m '{"temperature":21.5}'`
  const withKey = `
  Then a device with a key connects over TLS:

    npx penstock devices create ${deviceId}
    ${publish} -u ${deviceId} -P '<its primary key>'
`
  const withCertificate = devices.map(
    ({ id, certFile: cert, keyFile: key, thumbprint }) => `
  And ${id} with its certificate:

    npx penstock devices create ${id} --thumbprint ${thumbprint}
    mosquitto_pub -h ${hostName} -p 8883 --cafile ${caFile} --cert ${cert} --key ${key} -q 1 -i ${id} -t ${telemetryPath(id.replace('/', '/modules/'))}/ -m '{"temperature":21.5}'
`,
  )
  return `
  A development certificate authority; devices must trust ${caFile}. Start with TLS on 8883 (MQTT) and 8443 (HTTPS, WebSocket):

    PENSTOCK_IDENTITIES=required PENSTOCK_TLS_CERT=${certFile} PENSTOCK_TLS_KEY=${keyFile} npm start
${devices.length === 0 ? withKey : withCertificate.join('')}
  A running installation takes a renewed certificate within seconds, without a restart: run this command again.
`
}

function keptOrMade(folder: string, name: string, request: CertificateRequest): IssuedCertificate {
  const certFile = join(folder, `${name}.pem`)
  const keyFile = join(folder, `${name}.key`)
  if (existsSync(certFile) && existsSync(keyFile)) {
    const certificatePem = readFileSync(certFile, 'utf8')
    const privateKeyPem = readFileSync(keyFile, 'utf8')
    const privateKey = createPrivateKey(privateKeyPem)
    return { commonName: request.commonName, privateKey, certificatePem, privateKeyPem }
  }
  const made = makeCertificate(request)
  write(folder, name, made)
  return made
}

function write(folder: string, name: string, { certificatePem, privateKeyPem }: IssuedCertificate): void {
  // The certificate comes last: whoever watches it finds the key that belongs to it.
  replacePrivateFile(join(folder, `${name}.key`), privateKeyPem)
  replacePrivateFile(join(folder, `${name}.pem`), certificatePem)
}

const ownNames = new Set(['ca', 'server', '.', '..'])

function checkId(id: string): void {
  const parts = id.split('/')
  if (parts.length <= 2 && parts.every(isIdentityId) && !ownNames.has(id)) return
  throw new PenstockError('CONTROL_COMMAND_INVALID', `${JSON.stringify(id)} cannot name a device of the development CA`)
}

/** A module's file must lie in the folder too. */
function fileNameOf(id: string): string {
  return id.replace('/', '~')
}
