import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** Leaf first, then each issuer that the other side sent. Takes what `TLSSocket.getPeerX509Certificate()` gives. */
export function certificateChain(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = []
  for (let next = leaf; next && chain.length < limits.certificateChainMax; next = next.issuerCertificate) {
    // A self-signed certificate is its own issuer.
    if (chain.at(-1)?.fingerprint256 === next.fingerprint256) break
    chain.push(next)
  }
  return chain
}

/** Reads PEM or base64 DER; `undefined` if it is neither. */
export function certificateFrom(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text.includes('-----BEGIN') ? text : Buffer.from(text, 'base64'))
  } catch {
    return undefined
  }
}

/** The one common name of the subject; `undefined`: none or several. */
export function commonName(certificate: X509Certificate): string | undefined {
  const name: unknown = certificate.toLegacyObject().subject?.CN
  return typeof name === 'string' ? name : undefined
}

export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

export function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  return Date.parse(certificate.validFrom) <= nowMs && nowMs <= Date.parse(certificate.validTo)
}

/** PEM of an authority that a setting names the file of; `undefined` where it names none. @throws TLS_FILES_INVALID */
export function authorityIn(file: string | undefined, setting: string): string | undefined {
  if (file === undefined) return undefined
  try {
    const pem = readFileSync(file, 'utf8')
    new X509Certificate(pem)
    return pem
  } catch (cause) {
    throw new PenstockError('TLS_FILES_INVALID', `${setting}=${file} is no certificate: ${String(cause)}`, { cause })
  }
}
