/**
 * The port of direct methods. Nothing is stored and nothing is repeated: a device gets a call at most once, and whoever called gets its
 * answer, or a reason, within the two time-outs.
 */
import type { Downlink } from '#control/downlink/downlink.ts'
import type { Identities } from '#control/identities/identities.ts'
import { unknownFault } from '#control/identities/identity.ts'
import type { CallFailure, CallOutcome, MethodCall } from '#schemas/downlink.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

export interface MethodRequest {
  readonly call: MethodCall
  readonly connectMs: number
}

export interface Methods {
  /**
   * @param left as of `Downlink.call`
   * @throws REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN once it turns out not to be connected; nothing else
   */
  call(id: IdentityId, request: MethodRequest, left?: AbortSignal): Promise<CallOutcome>
}

/** @param identities `undefined`: devices need not be registered */
export function methodsOver(downlink: Downlink, identities: Pick<Identities, 'get'> | undefined): Methods {
  return {
    call(id, { call, connectMs }, left) {
      return downlink.call(id, call, connectMs, left, async () => {
        if (!(await isKnown(identities, id))) throw unknownFault(id)
      })
    },
  }
}

/** While the store is away a device counts as known: it may connect. */
async function isKnown(identities: Pick<Identities, 'get'> | undefined, id: IdentityId): Promise<boolean> {
  if (identities === undefined) return true
  return identities.get(id).then(
    (identity) => identity !== undefined,
    () => true,
  )
}

const faults: Readonly<Record<CallFailure, readonly [ErrorCode, string]>> = {
  notHere: ['METHOD_DEVICE_OFFLINE', 'the device is not connected'],
  notSubscribed: ['METHOD_DEVICE_OFFLINE', 'the device is connected, and does not listen to methods'],
  gone: ['METHOD_DEVICE_OFFLINE', 'the device is not connected any more'],
  busy: ['METHOD_TOO_MANY', 'too many methods are under way; the device was not called'],
  tooLarge: ['METHOD_TOO_LARGE', 'the device takes no packet of this length'],
  lost: ['METHOD_CONNECTION_LOST', 'the connection of the device ended before it answered'],
  noAnswer: ['METHOD_UNANSWERED', 'the device did not answer in time'],
  badAnswer: ['METHOD_ANSWER_INVALID', 'the device answered with what is no JSON, too long or too deep'],
}

/** All that a call may come to nothing for. */
export const callFaults: readonly ErrorCode[] = [...new Set(Object.values(faults).map(([code]) => code))]

/** Why a call came to nothing, for whoever asked for it. */
export function callFault(kind: CallFailure): PenstockError {
  return new PenstockError(...faults[kind])
}
