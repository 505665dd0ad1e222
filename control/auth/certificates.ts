/**
 * Who a client certificate speaks for. The TLS handshake has proven that the client holds the leaf's private key, and nothing
 * else: issuers are not checked there, because self-signed leaves are legal.
 */
import { randomBytes, X509Certificate } from 'node:crypto'
import type { Authentication } from '#control/identities/identity.ts'
import { limits } from '#schemas/limits.ts'
import type { CertificateAuthority } from '../registry.ts'
import { isPathAllowed } from './certificate-path.ts'

/** Leaf first, then each issuer that the client sent. Takes what `TLSSocket.getPeerX509Certificate()` gives. */
export function certificateChain(leaf: X509Certificate | undefined): X509Certificate[] {
  const chain: X509Certificate[] = []
  for (let next = leaf; next && chain.length < limits.certificateChainMax; next = next.issuerCertificate) {
    // A self-signed certificate is its own issuer.
    if (chain.at(-1)?.fingerprint256 === next.fingerprint256) break
    chain.push(next)
  }
  return chain
}

/** The registered thumbprint that the leaf has, by SHA-1 or SHA-256; `undefined`: none, or the leaf is not valid now. */
export function matchingThumbprint(
  leaf: X509Certificate,
  { primaryThumbprint, secondaryThumbprint }: Authentication,
  nowMs: number,
): string | undefined {
  if (!isValidAt(leaf, nowMs)) return undefined
  const own = [plainFingerprint(leaf.fingerprint), plainFingerprint(leaf.fingerprint256)]
  return [primaryThumbprint, secondaryThumbprint].find((registered) => registered && own.includes(registered))
}

/**
 * The verified authority that the leaf's chain ends at; `undefined`: none, some certificate is not valid now, an issuer is no
 * CA, an authority allows fewer of them or other names below it, or the leaf is not meant for clients.
 */
export function issuingAuthority(
  chain: readonly X509Certificate[],
  authorities: readonly CertificateAuthority[],
  nowMs: number,
): CertificateAuthority | undefined {
  const [leaf] = chain
  if (!leaf || !isForClients(leaf)) return undefined
  const anchors = authorities.filter(({ verified }) => verified).map(anchorOf)
  let current: X509Certificate = leaf
  const path = [leaf]
  for (let depth = 1; depth <= limits.certificateChainMax; depth++) {
    if (!isValidAt(current, nowMs)) return undefined
    for (const { certificate, authority } of anchors) {
      if (!certificate || !isValidAt(certificate, nowMs) || !isIssuedBy(current, certificate)) continue
      if (isPathAllowed([...path, certificate])) return authority
    }
    const issuer = chain.slice(depth).find((candidate) => candidate.ca && isIssuedBy(current, candidate))
    if (!issuer) return undefined
    current = issuer
    path.push(issuer)
  }
  return undefined
}

function anchorOf(authority: CertificateAuthority): {
  certificate: X509Certificate | undefined
  authority: CertificateAuthority
} {
  return { certificate: certificateFrom(authority.certificate), authority }
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  return Date.parse(certificate.validFrom) <= nowMs && nowMs <= Date.parse(certificate.validTo)
}

/** RFC 5280 section 4.2.1.12: without the extension any use; else client authentication or any. */
function isForClients(leaf: X509Certificate): boolean {
  const uses: readonly string[] | undefined = leaf.keyUsage
  return !uses || uses.includes('1.3.6.1.5.5.7.3.2') || uses.includes('2.5.29.37.0')
}

/** The one common name of the subject; `undefined`: none or several. */
export function commonName(certificate: X509Certificate): string | undefined {
  const name: unknown = certificate.toLegacyObject().subject?.CN
  return typeof name === 'string' ? name : undefined
}

/** Reads PEM or base64 DER; `undefined` if it is neither. */
export function certificateFrom(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text.includes('-----BEGIN') ? text : Buffer.from(text, 'base64'))
  } catch {
    return undefined
  }
}

/** What the owner of an authority signs into the common name of a certificate to prove that it holds the private key. */
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

function plainFingerprint(text: string): string {
  return text.replaceAll(':', '')
}
