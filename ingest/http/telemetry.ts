/**
 * Telemetry over HTTP: `POST /devices/{d}[/modules/{m}]/messages/events`.
 *
 *   request ─▶ room? ─▶ who is this? ─▶ body ─▶ messages ─▶ quota ─▶ room? ─▶ batches ─▶ 204 once all are durable [G-1]
 *               503       401, 403, 429  413, 503  400, 413    429      503       413 refused by the log
 *                                                  415
 */

import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'
import { limits } from '#schemas/limits.ts'
import { codingsRead, decodedBody } from './content-coding.ts'
import { type AuthorizeRequest, admitDevice, deviceFaultAnswer, deviceOf } from './device-gate.ts'
import { telemetryTold } from './device-told.ts'
import { readMessages } from './message-reader.ts'
import { requireRoom, storeRequest } from './store-request.ts'

const device = `/${telemetryPath(':device')}`
const moduleOfDevice = `/${telemetryPath(':device', ':module')}`

/** @param authorize `undefined`: every device is believed */
export function routeTelemetry(
  router: HttpRouter,
  edge: EdgeContext,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
): void {
  for (const pattern of [device, moduleOfDevice]) {
    const hasModule = pattern === moduleOfDevice
    router.route({
      method: 'POST',
      pattern,
      told: telemetryTold,
      bodyBytesMax: limits.httpBodyBytesMax,
      // Anew each time, as each answer has its own tracking id.
      get tooLargeAnswer() {
        const text = `a request of more than ${limits.httpBodyBytesMax} bytes; send smaller batches`
        return faultAnswer(new PenstockError('INGEST_FRAME_TOO_LARGE', text))
      },
      get noRoomAnswer() {
        return faultAnswer(new PenstockError('INGEST_OVERLOADED', 'too many requests are under way at the moment'))
      },
      admit(request) {
        requireRoom(edge)
        return admitDevice(edge, authorize, tls, deviceOf(request, hasModule), request)
      },
      handle: (request, body) => store(edge, hasModule, request, body),
      faultAnswer,
    })
  }
}

const accepted: HttpAnswer = { status: 204, headers: {}, body: '' }

/** HOT: per request. */
function store(edge: EdgeContext, hasModule: boolean, request: HttpRequest, sent: Buffer): Promise<HttpAnswer> {
  return storeRequest(edge, deviceOf(request, hasModule), () => {
    const body = decodedBody(sent, request.header('content-encoding'))
    const messages = readMessages(body, request.header('content-type'), request.query('split'), request.headers)
    return { messages, bodyBytes: body.length, answer: accepted }
  })
}

function faultAnswer(error: unknown): HttpAnswer {
  const answer = deviceFaultAnswer(error)
  if (!isPenstockError(error, 'INGEST_CODING_UNKNOWN')) return answer
  return { ...answer, headers: { ...answer.headers, 'Accept-Encoding': codingsRead } }
}
