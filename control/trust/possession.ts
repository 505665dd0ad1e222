/** How the owner of a certificate authority proves to hold its private key. */
import { randomBytes, type X509Certificate } from 'node:crypto'
import { certificateFrom, commonName, isIssuedBy, isValidAt } from '#runtime/certificates.ts'
import type { CertificateAuthority } from './trust.ts'

/** What the owner signs into the common name of a certificate. */
export function newVerificationCode(): string {
  return randomBytes(24).toString('hex').toUpperCase()
}

/** True if `proof` has the code as its common name and was signed by the authority's key. */
export function provesPossession(authority: CertificateAuthority, proof: X509Certificate, nowMs: number): boolean {
  const issuer = certificateFrom(authority.certificate)
  return (
    issuer !== undefined &&
    authority.verificationCode !== undefined &&
    commonName(proof)?.toUpperCase() === authority.verificationCode &&
    isValidAt(proof, nowMs) &&
    isIssuedBy(proof, issuer)
  )
}
