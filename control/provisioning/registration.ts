/** What became of a device that registered. */
import { isObject, type JsonObject } from '#control/rest/json-body.ts'

/**
 *   assigning ─▶ assigned │ failed
 *
 * `assigning` is of those whose hub somebody else chooses, or is far away.
 */
export const registrationStatuses = ['assigning', 'assigned', 'failed', 'disabled'] as const
export type RegistrationStatus = (typeof registrationStatuses)[number]

export const substatuses = ['initialAssignment', 'deviceDataMigrated', 'deviceDataReset'] as const
export type Substatus = (typeof substatuses)[number]

export interface Registration {
  /** As the device first wrote it. */
  readonly registrationId: string
  /** `undefined`: of an enrolment of its own. */
  readonly groupId: string | undefined
  readonly deviceId: string
  /** Host name of the hub that the device has; `undefined`: none yet. */
  readonly hub: string | undefined
  readonly status: RegistrationStatus
  readonly substatus: Substatus
  /** Of a status `failed`. */
  readonly fault: { readonly code: number; readonly message: string } | undefined
  /** What the device is asked to come back with. */
  readonly operationId: string
  /** By which the device proved itself, as its document tells it. */
  readonly proof: JsonObject
  /** Of the device in a linked hub, which may be away when it is to be found there again: see `credentialsOf`. */
  readonly credentials: string | undefined
  /** JSON text for the device, from whoever chose its hub. */
  readonly payload: string | undefined
  readonly etag: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
}

export function registrationDocument(registration: Registration): JsonObject {
  const { registrationId, deviceId, hub, status, substatus, fault, proof, payload, etag } = registration
  const isAssigned = status === 'assigned'
  return {
    registrationId,
    createdDateTimeUtc: new Date(registration.createdAtMs).toISOString(),
    ...(isAssigned && hub !== undefined ? { assignedHub: hub, deviceId } : {}),
    status,
    ...(isAssigned ? { substatus } : {}),
    ...(fault === undefined ? {} : { errorCode: fault.code, errorMessage: fault.message }),
    lastUpdatedDateTimeUtc: new Date(registration.updatedAtMs).toISOString(),
    etag: `"${etag}"`,
    ...(payload === undefined ? {} : { payload: JSON.parse(payload) }),
    ...proof,
  }
}

export function proofFrom(text: string): JsonObject {
  const proof: unknown = JSON.parse(text)
  return isObject(proof) ? proof : {}
}
