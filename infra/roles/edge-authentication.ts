import { type Admission, publicReason } from '#control/auth/auth.ts'
import type { EdgeControl } from '#control/open-edge-control.ts'
import type { PolicyOf } from '#infra/console/console-gate.ts'
import type { AuthorizeRequest } from '#ingest/http/device-gate.ts'
import type { Authenticate, AuthorizeService, IsKnown, KeptIdentity, Principal } from '#ingest/session/principal.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import type { HeardDevices } from './heard-devices.ts'
import { keptIdentity } from './kept-identity.ts'

/** Lets in only devices and services that prove who they are [G-6]. */
export interface EdgeAuthentication {
  readonly authenticate: Authenticate
  readonly isKnown: IsKnown
  readonly authorizeRequest: AuthorizeRequest
  readonly authorizeService: AuthorizeService
  readonly policyOf: PolicyOf
}

/** What control decides, as an edge asks for it. @param heard is told of devices whose requests were let in */
export function edgeAuthentication(
  { authenticator, sessions }: Pick<EdgeControl, 'authenticator' | 'sessions'>,
  heard: HeardDevices,
): EdgeAuthentication {
  const principalOf = (admission: Admission, resumes: boolean): Principal | Promise<Principal> => {
    if (!admission.admitted) throw refusalOf(admission.code)
    const { deviceId, moduleId, expiresAtMs } = admission
    const watch: Principal['watch'] = (onRevoked) =>
      authenticator.watch(admission, ({ code }) => onRevoked(refusalOf(code)))
    const principalWith = (kept: KeptIdentity): Principal => ({ deviceId, moduleId, expiresAtMs, kept, watch })
    const kept = keptIdentity(sessions, { deviceId, moduleId }, resumes)
    return kept instanceof Promise ? kept.then(principalWith) : principalWith(kept)
  }
  return {
    authenticate: (credentials) => {
      const admission = authenticator.authenticate(credentials)
      const { resumes } = credentials
      return admission instanceof Promise
        ? admission.then((decided) => principalOf(decided, resumes))
        : principalOf(admission, resumes)
    },
    isKnown: (deviceId) => authenticator.knows(deviceId),
    authorizeRequest: async (deviceId, moduleId, authorization, confidential, sent) => {
      const id = { deviceId, moduleId }
      const attempt = { id, authorization, certificates: sent, confidential }
      const admission = authenticator.admittedBefore(attempt) ?? (await authenticator.authenticateRequest(attempt))
      if (admission.admitted) {
        heard.add(id, Date.now())
        return
      }
      throw toldToProven.has(admission.code)
        ? new PenstockError(admission.code, publicReason(admission))
        : refusalOf(admission.code)
    },
    authorizeService: async (authorization, confidential, resource = ['api']) => {
      if (!confidential) throw refusalOf('AUTH_TRANSPORT_INSECURE')
      const proof = await authenticator.authenticateService(authorization, 'ServiceConnect', resource, confidential)
      if (!('policy' in proof)) throw refusalOf(proof.code)
    },
    policyOf: async (authorization, confidential) => {
      const proof = await authenticator.authenticateHolder(authorization, confidential)
      if (!('policy' in proof)) return proof
      const { policy, expiresAtMs } = proof
      return { name: policy.name, rights: policy.rights, expiresAtMs }
    },
  }
}

/** Judged after the key, so that only who holds it is told. MQTT has one code for all of it. */
const toldToProven: ReadonlySet<ErrorCode> = new Set(['AUTH_TOKEN_EXPIRED', 'AUTH_IDENTITY_DISABLED'])

/** What a refused client is told: nothing that would tell an unknown device from a wrong key. */
function refusalOf(code: PenstockError['code']): PenstockError {
  if (code === 'AUTH_DIRECTORY_UNAVAILABLE')
    return new PenstockError(code, 'the registry does not answer; come back later')
  // Judged before any look-up, so it says nothing about devices, and whoever forgot TLS learns what to mend.
  if (code === 'AUTH_TRANSPORT_INSECURE') return new PenstockError('INGEST_NOT_AUTHORIZED', publicReason({ code }))
  return new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
}
