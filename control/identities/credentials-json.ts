import { aText, type JsonCheck, mapOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { DeviceCredentials, IdentityCredentials } from './identities.ts'
import { type Authentication, authenticationKinds, identityStatuses } from './identity.ts'

/** Of records that are about a device or a module. */
export const idChecks = { deviceId: aText, moduleId: optional(aText) }

export const identityIdCheck = recordOf<IdentityId>(idChecks)

/** What CONNECT checks, as it travels between processes. */
const credentialChecks = {
  generationId: aText,
  status: oneOf(...identityStatuses),
  authentication: recordOf<Authentication>({
    kind: oneOf(...authenticationKinds),
    primaryKey: optional(aText),
    secondaryKey: optional(aText),
    primaryThumbprint: optional(aText),
    secondaryThumbprint: optional(aText),
  }),
}

export const deviceCredentialsCheck: JsonCheck<DeviceCredentials> = recordOf<DeviceCredentials>({
  deviceId: aText,
  ...credentialChecks,
  modules: mapOf(recordOf<IdentityCredentials>(credentialChecks)),
})
