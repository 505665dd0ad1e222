/**
 * Decides whether evidence proves a claim, against what the registry says of the device. Pure: no look-up, no clock.
 *
 *   claim ─▶ identity known? ─▶ right kind of evidence? ─▶ signed by its key or a policy's? ─▶ scope, expiry ─▶ enabled?
 *
 * A client that proves nothing learns nothing: `publicReason` of `auth.ts` is the same for an unknown device and a wrong key.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { DeviceCredentials, IdentityCredentials } from '#control/identities/identities.ts'
import type { Right } from '#control/rest/rights.ts'
import type { Policy, Trust } from '#control/trust/trust.ts'
import { commonName } from '#runtime/certificates.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import {
  type Admission,
  type AdmissionRules,
  type Admitted,
  type PolicyProof,
  type Proof,
  type Proven,
  type Refused,
  refusal,
} from './auth.ts'
import { issuingAuthority, matchingThumbprint } from './certificates.ts'
import type { Claim } from './connect-attempt.ts'
import { expiresAtMsOf, parseSasToken, type SasToken, scopeCovers, signingKeyOf } from './sas-token.ts'

/** @param device what the registry says of the claimed device; `undefined`: it has none */
export function admit(
  { id, evidence }: Claim,
  device: DeviceCredentials | undefined,
  trust: Trust,
  rules: AdmissionRules,
  nowMs: number,
): Admission {
  const identity = credentialsOf(device, id)
  if (!device || !identity) return refusal('AUTH_IDENTITY_UNKNOWN', `${identityText(id)} is not registered`)
  const proven = prove({ id, evidence }, identity, trust, rules, nowMs)
  if ('admitted' in proven) return proven
  if (device.status === 'disabled' || identity.status === 'disabled') {
    return refusal('AUTH_IDENTITY_DISABLED', `${identityText(id)} is disabled`)
  }
  return { admitted: true, ...id, generationId: identity.generationId, ...proven }
}

function prove(
  { id, evidence }: Claim,
  identity: IdentityCredentials,
  trust: Trust,
  rules: AdmissionRules,
  nowMs: number,
): Proven | Refused {
  const { authentication } = identity
  switch (evidence.kind) {
    case 'token':
      if (evidence.token.policyName !== undefined) {
        const signed = policyThatSigned(evidence.token, trust)
        const policy = provePolicy(signed, 'DeviceConnect', resourceOf(id), rules, nowMs)
        return 'admitted' in policy ? policy : { proof: policy.proof, expiresAtMs: policy.expiresAtMs }
      }
      if (authentication.kind !== 'sas') return wrongKind(id, authentication.kind, 'a SAS token')
      return proveToken(evidence.token, [authentication.primaryKey, authentication.secondaryKey], id, rules, nowMs)
    case 'key': {
      if (authentication.kind !== 'sas') return wrongKind(id, authentication.kind, 'a key')
      const key = equalKey(evidence.key, [authentication.primaryKey, authentication.secondaryKey])
      if (key === undefined) return refusal('AUTH_SIGNATURE_WRONG', `not a key of ${identityText(id)}`)
      return { proof: { kind: 'key', mark: secretMark(key) }, expiresAtMs: undefined }
    }
    case 'certificate':
      return proveCertificate(id, evidence.certificates, identity, trust, nowMs)
  }
}

function proveToken(
  token: SasToken,
  keys: readonly (string | undefined)[],
  id: IdentityId,
  rules: AdmissionRules,
  nowMs: number,
): Proven | Refused {
  const key = signingKeyOf(token, keys)
  if (key === undefined) return refusal('AUTH_SIGNATURE_WRONG', `no key of ${identityText(id)} made this token`)
  return (
    tokenFault(token, resourceOf(id), rules, nowMs) ?? {
      proof: { kind: 'key', mark: secretMark(key) },
      expiresAtMs: expiresAtMsOf(token, rules.clockSkewMs),
    }
  )
}

/** A token that a key of a policy was found to have made. It may be for something else, or have expired. */
export interface SignedToken {
  readonly token: SasToken
  readonly policy: Policy
  readonly mark: string
}

function policyThatSigned(token: SasToken, trust: Trust): SignedToken | Refused {
  const policy = trust.policies.find(({ name }) => name === token.policyName)
  if (!policy) return refusal('AUTH_IDENTITY_UNKNOWN', 'the token names no policy of this hub')
  const key = signingKeyOf(token, [policy.primaryKey, policy.secondaryKey])
  if (key === undefined) return refusal('AUTH_SIGNATURE_WRONG', `no key of policy ${policy.name} made this token`)
  return { token, policy, mark: secretMark(key) }
}

/** Verifies a token made with a policy's key, for a resource and a right. */
function provePolicy(
  signed: SignedToken | Refused,
  right: Right,
  resource: readonly string[],
  rules: AdmissionRules,
  nowMs: number,
): PolicyProof | Refused {
  if ('admitted' in signed) return signed
  const { token, policy, mark } = signed
  const fault = tokenFault(token, resource, rules, nowMs)
  if (fault) return fault
  if (!policy.rights.includes(right)) return refusal('AUTH_RIGHT_MISSING', `policy ${policy.name} lacks ${right}`)
  const proof = { kind: 'policy', name: policy.name, mark } as const
  return { policy, proof, expiresAtMs: expiresAtMsOf(token, rules.clockSkewMs) }
}

/**
 * Decides on a service by the policy token that it sends.
 * @param authorization the header
 * @param resource path segments that the token must cover
 * @param confidential TLS, or the peer is this machine: token and answer cannot be read on the way
 * @param signed who signed it, as `signedToken` says
 */
export function proveService(
  authorization: string,
  right: Right,
  resource: readonly string[],
  confidential: boolean,
  trust: Trust,
  rules: AdmissionRules,
  nowMs: number,
  signed = signedToken,
): PolicyProof | Refused {
  if (authorization === '') return refusal('AUTH_CREDENTIALS_MISSING', 'the Authorization header is missing')
  if (!confidential) return refusal('AUTH_TRANSPORT_INSECURE', 'a token sent without TLS from another machine')
  return provePolicy(signed(authorization, trust), right, resource, rules, nowMs)
}

/** Who signed the token of an Authorization header. */
export function signedToken(authorization: string, trust: Trust): SignedToken | Refused {
  const token = parseSasToken(authorization)
  if (!token) return refusal('AUTH_CREDENTIALS_MALFORMED', 'the Authorization header holds no SAS token')
  return policyThatSigned(token, trust)
}

function tokenFault(
  token: SasToken,
  resource: readonly string[],
  rules: AdmissionRules,
  nowMs: number,
): Refused | undefined {
  if (!scopeCovers(token, rules.hubNames, resource)) {
    return refusal('AUTH_SCOPE_MISMATCH', `the token is not for ${rules.hubNames[0]}/${resource.join('/')}`)
  }
  if (expiresAtMsOf(token, rules.clockSkewMs) <= nowMs) return refusal('AUTH_TOKEN_EXPIRED', 'the token has expired')
  return undefined
}

function proveCertificate(
  id: IdentityId,
  certificates: Parameters<typeof issuingAuthority>[0],
  { authentication }: IdentityCredentials,
  trust: Trust,
  nowMs: number,
): Proven | Refused {
  const [leaf] = certificates
  if (!leaf) return refusal('AUTH_CREDENTIALS_MISSING', 'no certificate was sent')
  if (authentication.kind === 'selfSigned') {
    const thumbprint = matchingThumbprint(leaf, authentication, nowMs)
    if (!thumbprint) {
      return refusal('AUTH_CERTIFICATE_REFUSED', 'the certificate has no registered thumbprint, or is not valid now')
    }
    return { proof: { kind: 'thumbprint', thumbprint }, expiresAtMs: Date.parse(leaf.validTo) }
  }
  if (authentication.kind !== 'certificateAuthority') return wrongKind(id, authentication.kind, 'a certificate')
  if (commonName(leaf) !== identityText(id)) {
    return refusal('AUTH_CERTIFICATE_REFUSED', `the certificate's common name is not ${identityText(id)}`)
  }
  const authority = issuingAuthority(certificates, trust.authorities, nowMs)
  if (!authority) return refusal('AUTH_CERTIFICATE_REFUSED', 'the certificate does not lead to a verified authority')
  const proof = { kind: 'authority', name: authority.name, mark: secretMark(authority.certificate) } as const
  return { proof, expiresAtMs: Date.parse(leaf.validTo) }
}

/** Why a connection that was admitted may not stay; `undefined`: it may. */
export function revocation(
  admitted: Admitted,
  device: DeviceCredentials | undefined,
  trust: Trust,
): Refused | undefined {
  const revoked = (why: string) => refusal('AUTH_REVOKED', `${identityText(admitted)} ${why}`)
  const identity = credentialsOf(device, admitted)
  if (!device || identity?.generationId !== admitted.generationId) return revoked('was deleted')
  if (device.status === 'disabled' || identity.status === 'disabled') return revoked('was disabled')
  return isProofGood(admitted.proof, identity, trust) ? undefined : revoked('proves itself in another way now')
}

function isProofGood(proof: Proof, { authentication }: IdentityCredentials, trust: Trust): boolean {
  switch (proof.kind) {
    case 'key':
      return [authentication.primaryKey, authentication.secondaryKey].some(
        (key) => key && secretMark(key) === proof.mark,
      )
    case 'policy': {
      const policy = trust.policies.find(({ name }) => name === proof.name)
      if (!policy?.rights.includes('DeviceConnect')) return false
      return [policy.primaryKey, policy.secondaryKey].some((key) => secretMark(key) === proof.mark)
    }
    case 'thumbprint':
      return [authentication.primaryThumbprint, authentication.secondaryThumbprint].includes(proof.thumbprint)
    case 'authority': {
      const authority = trust.authorities.find(({ name }) => name === proof.name)
      return (
        authentication.kind === 'certificateAuthority' &&
        authority?.verified === true &&
        secretMark(authority.certificate) === proof.mark
      )
    }
  }
}

function credentialsOf(
  device: DeviceCredentials | undefined,
  { moduleId }: IdentityId,
): IdentityCredentials | undefined {
  if (!device || moduleId === undefined) return device
  return Object.hasOwn(device.modules, moduleId) ? device.modules[moduleId] : undefined
}

export function resourceOf({ deviceId, moduleId }: IdentityId): readonly string[] {
  return moduleId === undefined ? ['devices', deviceId] : ['devices', deviceId, 'modules', moduleId]
}

function wrongKind(id: IdentityId, kind: string, sent: string): Refused {
  return refusal('AUTH_KIND_MISMATCH', `${identityText(id)} proves itself by ${kind}, not by ${sent}`)
}

/** Compares digests, so that neither length nor content shows in the time taken. */
function equalKey(sent: string, keys: readonly (string | undefined)[]): string | undefined {
  const digest = createHash('sha256').update(sent).digest()
  let equal: string | undefined
  for (const key of keys) {
    if (key && timingSafeEqual(createHash('sha256').update(key).digest(), digest)) equal = key
  }
  return equal
}

/** Recognises a secret without keeping it. */
function secretMark(secret: string): string {
  return createHash('sha256').update(secret).digest('base64').slice(0, 22)
}
