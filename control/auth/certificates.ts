/**
 * Who a client certificate speaks for. The TLS handshake has proven that the client holds the leaf's private key, and nothing
 * else: issuers are not checked there, because self-signed leaves are legal.
 */
import type { X509Certificate } from 'node:crypto'
import type { Authentication } from '#control/identities/identity.ts'
import type { CertificateAuthority } from '#control/trust/trust.ts'
import { certificateFrom, isIssuedBy, isValidAt } from '#runtime/certificates.ts'
import { limits } from '#schemas/limits.ts'
import { isPathAllowed } from './certificate-path.ts'

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

/** RFC 5280 section 4.2.1.12: without the extension any use; else client authentication or any. */
function isForClients(leaf: X509Certificate): boolean {
  const uses: readonly string[] | undefined = leaf.keyUsage
  return !uses || uses.includes('1.3.6.1.5.5.7.3.2') || uses.includes('2.5.29.37.0')
}

function plainFingerprint(text: string): string {
  return text.replaceAll(':', '')
}
