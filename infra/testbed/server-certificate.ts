import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificate } from '#runtime/certificate-maker.ts'

/** A certificate with its key, in files for a server under test. */
export interface ServerCertificate {
  readonly certFile: string
  readonly keyFile: string
  /** Of the authority that signed it, in PEM. */
  readonly ca: string
}

const loopbackHosts = ['127.0.0.1', 'localhost']

/** @param hosts left out: of loopback */
export function writeServerCertificate(folder: string, hosts: readonly string[] = loopbackHosts): ServerCertificate {
  const nowMs = Date.now()
  const times = { notBeforeMs: nowMs - 3_600_000, notAfterMs: nowMs + 86_400_000 }
  const issuer = makeCertificate({ commonName: 'authority of tests', authority: true, ...times })
  const server = makeCertificate({
    commonName: 'server',
    hosts,
    use: 'server',
    issuer,
    ...times,
  })
  const written = (name: string, pem: string): string => {
    const file = join(folder, name)
    writeFileSync(file, pem, { mode: 0o600 })
    return file
  }
  const certFile = written('server.pem', server.certificatePem)
  return { certFile, keyFile: written('server.key', server.privateKeyPem), ca: issuer.certificatePem }
}
