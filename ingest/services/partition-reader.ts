/**
 * One reader of a partition: sends what lies behind its position, as far as its client takes it.
 *
 *   wake ─▶ turn ─▶ record at hand? ── no ──▶ read and decoded (shared) ─┐      at the end ─▶ hears of the next record ─▶ wake
 *             ▲          └── yes ──▶ a slice of messages ◀───────────────┘
 *             └──── credit, window and socket have room ────┘                   no room ─▶ the client's FLOW, or its socket ─▶ wake
 *
 * It holds a position and nothing else. Its client settles for itself where it has read to: outcomes are not looked at.
 */

import type { OutgoingLink } from '#ingest/amqp/outgoing-link.ts'
import { faultOf } from '#ingest/session/fault.ts'
import type { EventHub, FoundStart, PartitionRuntime, ShownRecord } from '#pipeline/reading/reading.ts'
import { indexOf, offsetOf, sequenceOf } from '#pipeline/reading/reading.ts'
import { EnvelopeScan } from '#pipeline/routing/select/envelope-scan.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { EventEncoder, TransferHead } from './event-encoder.ts'
import type { ReadingTurns } from './reading-turns.ts'
import { runtimeSection } from './runtime-section.ts'
import { WaitingSource } from './waiting-source.ts'

export interface PartitionReaderOptions {
  readonly hub: EventHub
  readonly partition: number
  readonly start: FoundStart
  readonly link: OutgoingLink
  /** Shared by the readers of a hub, one slice after the other. */
  readonly encoder: EventEncoder
  readonly turns: ReadingTurns
  /** The client wants to know how far it is behind. */
  readonly tellsRuntime: boolean
  readonly clock: Clock
  readonly logger: Logger
  /** Messages were sent. */
  readonly onSent: (messages: number) => void
}

const noSection = Buffer.alloc(0)
/** All readers scan one slice after the other. */
const scan = new EnvelopeScan()

export class PartitionReader extends WaitingSource {
  readonly #options: PartitionReaderOptions
  /** Where the next message lies: record, block in it, byte in that, and how many were before it. */
  #offset: number
  #block = 0
  #at = 0
  #passed = 0
  /** Messages of the record before this one are left out, and those enqueued before that moment. */
  #indexMin: number
  /** Of the record as it was shown last; the places are in that. */
  #edition = 0
  #enqueuedAtMsMin: number
  #runtime: PartitionRuntime | undefined = undefined
  #runtimeAtMs = 0

  constructor(options: PartitionReaderOptions) {
    super(options.link)
    this.#options = options
    const { sequence, enqueuedAtMsMin } = options.start
    this.#offset = offsetOf(sequence)
    this.#indexMin = indexOf(sequence)
    this.#enqueuedAtMsMin = enqueuedAtMsMin
  }

  protected async send(): Promise<void> {
    const { link, turns } = this.#options
    try {
      while (link.room > 0) {
        await turns.next()
        if (link.room === 0) return
        const found = this.#record()
        const record = found instanceof Promise ? await found : found
        if (record === undefined) return this.#waitForRecord()
        await this.#refreshRuntime()
        this.#slice(record)
      }
    } catch (error) {
      this.#failed(error)
    }
  }

  #record(): ShownRecord | undefined | Promise<ShownRecord | undefined> {
    const { hub, partition } = this.#options
    return hub.recordAt(partition, this.#offset)
  }

  #waitForRecord(): void {
    const { hub, partition, link } = this.#options
    this.waitFor((goOn) => hub.onRecord(partition, this.#offset, goOn))
    link.ranDry()
  }

  #failed(error: unknown): void {
    const { hub, partition, clock, logger, link } = this.#options
    if (!isPenstockError(error)) {
      logger.error('a reader ends for a fault of this program', { hub: hub.name, partition, error })
      link.detach(faultOf(error))
      return
    }
    if (error.code === 'READING_POSITION_INVALID') {
      logger.warn('a reader ends, since its position is of another log', { hub: hub.name, partition, error })
      link.detach(error)
      return
    }
    logger.warn('a reader cannot read on yet', { hub: hub.name, partition, error })
    this.waitFor((goOn) => clock.after(limits.readingRetryMs, goOn))
  }

  /** HOT: per message. */
  #slice(record: ShownRecord): void {
    const { encoder, link } = this.#options
    assert(record.offset >= this.#offset, `a reader at offset ${this.#offset} does not go back to ${record.offset}`)
    if (record.offset !== this.#offset) this.#enter(record.offset)
    if (record.edition !== this.#edition) this.#enterEdition(record.edition)
    // The record may have been awaited.
    let room = Math.min(link.room, limits.readingSliceMessagesMax)
    const head = this.#head()
    encoder.begin()
    let written = 0
    try {
      while (room > 0 && !encoder.isFull) {
        const sequence = this.#nextIn(record)
        if (sequence === undefined) break
        if (!encoder.write(scan, sequence, (link.session.nextDeliveryId + written) >>> 0, head)) {
          this.#flush(written)
          written = 0
          this.#sendInParts(encoder.message(scan, sequence, head.deliveryAnnotations), head.settled)
          room = 0
        } else {
          written++
          room--
        }
        this.#at = scan.end
        this.#passed++
        this.#indexMin = indexOf(sequence) + 1
      }
    } catch (error) {
      if (!isPenstockError(error, 'BATCH_CORRUPT')) throw error
      this.#options.logger.error('the rest of a record cannot be read; its readers get nothing of it', {
        ...{ hub: this.#options.hub.name, partition: this.#options.partition, offset: record.offset, error },
      })
      this.#enter(record.offset + 1)
    }
    this.#flush(written)
  }

  /** Enters the next message that the reader wants; `undefined`: the record has no more, and the next one is begun. */
  #nextIn(record: ShownRecord): number | undefined {
    for (;;) {
      const block = record.blocks[this.#block]
      if (block === undefined) {
        this.#enter(record.offset + 1)
        return undefined
      }
      if (scan.bytes !== block) scan.open(block)
      scan.end = this.#at
      if (!scan.next()) {
        this.#block++
        this.#at = 0
        continue
      }
      const index = record.indexes === undefined ? this.#passed : (record.indexes[this.#passed] ?? 0)
      if (index >= this.#indexMin && scan.enqueuedAtMs() >= this.#enqueuedAtMsMin) {
        this.#enqueuedAtMsMin = 0
        return sequenceOf(record.offset, index)
      }
      scan.readMaps()
      this.#at = scan.end
      this.#passed++
    }
  }

  #enter(offset: number): void {
    this.#offset = offset
    this.#block = 0
    this.#at = 0
    this.#passed = 0
    this.#indexMin = 0
  }

  /** Goes on behind the last message that was sent, wherever that lies now. */
  #enterEdition(edition: number): void {
    const indexMin = this.#indexMin
    this.#enter(this.#offset)
    this.#indexMin = indexMin
    this.#edition = edition
  }

  #flush(messages: number): void {
    const { encoder, link, onSent } = this.#options
    if (messages === 0) return
    assert(encoder.length <= encoder.bytes.length, 'the transfers of a slice lie in their buffer')
    link.session.writeTransfers(Buffer.from(encoder.bytes.subarray(0, encoder.length)), messages, messages)
    link.spend(messages)
    onSent(messages)
    encoder.begin()
  }

  #sendInParts(payload: Buffer, settled: boolean): void {
    const { link, onSent } = this.#options
    const tag = Buffer.alloc(4)
    tag.writeUInt32BE(link.session.nextDeliveryId)
    link.session.transfer(link, { payload, tag, settled, resolve: () => {} }, settled)
    link.spend(1)
    onSent(1)
  }

  #head(): TransferHead {
    const { session, request } = this.#options.link
    return {
      channel: session.channel,
      handle: request.handle,
      // A client that insists on settling does so, and it changes nothing.
      settled: request.senderSettleMode !== 0,
      frameBytesMax: session.clientFrameBytesMax,
      deliveryAnnotations: this.#runtime === undefined ? noSection : runtimeSection(this.#runtime, this.#runtimeAtMs),
    }
  }

  async #refreshRuntime(): Promise<void> {
    const { tellsRuntime, hub, partition, clock } = this.#options
    if (!tellsRuntime) return
    const nowMs = clock.nowMs()
    if (this.#runtime !== undefined && nowMs - this.#runtimeAtMs < limits.readingRuntimeAgeMs) return
    this.#runtime = await hub.runtime(partition)
    this.#runtimeAtMs = nowMs
  }
}
