/**
 * Decides which enrolment a device may register by. Pure: no look-up, no clock.
 *
 *   an enrolment of its own ─▶ that one alone        none ─▶ the first group whose key or authority proves it
 *
 * A device that proves nothing learns nothing: unknown and wrong take the same way, and have the same answer.
 */
import type { X509Certificate } from 'node:crypto'
import { type Refused, refusal } from '#control/auth/auth.ts'
import { issuingAuthority } from '#control/auth/certificates.ts'
import { expiresAtMsOf, parseSasToken, type SasToken, scopeCovers, signingKeyOf } from '#control/auth/sas-token.ts'
import type { Authentication } from '#control/identities/identity.ts'
import type { JsonObject } from '#control/rest/json-body.ts'
import type { CertificateAuthority } from '#control/trust/trust.ts'
import { certificateFrom, commonName, isValidAt } from '#runtime/certificates.ts'
import { limits } from '#schemas/limits.ts'
import { certificateInfo } from './attestation-document.ts'
import { derivedKey } from './derived-key.ts'
import { type Attestation, type Enrolment, idKey, type Tpm, type X509 } from './enrolment.ts'
import type { TpmKeys } from './provisioning.ts'
import { tpmChallenge, tpmPublicFrom } from './tpm-challenge.ts'

/** Who says what it is. */
export interface Evidence {
  readonly registrationId: string
  readonly token: string | undefined
  readonly certificates: readonly string[]
}

/** Against which it is judged. */
export interface AttestationRules {
  readonly idScope: string
  readonly clockSkewMs: number
  readonly nowMs: number
  /** Those whose owners have proven to hold them, and others. */
  readonly authorities: readonly CertificateAuthority[]
}

export interface Attested {
  readonly enrolment: Enrolment
  /** How the hub is to know the device. */
  readonly authentication: Authentication
  /** What its registration says of it. */
  readonly proof: JsonObject
}

/** @param groups the likeliest first */
export function attest(
  evidence: Evidence,
  individual: Enrolment | undefined,
  groups: readonly Enrolment[],
  rules: AttestationRules,
): Attested | Refused {
  const attested =
    evidence.token === undefined
      ? attestCertificate(evidence, individual, groups, rules)
      : attestToken(evidence.registrationId, evidence.token, individual, groups, rules)
  if ('admitted' in attested || attested.enrolment.isEnabled) return attested
  return refusal('AUTH_IDENTITY_DISABLED', `the enrolment ${attested.enrolment.id} is disabled`)
}

/** Stands for the enrolment that there is not, so that its absence takes as long. */
const nobody: Attestation = {
  kind: 'symmetricKey',
  primaryKey: Buffer.alloc(32).toString('base64'),
  secondaryKey: Buffer.alloc(32).toString('base64'),
}

function attestToken(
  registrationId: string,
  text: string,
  individual: Enrolment | undefined,
  groups: readonly Enrolment[],
  { idScope, clockSkewMs, nowMs }: AttestationRules,
): Attested | Refused {
  const token = parseSasToken(text)
  if (token === undefined || token.policyName !== undefined)
    return refusal('AUTH_CREDENTIALS_MALFORMED', 'no SAS token of a device')
  const own = keysOf(individual?.attestation ?? nobody, registrationId)
  const isOwn = signingKeyOf(token, own) !== undefined
  const group = isOwn ? undefined : groupOfToken(token, registrationId, groups)
  const found = isOwn ? individual && symmetric(individual, own) : individual === undefined ? group : undefined
  if (found === undefined)
    return refusal('AUTH_SIGNATURE_WRONG', `no enrolment's key made the token of ${registrationId}`)
  if (!scopeCovers(token, [idScope.toLowerCase()], ['registrations', registrationId]))
    return refusal('AUTH_SCOPE_MISMATCH', `the token is not for ${idScope}/registrations/${registrationId}`)
  if (expiresAtMsOf(token, clockSkewMs) <= nowMs) return refusal('AUTH_TOKEN_EXPIRED', 'the token has expired')
  return found
}

function groupOfToken(token: SasToken, registrationId: string, groups: readonly Enrolment[]): Attested | undefined {
  // Ids have no case, and the key is made from a spelling: that of the device, or the one that ids are kept under.
  for (const id of new Set([registrationId, idKey(registrationId)]))
    for (const group of groups) {
      const derived = keysOf(group.attestation, id).map((key) => derivedKey(key, id))
      if (signingKeyOf(token, derived) !== undefined) return symmetric(group, derived)
    }
  return undefined
}

function keysOf(attestation: Attestation, registrationId: string): readonly string[] {
  switch (attestation.kind) {
    case 'symmetricKey':
      return [attestation.primaryKey, attestation.secondaryKey]
    case 'tpm':
      return [tpmKey(attestation, registrationId)]
    case 'x509':
      return []
  }
}

/** What the TPM of a device signs with: always the same, so that nothing has to be kept between its two requests. */
function tpmKey({ secret }: Tpm, registrationId: string): string {
  return derivedKey(secret, idKey(registrationId))
}

/**
 * The key for the TPM of a device that shows its public keys, wrapped; base64.
 * @returns `undefined`: the enrolment is of no TPM with this endorsement key, or disabled
 */
export function challengeFor(
  individual: Enrolment | undefined,
  registrationId: string,
  { endorsementKey, storageRootKey }: TpmKeys,
): string | undefined {
  if (individual?.attestation.kind !== 'tpm' || !individual.isEnabled) return undefined
  const { attestation } = individual
  if (attestation.endorsementKey !== endorsementKey) return undefined
  const [endorsement, root] = [endorsementKey, attestation.storageRootKey ?? storageRootKey].map(tpmPublicFrom)
  if (endorsement === undefined || root === undefined) return undefined
  return tpmChallenge(endorsement, root, Buffer.from(tpmKey(attestation, registrationId), 'base64'))
}

function symmetric(enrolment: Enrolment, [primaryKey, secondaryKey]: readonly string[]): Attested {
  return {
    enrolment,
    authentication: { ...noProof, kind: 'sas', primaryKey, secondaryKey },
    proof: enrolment.attestation.kind === 'tpm' ? { tpm: {} } : { symmetricKey: groupIdOf(enrolment) },
  }
}

const noProof = {
  primaryKey: undefined,
  secondaryKey: undefined,
  primaryThumbprint: undefined,
  secondaryThumbprint: undefined,
} as const

function groupIdOf({ kind, id }: Enrolment): JsonObject {
  return kind === 'group' ? { enrollmentGroupId: id } : {}
}

/** The handshake has proven that the device holds the key of its leaf, and nothing else. */
function attestCertificate(
  { registrationId, certificates }: Evidence,
  individual: Enrolment | undefined,
  groups: readonly Enrolment[],
  rules: AttestationRules,
): Attested | Refused {
  const chain = chainFrom(certificates)
  const [leaf] = chain
  if (leaf === undefined) return refusal('AUTH_CREDENTIALS_MISSING', 'neither a token nor a certificate was sent')
  if (idKey(commonName(leaf) ?? '') !== idKey(registrationId))
    return refusal('AUTH_CERTIFICATE_REFUSED', `the certificate's common name is not ${registrationId}`)
  for (const enrolment of individual === undefined ? groups : [individual]) {
    const signer = signerOf(chain, enrolment.attestation, rules)
    if (signer !== undefined) return certified(enrolment, leaf, signer)
  }
  return refusal('AUTH_CERTIFICATE_REFUSED', `no enrolment knows the certificate of ${registrationId}`)
}

function certified(enrolment: Enrolment, leaf: X509Certificate, signer: string): Attested {
  const signing = certificateFrom(signer)
  return {
    enrolment,
    authentication: { ...noProof, kind: 'selfSigned', primaryThumbprint: leaf.fingerprint256.replaceAll(':', '') },
    proof: {
      x509: {
        certificateInfo: certificateInfo(leaf),
        ...groupIdOf(enrolment),
        ...(enrolment.kind === 'group' && signing !== undefined
          ? { signingCertificateInfo: certificateInfo(signing) }
          : {}),
      },
    },
  }
}

function chainFrom(certificates: readonly string[]): X509Certificate[] {
  const chain: X509Certificate[] = []
  for (const text of certificates.slice(0, limits.certificateChainMax)) {
    const certificate = certificateFrom(text)
    if (certificate !== undefined) chain.push(certificate)
  }
  return chain
}

/** The certificate (PEM) by which an enrolment knows the leaf: itself, or the authority that its chain ends at. */
function signerOf(
  chain: readonly X509Certificate[],
  attestation: Attestation,
  rules: AttestationRules,
): string | undefined {
  if (attestation.kind !== 'x509') return undefined
  if (attestation.use !== 'client')
    return issuingAuthority(chain, anchorsOf(attestation, rules.authorities), rules.nowMs)?.certificate
  const [leaf] = chain
  if (leaf === undefined || !isValidAt(leaf, rules.nowMs)) return undefined
  return [attestation.primary, attestation.secondary].find(
    (pem) => pem !== undefined && certificateFrom(pem)?.fingerprint256 === leaf.fingerprint256,
  )
}

function anchorsOf(
  { use, primary, secondary }: X509,
  authorities: readonly CertificateAuthority[],
): CertificateAuthority[] {
  const named = [primary, secondary].filter((text) => text !== undefined)
  if (use === 'authorities') return authorities.filter(({ name }) => named.includes(name))
  return named.map((certificate) => ({ name: '', certificate, verified: true, verificationCode: undefined }))
}
