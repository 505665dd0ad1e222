/**
 * What the messages of one HTTP request become, in whatever format they came:
 *
 *   quota? ─▶ read ─▶ envelopes ≤ limit? ─▶ room? ─▶ quota ─▶ room? ─▶ batches ─▶ answered once all are durable [G-1]
 *    429      400      413                   503                503       413 refused by the log
 *
 * What is read and stores nothing was work all the same, and counts as a message.
 */

import type { PointFormat } from '#ingest/device-api/row-list.ts'
import { type Sender, storeTogether, type TelemetryMessage } from '#ingest/device-api/telemetry.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** A request taken apart. */
export interface RequestReading {
  readonly messages: readonly TelemetryMessage[]
  /** What the bodies of its messages have together, or more. */
  readonly bodyBytes: number
  /** For when all are durable; at once where there are none. */
  readonly answer: HttpAnswer
}

/** A request of points, of which some may be refused while others are stored. */
export interface PointsReading extends RequestReading {
  readonly refusedCount: number
}

/** @throws INGEST_DRAINING, INGEST_OVERLOADED */
export function requireRoom(edge: EdgeContext): void {
  if (edge.draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
  if (edge.batcher.full) throw new PenstockError('INGEST_OVERLOADED', 'the log is slow at the moment')
}

/**
 * HOT: per request; nothing waits but for a quota and the log.
 * @param read is called again behind a wait: in it only what was sent is held, which has its place in the room of all bodies [G-4]
 * @throws what `read` throws, INGEST_DRAINING, INGEST_OVERLOADED, INGEST_FRAME_TOO_LARGE, INGEST_RATE_EXCEEDED; rejects with
 *   INGEST_MESSAGE_REFUSED, INGEST_DRAINING, LOG_UNAVAILABLE
 */
export function storeRequest(edge: EdgeContext, sender: Sender, read: () => RequestReading): Promise<HttpAnswer> {
  const { quotas } = edge
  quotas.requireRequest(sender.deviceId)
  let first: RequestReading
  let bytes: number
  try {
    first = read()
    bytes = envelopeBytesOf(first, sender)
  } catch (error) {
    quotas.requestWaitMs(sender.deviceId, 1, 0)
    throw error
  }
  if (first.messages.length === 0) {
    quotas.requestWaitMs(sender.deviceId, 1, 0)
    return Promise.resolve(first.answer)
  }
  requireRoom(edge)
  const waitMs = quotas.requestWaitMs(sender.deviceId, first.messages.length, bytes)
  assert(waitMs >= 0 && waitMs <= limits.requestShapingMsMax, 'a request waits a moment, or is refused')
  if (waitMs === 0) return durable(edge, sender, first)
  const { length: count } = first.messages
  return sleep(edge.clock, waitMs).then(() => {
    const again = read()
    assert(again.messages.length === count, `a request has the ${count} messages that it was charged for`)
    return durable(edge, sender, again)
  })
}

/** The same for points, which are counted by what became of them. */
export async function storePoints(
  edge: EdgeContext,
  sender: Sender,
  format: PointFormat,
  read: () => PointsReading,
): Promise<HttpAnswer> {
  let storedCount = 0
  let refusedCount = 0
  const answer = await storeRequest(edge, sender, () => {
    const reading = read()
    storedCount = reading.messages.length
    refusedCount = reading.refusedCount
    return reading
  })
  const name = 'penstock_edge_points_total'
  if (storedCount > 0) edge.metrics.series(name, { format, outcome: 'stored' }).add(storedCount)
  if (refusedCount > 0) edge.metrics.series(name, { format, outcome: 'refused' }).add(refusedCount)
  return answer
}

/**
 * What the request becomes. Each message of a split body has all properties of the request: a few kilobytes on the wire could be
 * many megabytes here.
 * @throws INGEST_FRAME_TOO_LARGE
 */
function envelopeBytesOf({ messages, bodyBytes }: RequestReading, { deviceId, moduleId }: Sender): number {
  let bytes = bodyBytes + messages.length * (deviceId.length + (moduleId?.length ?? 0))
  for (const { properties } of messages) bytes += properties.bytes
  if (bytes <= limits.httpEnvelopeBytesMax) return bytes
  const text = `${messages.length} messages that have ${bytes} bytes with their properties; send smaller batches`
  throw new PenstockError('INGEST_FRAME_TOO_LARGE', text)
}

/** Writes the messages and resolves once all are on the log; rejects if the log refused one for good, or there is no room. */
function durable(edge: EdgeContext, sender: Sender, { messages, answer }: RequestReading): Promise<HttpAnswer> {
  // By now others may have filled the edge. From here to the last message nobody else is heard, so that all are taken or none.
  requireRoom(edge)
  const stored = storeTogether(edge, sender, 'http', messages, answer)
  edge.counters.receivedHttp.add(messages.length)
  return stored
}
