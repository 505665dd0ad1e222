import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import type { Authentication } from '#control/identities/identity.ts'
import { newVerificationCode, provesPossession } from '#control/trust/possession.ts'
import type { CertificateAuthority } from '#control/trust/trust.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { certificateChain, certificateFrom, commonName } from '#runtime/certificates.ts'
import { issuingAuthority, matchingThumbprint } from './certificates.ts'

const hourMs = 3_600_000
const nowMs = Date.now()
const valid = { notBeforeMs: nowMs - hourMs, notAfterMs: nowMs + hourMs }
const root = makeCertificate({ commonName: 'root', authority: true, ...valid })
const middle = makeCertificate({ commonName: 'middle', authority: true, issuer: root, ...valid })
const leaf = makeCertificate({ commonName: 'device-1', issuer: middle, use: 'client', ...valid })

function authority(certificate: string, verified = true): CertificateAuthority {
  return { name: 'ca', certificate, verified, verificationCode: undefined }
}

const read = ({ certificatePem }: { certificatePem: string }) => new X509Certificate(certificatePem)

describe('client certificates', () => {
  test('a leaf leads over an intermediate to a verified authority, also when that is the intermediate itself', () => {
    const chain = [read(leaf), read(middle)]
    expect(issuingAuthority(chain, [authority(root.certificatePem)], nowMs)?.name).toBe('ca')
    expect(issuingAuthority([read(leaf)], [authority(middle.certificatePem)], nowMs)?.name).toBe('ca')
    expect(
      issuingAuthority([read(leaf), read(root), read(middle)], [authority(root.certificatePem)], nowMs)?.name,
    ).toBe('ca')
  })

  test('a chain with a gap, an unverified or other authority, or nothing registered leads nowhere', () => {
    const namesake = makeCertificate({ commonName: 'root', authority: true, ...valid })
    expect(issuingAuthority([read(leaf)], [authority(root.certificatePem)], nowMs)).toBe(undefined)
    expect(issuingAuthority([read(leaf), read(middle)], [authority(root.certificatePem, false)], nowMs)).toBe(undefined)
    expect(issuingAuthority([read(leaf), read(middle)], [authority(namesake.certificatePem)], nowMs)).toBe(undefined)
    expect(issuingAuthority([read(leaf), read(middle)], [authority('not a certificate')], nowMs)).toBe(undefined)
    expect(issuingAuthority([read(leaf), read(middle), read(root)], [], nowMs)).toBe(undefined)
    expect(issuingAuthority([], [authority(root.certificatePem)], nowMs)).toBe(undefined)
  })

  test('a device cannot issue for another device, nor a server certificate pass for a client', () => {
    const forged = makeCertificate({ commonName: 'device-2', issuer: leaf, use: 'client', ...valid })
    expect(issuingAuthority([read(forged), read(leaf), read(middle)], [authority(root.certificatePem)], nowMs)).toBe(
      undefined,
    )
    const server = makeCertificate({ commonName: 'device-1', issuer: root, use: 'server', ...valid })
    expect(issuingAuthority([read(server)], [authority(root.certificatePem)], nowMs)).toBe(undefined)
  })

  test('no certificate of the chain may be out of its time', () => {
    const times = [nowMs - 2 * hourMs, nowMs + 2 * hourMs]
    for (const atMs of times) {
      expect(issuingAuthority([read(leaf), read(middle)], [authority(root.certificatePem)], atMs)).toBe(undefined)
    }
    const oldMiddle = makeCertificate({
      commonName: 'middle',
      authority: true,
      issuer: root,
      notBeforeMs: 0,
      notAfterMs: nowMs - 1_000,
    })
    const child = makeCertificate({ commonName: 'device-1', issuer: oldMiddle, ...valid })
    expect(issuingAuthority([read(child), read(oldMiddle)], [authority(root.certificatePem)], nowMs)).toBe(undefined)
  })

  test('thumbprints of SHA-1 and SHA-256 match either slot while the leaf is valid', () => {
    const certificate = read(leaf)
    const slots = (primary: string | undefined, secondary: string | undefined): Authentication => ({
      kind: 'selfSigned',
      primaryKey: undefined,
      secondaryKey: undefined,
      primaryThumbprint: primary,
      secondaryThumbprint: secondary,
    })
    const sha1 = certificate.fingerprint.replaceAll(':', '')
    const sha256 = certificate.fingerprint256.replaceAll(':', '')
    expect(matchingThumbprint(certificate, slots(sha1, undefined), nowMs)).toBe(sha1)
    expect(matchingThumbprint(certificate, slots('A'.repeat(40), sha256), nowMs)).toBe(sha256)
    expect(matchingThumbprint(certificate, slots('A'.repeat(40), undefined), nowMs)).toBe(undefined)
    expect(matchingThumbprint(certificate, slots(sha1, sha256), nowMs + 2 * hourMs)).toBe(undefined)
  })

  test('the common name is the whole id, whatever characters it holds', () => {
    for (const name of ['plain', "a,b=c+d;#'$:@!*()", 'device/module']) {
      expect(commonName(read(makeCertificate({ commonName: name, ...valid })))).toBe(name)
    }
  })

  test('possession of an authority is proven by a certificate of its code, and by nothing else', () => {
    const pending = { ...authority(root.certificatePem, false), verificationCode: newVerificationCode() }
    const proof = (commonNameText: string, issuer: typeof root) =>
      read(makeCertificate({ commonName: commonNameText, issuer, ...valid }))
    expect(provesPossession(pending, proof(pending.verificationCode, root), nowMs)).toBe(true)
    expect(provesPossession(pending, proof(pending.verificationCode, middle), nowMs)).toBe(false)
    expect(provesPossession(pending, proof('other', root), nowMs)).toBe(false)
    expect(provesPossession(authority(root.certificatePem), proof('', root), nowMs)).toBe(false)
  })

  test('base64 DER is read as PEM is, and anything else is nothing', () => {
    const der = read(leaf).raw.toString('base64')
    expect(certificateFrom(der)?.fingerprint256).toBe(read(leaf).fingerprint256)
    for (const text of ['', 'x', '-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----']) {
      expect(certificateFrom(text)).toBe(undefined)
    }
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'the chain that a %s client sends arrives as it was sent',
    async (version) => {
      const server = makeCertificate({
        commonName: 'localhost',
        hosts: ['localhost', '127.0.0.1'],
        use: 'server',
        issuer: root,
        ...valid,
      })
      const listener = createServer({
        cert: server.certificatePem,
        key: server.privateKeyPem,
        requestCert: true,
        rejectUnauthorized: false,
      })
      listener.listen(0, '127.0.0.1')
      await once(listener, 'listening')
      const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>
      const client = connect({
        port: (listener.address() as AddressInfo).port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: root.certificatePem,
        cert: leaf.certificatePem + middle.certificatePem,
        key: leaf.privateKeyPem,
        minVersion: version,
        maxVersion: version,
      })
      await once(client, 'secureConnect')
      const [socket] = await accepted
      const chain = certificateChain(socket.getPeerX509Certificate())
      expect(chain.map(commonName)).toEqual(['device-1', 'middle'])
      expect(issuingAuthority(chain, [authority(root.certificatePem)], nowMs)?.name).toBe('ca')
      client.destroy()
      socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  )
})
