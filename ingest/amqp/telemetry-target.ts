/**
 * Where a device's messages go: straight into the batcher, as those of MQTT. Each link is told of its own batches, and tells its client of
 * runs of messages that are durable in one frame.
 *
 *   transfer ─▶ message reader ─▶ batch ─▶ log ─▶ DISPOSITION accepted, first..last [G-1]
 *                  └── cannot be stored: DISPOSITION rejected, with the reason
 *
 * Credit is granted for what may still wait: a slow log, and a device that sends more than its quota, get none.
 */
import type { BatchOwner, OpenBatch, SentOver } from '#ingest/batches/batch.ts'
import type { Route } from '#ingest/batches/route.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { IncomingLink, MessageTaker } from './incoming-link.ts'
import { forEachOfBatch, MessageReader } from './message-reader.ts'
import type { Seat } from './seats.ts'
import { type AmqpSession, acceptedState } from './session.ts'
import { UnsettledDeliveries } from './unsettled.ts'

/** The message format of a transfer that holds several messages (the hub's own). */
export const batchFormat = 0x8001_3700

interface BatchedMessage {
  readonly route: Route
  readonly source: Buffer
  readonly bodyStart: number
  readonly bodyEnd: number
}

export interface TelemetryParts {
  readonly edge: EdgeContext
  readonly link: IncomingLink
  readonly session: AmqpSession
  readonly seat: Seat
  /** Of the device or module that has the seat. */
  readonly id: IdentityId
  /** Told that the seat sent something. */
  readonly touched: (seat: Seat) => void
}

export class TelemetryTarget implements MessageTaker, BatchOwner {
  batch: OpenBatch | undefined = undefined
  batchIndex = 0
  readonly sentOver: SentOver = 'amqp'
  readonly #edge: EdgeContext
  readonly #link: IncomingLink
  readonly #session: AmqpSession
  readonly #seat: Seat
  readonly #touched: (seat: Seat) => void
  readonly #reader: MessageReader
  readonly #unsettled = new UnsettledDeliveries()

  constructor({ edge, link, session, seat, id, touched }: TelemetryParts) {
    this.#edge = edge
    this.#link = link
    this.#session = session
    this.#seat = seat
    this.#touched = touched
    this.#reader = new MessageReader(edge.batcher, id)
  }

  creditWanted(): number {
    if (this.#seat.isHeld || this.#edge.batcher.full) return 0
    return Math.min(limits.amqpCredit, limits.amqpUnsettledMax - this.#unsettled.count)
  }

  /** HOT: per message. */
  take(deliveryId: number, settled: boolean, messageFormat: number, bytes: Buffer, start: number, end: number): void {
    const seat = this.#seat
    if (seat.messages === 0) this.#touched(seat)
    seat.messages++
    seat.bytes += end - start
    if (messageFormat === batchFormat) {
      this.#takeBatch(deliveryId, settled, bytes, start, end)
      return
    }
    const reader = this.#reader
    let route: Route
    try {
      route = reader.read(bytes, start, end)
    } catch (error) {
      this.#reject(deliveryId, settled, error)
      return
    }
    if (settled) route.partition.write(route.frame, reader.source, reader.bodyStart, reader.bodyEnd, undefined)
    else {
      this.#unsettled.push(deliveryId, 1)
      route.partition.write(route.frame, reader.source, reader.bodyStart, reader.bodyEnd, this)
    }
    this.#edge.counters.receivedAmqp.value++
  }

  /** HOT: per batch and link. */
  settled(count: number): void {
    const isOpen = this.#link.isOpen
    if (isOpen) this.#edge.counters.acknowledged.add(count)
    this.#unsettled.settle(count, (first, last) => {
      if (isOpen) this.#session.settle(first, last, acceptedState)
    })
    this.#link.grant()
  }

  refused(_count: number, why: PenstockError): void {
    this.#seat.fail(why)
  }

  /** All messages of it, or none. */
  #takeBatch(deliveryId: number, settled: boolean, bytes: Buffer, start: number, end: number): void {
    const messages: BatchedMessage[] = []
    try {
      forEachOfBatch(bytes, start, end, (from, to) => {
        const reader = this.#reader
        const route = reader.read(bytes, from, to)
        messages.push({ route, source: reader.source, bodyStart: reader.bodyStart, bodyEnd: reader.bodyEnd })
      })
      requireBounded(messages)
    } catch (error) {
      this.#reject(deliveryId, settled, error)
      return
    }
    this.#seat.messages += messages.length - 1
    if (!settled) this.#unsettled.push(deliveryId, messages.length)
    const owner = settled ? undefined : this
    for (const { route, source, bodyStart, bodyEnd } of messages)
      route.partition.write(route.frame, source, bodyStart, bodyEnd, owner)
    this.#edge.counters.receivedAmqp.value += messages.length
  }

  /** @throws the fault where nobody would hear of it otherwise: its sender did not ask what becomes of the message */
  #reject(deliveryId: number, settled: boolean, error: unknown): void {
    if (!(error instanceof PenstockError)) throw error
    const { metrics, refusals } = this.#edge
    metrics.series('penstock_edge_messages_refused_total', { reason: error.code }).add(1)
    refusals.tell(error, 'amqp', 'message')
    if (settled) throw new PenstockError('INGEST_BODY_MALFORMED', error.message, { cause: error })
    this.#session.rejected(deliveryId, error)
  }
}

/** Each message of a batch has properties of its own, which it may share with others on the wire. @throws INGEST_MESSAGE_TOO_LARGE */
function requireBounded(messages: readonly BatchedMessage[]): void {
  let bytes = 0
  for (const { route, bodyStart, bodyEnd } of messages) bytes += route.frame.suffix.length + bodyEnd - bodyStart
  if (bytes > limits.httpEnvelopeBytesMax)
    throw new PenstockError('INGEST_MESSAGE_TOO_LARGE', `a batch that has ${bytes} bytes with its properties`)
}
