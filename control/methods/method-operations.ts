/**
 * Direct methods over REST.
 *
 *   POST /twins/{device}[/modules/{module}]/methods   {"methodName":"reboot","payload":{…}}  ─▶  {"status":200,"payload":{…}}
 */
import { argumentFault } from '#control/identities/identity.ts'
import type { Operation } from '#control/rest/operation.ts'
import { aCount, anything, aText, recordOf } from '#runtime/api/shapes.ts'
import { gives, json } from '#runtime/api/told.ts'
import { type HttpAnswer, jsonTextAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { CallOutcome } from '#schemas/downlink.ts'
import { checkIdentityId, type IdentityId } from '#schemas/identity-id.ts'
import { leftOf, methodBodyBytesMax, readMethodRequest } from './method-request.ts'
import { callFault, callFaults, type Methods } from './methods.ts'

export function methodOperations(methods: Methods): Operation[] {
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
      faults: ['REGISTRY_DEVICE_UNKNOWN', 'REGISTRY_MODULE_UNKNOWN', ...callFaults],
    },
    right: 'ServiceConnect',
    audited: 'used',
    bodyBytesMax: methodBodyBytesMax,
    faultsNumbered: true,
    run: async (request, body) => {
      const id = idOf(request)
      const asked = readMethodRequest(body)
      return answerOf(await methods.call(id, asked, leftOf(request, asked)))
    },
  }))
}

function answerOf(outcome: CallOutcome): HttpAnswer {
  if (outcome.kind !== 'answered') throw callFault(outcome.kind)
  const { status, payload } = outcome
  // As the device wrote it: its numbers may be finer than ours.
  return jsonTextAnswer(200, `{"status":${status},"payload":${payload === '' ? 'null' : payload}}`)
}

function idOf(request: HttpRequest): IdentityId {
  const [deviceId, moduleId] = [request.parameter(0), request.parameter(1)]
  if (deviceId === undefined || (moduleId === undefined && request.path.split('/').length > 4))
    throw argumentFault('the path is not percent-encoded UTF-8')
  const id = { deviceId, moduleId: moduleId || undefined }
  checkIdentityId(id)
  return id
}
