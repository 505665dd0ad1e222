/**
 * Telemetry over HTTP: `POST /devices/{d}[/modules/{m}]/messages/events`.
 *
 *   request ─▶ room? ─▶ who is this? ─▶ body ─▶ messages ─▶ quota ─▶ room? ─▶ batches ─▶ 204 once all are durable [G-1]
 *               503       401, 403, 429  413, 503  400, 413    429      503       503 refused by the log
 *                                                  415
 */

import { type Sender, storeTogether, type TelemetryMessage } from '#ingest/device-api/telemetry.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
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

/** @throws INGEST_DRAINING, INGEST_OVERLOADED */
function requireRoom(edge: EdgeContext): void {
  if (edge.draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
  if (edge.batcher.full) throw new PenstockError('INGEST_OVERLOADED', 'the log is slow at the moment')
}

const accepted: HttpAnswer = { status: 204, headers: {}, body: '' }

/** HOT: per request; nothing waits but for a quota and the log. */
function store(edge: EdgeContext, hasModule: boolean, request: HttpRequest, sent: Buffer): Promise<HttpAnswer> {
  const sender = deviceOf(request, hasModule)
  const body = decodedBody(sent, request.header('content-encoding'))
  const messages = messagesOf(request, body)
  if (messages.length === 0) return Promise.resolve(accepted)
  requireRoom(edge)
  const envelopeBytes = envelopeBytesOf(messages, body.length, sender)
  const waitMs = edge.quotas.requestWaitMs(sender.deviceId, messages.length, envelopeBytes)
  assert(waitMs >= 0 && waitMs <= limits.requestShapingMsMax, 'a request waits a moment, or is refused')
  if (waitMs === 0) return durable(edge, sender, messages)
  // Read anew behind the wait: in it only what was sent is held, which has its place in the room of all bodies [G-4].
  return sleep(edge.clock, waitMs).then(() => {
    const again = decodedBody(sent, request.header('content-encoding'))
    return durable(edge, sender, messagesOf(request, again))
  })
}

function messagesOf(request: HttpRequest, body: Buffer): TelemetryMessage[] {
  return readMessages(body, request.header('content-type'), request.query('split'), request.headers)
}

/**
 * What the request becomes. Each message of a split body has all properties of the request: a few kilobytes on the wire could be
 * many megabytes here.
 * @throws INGEST_FRAME_TOO_LARGE
 */
function envelopeBytesOf(
  messages: readonly TelemetryMessage[],
  bodyBytes: number,
  { deviceId, moduleId }: Sender,
): number {
  let bytes = bodyBytes + messages.length * (deviceId.length + (moduleId?.length ?? 0))
  for (const { properties } of messages) bytes += properties.bytes
  if (bytes <= limits.httpEnvelopeBytesMax) return bytes
  const text = `${messages.length} messages that have ${bytes} bytes with their properties; send smaller batches`
  throw new PenstockError('INGEST_FRAME_TOO_LARGE', text)
}

/** Writes the messages and resolves once all are on the log; rejects if the log refused one for good, or there is no room. */
function durable(edge: EdgeContext, sender: Sender, messages: readonly TelemetryMessage[]): Promise<HttpAnswer> {
  // By now others may have filled the edge. From here to the last message nobody else is heard, so that all are taken or none.
  requireRoom(edge)
  const stored = storeTogether(edge, sender, 'http', messages, accepted)
  edge.counters.receivedHttp.add(messages.length)
  return stored
}

function faultAnswer(error: unknown): HttpAnswer {
  const answer = deviceFaultAnswer(error)
  if (!isPenstockError(error, 'INGEST_CODING_UNKNOWN')) return answer
  return { ...answer, headers: { ...answer.headers, 'Accept-Encoding': codingsRead } }
}
