/**
 * The port of reading: the log as its readers outside see it, a hub of events for each of its topics.
 *
 *   log        partition │ record 7: 0 1 2 … n-1 │ record 8: 0 1 … │      a record is a batch of messages
 *   readers    partition │ 7 × 65,536 + 0 … n-1  │ 8 × 65,536 + 0 … │    its sequence number says where a message lies
 *
 * Numbers grow, stay the same over restarts, and have gaps between records: nothing is counted and nothing is kept to know them. An offset
 * is the same number as text. Nobody's position is kept here: readers keep their own.
 */
import type { BatchStamp } from '#pipeline/log/log.ts'

/** Messages that a record may have: what the lower part of a sequence number can say. `limits.recordMessagesMax` is tied to it. */
export const sequencesPerRecord = 65_536

/** Number of the message with this index, from 0, in the record at this offset; exact up to 2^37 records of a partition. */
export function sequenceOf(offset: number, index: number): number {
  return offset * sequencesPerRecord + index
}

export const offsetOf = (sequence: number): number => Math.floor(sequence / sequencesPerRecord)
export const indexOf = (sequence: number): number => sequence % sequencesPerRecord

/** Where a reader begins. */
export type StartPosition =
  | { readonly from: 'oldest' | 'latest' }
  /** @param sequence -1 is before the oldest */
  | { readonly from: 'sequence'; readonly sequence: number; readonly inclusive: boolean }
  /** With the first message that was enqueued after this, or at it. */
  | { readonly from: 'time'; readonly atMs: number; readonly inclusive: boolean }

/** What a start position is at the moment. */
export interface FoundStart {
  readonly sequence: number
  /** Messages enqueued before this are left out, up to the first that was not. */
  readonly enqueuedAtMsMin: number
}

/** A record as readers get it. */
export interface ShownRecord {
  readonly offset: number
  readonly stamp: BatchStamp
  /** Envelopes of its messages, a buffer a block. Not to be changed. */
  readonly blocks: readonly Buffer[]
  /** Index in the record of each message that is shown; `undefined`: all are, from 0. */
  readonly indexes: Uint32Array | undefined
  /** Where it is another one than before, messages may lie elsewhere in the blocks, and others may be shown. */
  readonly edition: number
}

/** What is known of a partition at the moment. */
export interface PartitionRuntime {
  readonly isEmpty: boolean
  readonly sequenceFirst: number
  /** One below `sequenceFirst` if nothing is kept. */
  readonly sequenceLast: number
  /** Undefined if nothing is kept. */
  readonly enqueuedAtMsLast: number | undefined
}

/** All hubs of events. */
export interface EventHubs {
  /** In lower case. */
  readonly names: readonly string[]
  /** Opens a hub where nobody asked for it before. @param name one of `names` */
  hub(name: string): Promise<EventHub>
}

/** Messages of one topic. Faults of its calls: LOG_UNAVAILABLE (retry). */
export interface EventHub {
  readonly name: string
  readonly partitionCount: number
  runtime(partition: number): Promise<PartitionRuntime>
  /** @throws READING_POSITION_INVALID of a position behind the end */
  find(partition: number, position: StartPosition): Promise<FoundStart>
  /**
   * The first record at `offset` or behind it; `undefined`: there is none yet. At once where the record is at hand. Corrupt records show
   * nothing.
   * @throws READING_POSITION_INVALID of an offset of a log that was there before, which the one that is there now has not reached
   */
  recordAt(partition: number, offset: number): ShownRecord | undefined | Promise<ShownRecord | undefined>
  /** Calls back once, as soon as there is a record at `offset` or behind it, or the log ends before it. @returns cancels it */
  onRecord(partition: number, offset: number, action: () => void): () => void
}
