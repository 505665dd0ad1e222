/**
 * Telemetry over HTTP: `POST /devices/{d}[/modules/{m}]/messages/events`.
 *
 *   request ─▶ room? ─▶ who is this? ─▶ body ─▶ messages ─▶ quota ─▶ room? ─▶ batches ─▶ 204 once all are durable [G-1]
 *               503       401, 403, 429  413, 503  400, 413    429      503       503 refused by the log
 *                                                  415
 */

import type { X509Certificate } from 'node:crypto'
import { classicAnswer } from '#control/rest/rest.ts'
import { type Sender, storeTogether, type TelemetryMessage } from '#ingest/device-api/telemetry.ts'
import { RateExceeded } from '#ingest/quotas/quotas.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'
import { isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { codingsRead, decodedBody } from './content-coding.ts'
import { readMessages } from './message-reader.ts'

/**
 * Decides whether a request may send as this device.
 * @param certificates what the client showed in the TLS handshake; the same array for all requests of a connection
 * @throws PenstockError AUTH_DIRECTORY_UNAVAILABLE, INGEST_NOT_AUTHORIZED; to whoever holds the device's key: AUTH_TOKEN_EXPIRED,
 *   AUTH_IDENTITY_DISABLED
 */
export type AuthorizeRequest = (
  deviceId: string,
  moduleId: string | undefined,
  authorization: string,
  confidential: boolean,
  certificates: readonly X509Certificate[],
) => void | Promise<void>

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
      bodyBytesMax: limits.httpBodyBytesMax,
      // Anew each time, as each answer has its own tracking id.
      get tooLargeAnswer() {
        const text = `a request of more than ${limits.httpBodyBytesMax} bytes; send smaller batches`
        return faultAnswer(new PenstockError('INGEST_FRAME_TOO_LARGE', text))
      },
      get noRoomAnswer() {
        return faultAnswer(new PenstockError('INGEST_OVERLOADED', 'too many requests are under way at the moment'))
      },
      admit: (request) => admit(edge, authorize, tls, hasModule, request),
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

/**
 * Runs before any of the body is kept: a client that can prove nothing costs no memory [G-4]. HOT: per request. It
 * waits only for a look-up and, where credentials fail, for its turn.
 * @throws what `authorize` throws, INGEST_DRAINING, INGEST_OVERLOADED, INGEST_FAILURES_EXCEEDED, INGEST_BODY_MALFORMED
 */
function admit(
  edge: EdgeContext,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
  hasModule: boolean,
  request: HttpRequest,
): undefined | Promise<undefined> {
  requireRoom(edge)
  const { deviceId, moduleId } = senderOf(request, hasModule)
  if (authorize === undefined) return undefined
  const { remoteAddress } = request
  const confidential = tls || isLoopbackAddress(remoteAddress)
  const refused = (error: unknown): never => {
    const isFailure = isPenstockError(error) && error.code !== 'AUTH_DIRECTORY_UNAVAILABLE'
    throw (isFailure && edge.quotas.attemptFailed(remoteAddress, deviceId)) || error
  }
  const decide = (): undefined | Promise<undefined> => {
    try {
      const authorization = request.header('authorization')
      const authorized = authorize(deviceId, moduleId, authorization, confidential, request.certificates)
      return authorized?.then(() => undefined, refused)
    } catch (error) {
      return refused(error)
    }
  }
  const waitMs = edge.quotas.hasFailures ? edge.quotas.lookupWaitMs(remoteAddress, deviceId, edge.isKnown) : 0
  return waitMs ? sleep(edge.clock, waitMs).then(decide) : decide()
}

/** HOT: per request; nothing waits but for a quota and the log. */
function store(edge: EdgeContext, hasModule: boolean, request: HttpRequest, sent: Buffer): Promise<HttpAnswer> {
  const sender = senderOf(request, hasModule)
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

function senderOf(request: HttpRequest, hasModule: boolean): Sender {
  return { deviceId: idOf(request.parameter(0)), moduleId: hasModule ? idOf(request.parameter(1)) : undefined }
}

function idOf(text: string | undefined): string {
  if (text !== undefined && isIdentityId(text)) return text
  throw new PenstockError('INGEST_BODY_MALFORMED', 'the path names no device')
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
  if (!isPenstockError(error)) throw error
  const retryAfterSeconds = error instanceof RateExceeded ? Math.ceil(error.retryAfterMs / 1000) : undefined
  const answer = classicAnswer(hubFaultOf(error), error.message, retryAfterSeconds)
  if (error.code !== 'INGEST_CODING_UNKNOWN') return answer
  return { ...answer, headers: { ...answer.headers, 'Accept-Encoding': codingsRead } }
}
