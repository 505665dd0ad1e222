/**
 * Direct methods over REST. Nothing is stored and nothing is repeated: a device gets a call at most once, and whoever called gets its
 * answer, or a reason, within the two time-outs.
 *
 *   POST /twins/{device}[/modules/{module}]/methods   {"methodName":"reboot","payload":{…}}  ─▶  {"status":200,"payload":{…}}
 */
import type { Downlink } from '#control/downlink/downlink.ts'
import type { Identities } from '#control/identities/identities.ts'
import { argumentFault, unknownFault } from '#control/identities/identity.ts'
import type { Operation } from '#control/rest/operation.ts'
import { aCount, anything, aText, recordOf } from '#runtime/api/shapes.ts'
import { gives, json } from '#runtime/api/told.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { CallFailure, CallOutcome } from '#schemas/downlink.ts'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'
import { checkIdentityId, type IdentityId } from '#schemas/identity-id.ts'
import { type MethodRequest, methodBodyBytesMax, readMethodRequest } from './method-request.ts'

/** @param identities `undefined`: devices need not be registered */
export function methodOperations(downlink: Downlink, identities: Pick<Identities, 'get'> | undefined): Operation[] {
  return ['/twins/:device/methods', '/twins/:device/modules/:module/methods'].map((pattern) => ({
    method: 'POST',
    pattern,
    told: {
      summary: 'Calls a direct method of a device or module, at most once, and waits for its answer',
      asked: json(
        recordOf(
          { methodName: aText },
          { payload: anything, responseTimeoutInSeconds: aCount, connectTimeoutInSeconds: aCount },
        ),
      ),
      answered: {
        200: gives('what the device answered', recordOf({ status: { type: 'integer' }, payload: anything })),
      },
      faults: [
        'REGISTRY_DEVICE_UNKNOWN',
        'REGISTRY_MODULE_UNKNOWN',
        'METHOD_DEVICE_OFFLINE',
        'METHOD_CONNECTION_LOST',
        'METHOD_UNANSWERED',
        'METHOD_ANSWER_INVALID',
        'METHOD_TOO_MANY',
        'METHOD_TOO_LARGE',
      ],
    },
    right: 'ServiceConnect',
    audited: 'used',
    bodyBytesMax: methodBodyBytesMax,
    faultsNumbered: true,
    run: async (request, body) => {
      const id = idOf(request)
      return answerOf(await call(downlink, identities, id, readMethodRequest(body)))
    },
  }))
}

/** @throws REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN, once it turns out not to be connected */
async function call(
  downlink: Downlink,
  identities: Pick<Identities, 'get'> | undefined,
  id: IdentityId,
  { call: method, connectMs }: MethodRequest,
): Promise<CallOutcome> {
  const outcome = await downlink.call(id, method, 0)
  if (outcome.kind !== 'notHere' && outcome.kind !== 'notSubscribed') return outcome
  if (!(await isKnown(identities, id))) throw unknownFault(id)
  return connectMs === 0 ? outcome : downlink.call(id, method, connectMs)
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
  badAnswer: ['METHOD_ANSWER_INVALID', 'the device answered with what is no JSON, or too long'],
}

function answerOf(outcome: CallOutcome): HttpAnswer {
  if (outcome.kind !== 'answered') throw new PenstockError(...faults[outcome.kind])
  const { status, payload } = outcome
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    // As the device wrote it: its numbers may be finer than ours.
    body: `{"status":${status},"payload":${payload === '' ? 'null' : payload}}`,
  }
}

function idOf(request: HttpRequest): IdentityId {
  const [deviceId, moduleId] = [request.parameter(0), request.parameter(1)]
  if (deviceId === undefined || (moduleId === undefined && request.path.split('/').length > 4))
    throw argumentFault('the path is not percent-encoded UTF-8')
  const id = { deviceId, moduleId: moduleId || undefined }
  checkIdentityId(id)
  return id
}
