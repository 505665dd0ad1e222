import { assert } from '#runtime/assert.ts'
import { lengthPrefixed } from '#schemas/batch.ts'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** Ways on which messages come, as metrics tell them apart. */
export type SentOver = 'mqtt' | 'websocket' | 'http' | 'amqp'

/**
 * Waits for messages to be settled. It is told once for each batch that holds some of them, in the order in which these
 * were filled.
 */
export interface BatchOwner {
  /** How its messages came; the same for all of them. */
  readonly sentOver: SentOver
  /** The batch it last wrote to and its index there: the owner is entered once a batch, not once a message. */
  batch: OpenBatch | undefined
  batchIndex: number
  /** The oldest `count` messages that wait are durable. */
  settled(count: number): void
  /**
   * Of the oldest `count` messages that wait it will not be heard that they are durable.
   * @param why INGEST_MESSAGE_REFUSED: the log refused them for good; INGEST_DRAINING, LOG_UNAVAILABLE: it refused them together with
   *   those of others, or is not asked any more
   */
  refused(count: number, why: PenstockError): void
}

/** The part of an envelope that stays the same from message to message of one device and topic, already encoded. */
export interface EnvelopeFrame {
  /** Avro string: the device id. */
  readonly prefix: Uint8Array
  /** Two Avro maps: properties and system properties. */
  readonly suffix: Uint8Array
}

export function envelopePrefix(deviceId: Uint8Array): Uint8Array {
  return lengthPrefixed(deviceId)
}

const firstBytes = 64 * 1024
const largestFieldOverheadBytes = 16

/** True if an envelope with this body fits a batch that is empty: then `OpenBatch.reserve` has room for it there. */
export function fitsBlock(frame: EnvelopeFrame, bodyBytes: number): boolean {
  return mostBytesOf(frame, bodyBytes) <= limits.blockBytesMax
}

function mostBytesOf({ prefix, suffix }: EnvelopeFrame, bodyBytes: number): number {
  return prefix.length + suffix.length + bodyBytes + largestFieldOverheadBytes
}

/**
 * Envelopes of one partition being gathered in a reused buffer.
 *
 *   deviceId      enqueuedAtMs   body            properties, systemProperties
 *   frame.prefix  6–7 bytes      length + bytes  frame.suffix
 */
export class OpenBatch {
  bytes: Buffer
  length = 0
  messageCount = 0
  readonly day: number
  readonly enqueuedAtMsFirst: number
  enqueuedAtMsLast: number
  readonly owners: BatchOwner[] = []
  readonly ownerCounts: number[] = []
  readonly #buffers: BatchBuffers

  /** @param buffers where `bytes` comes from, and is to be given back */
  constructor(buffers: BatchBuffers, expectedBytes: number, day: number, nowMs: number) {
    this.#buffers = buffers
    this.bytes = buffers.take(expectedBytes)
    this.day = day
    this.enqueuedAtMsFirst = nowMs
    this.enqueuedAtMsLast = nowMs
  }

  /** True if an envelope with this body still fits; grows the buffer up to `limits.blockBytesMax`. */
  reserve(frame: EnvelopeFrame, bodyBytes: number): boolean {
    const needed = this.length + mostBytesOf(frame, bodyBytes)
    if (needed <= this.bytes.length) return true
    if (needed > limits.blockBytesMax) return false
    const smaller = this.bytes
    this.bytes = this.#buffers.take(needed)
    assert(this.bytes.length >= needed, 'a larger buffer has the room that it was taken for')
    smaller.copy(this.bytes, 0, 0, this.length)
    this.#buffers.give(smaller)
    return true
  }

  /**
   * Writes one envelope; `reserve` was true just before.
   * HOT: per message; copies prefix, time, body and suffix, allocates nothing.
   */
  write(frame: EnvelopeFrame, time: Uint8Array, source: Buffer, bodyStart: number, bodyEnd: number): void {
    const target = this.bytes
    let at = copyBytes(target, this.length, frame.prefix, 0, frame.prefix.length)
    at = copyBytes(target, at, time, 0, time.length)
    const bodyBytes = bodyEnd - bodyStart
    let rest = bodyBytes << 1
    while (rest > 0x7f) {
      target[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    target[at++] = rest
    if (bodyBytes <= copyLoopBytesMax) at = copyBytes(target, at, source, bodyStart, bodyEnd)
    else {
      source.copy(target, at, bodyStart, bodyEnd)
      at += bodyBytes
    }
    if (frame.suffix.length <= copyLoopBytesMax) at = copyBytes(target, at, frame.suffix, 0, frame.suffix.length)
    else {
      target.set(frame.suffix, at)
      at += frame.suffix.length
    }
    this.length = at
    this.messageCount++
  }

  /** Notes that one more message of `owner` waits for this batch. HOT: per acknowledged message. */
  owe(owner: BatchOwner): void {
    if (owner.batch === this) {
      const count = this.ownerCounts[owner.batchIndex] ?? 0
      this.ownerCounts[owner.batchIndex] = count + 1
      return
    }
    owner.batch = this
    owner.batchIndex = this.owners.length
    this.owners.push(owner)
    this.ownerCounts.push(1)
  }
}

/** Of a batch the messages that somebody waits for, by how they came. HOT: per batch and owner. */
export function owedBySentOver({ owners, ownerCounts }: OpenBatch): ReadonlyMap<SentOver, number> {
  const owed = new Map<SentOver, number>()
  for (let i = 0; i < owners.length; i++) {
    const { sentOver } = owners[i] as BatchOwner
    owed.set(sentOver, (owed.get(sentOver) ?? 0) + (ownerCounts[i] as number))
  }
  return owed
}

/** Below this a byte loop beats the call into native code. */
const copyLoopBytesMax = 64

function copyBytes(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): number {
  let to = at
  for (let from = start; from < end; from++) target[to++] = source[from] as number
  return to
}

/** Buffers of open batches, kept for reuse by capacity. Owner of every buffer between two batches. */
export class BatchBuffers {
  readonly #free = new Map<number, Buffer[]>()
  readonly #keptMax: number

  constructor(keptMax: number) {
    assert(keptMax > 0, 'buffers are kept to be used again')
    this.#keptMax = keptMax
  }

  /** A buffer for `expectedBytes`, a power of two from 64 KiB to `limits.blockBytesMax`, which is the most it holds. */
  take(expectedBytes: number): Buffer {
    let capacity = firstBytes
    while (capacity < expectedBytes && capacity < limits.blockBytesMax) capacity *= 2
    return this.#free.get(capacity)?.pop() ?? Buffer.allocUnsafeSlow(capacity)
  }

  /** `buffer` came from `take`, and nobody reads it any more. */
  give(buffer: Buffer): void {
    assert(
      buffer.length >= firstBytes && buffer.length <= limits.blockBytesMax,
      'a buffer comes back that was taken here',
    )
    const free = this.#free.get(buffer.length) ?? []
    assert(!free.includes(buffer), 'a buffer comes back once: two batches would write over one another')
    if (free.length < this.#keptMax) free.push(buffer)
    this.#free.set(buffer.length, free)
  }
}
