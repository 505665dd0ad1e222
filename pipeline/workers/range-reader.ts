/**
 * Reads one partition ahead of the inserts and cuts what it has read into ranges.
 *
 *   log ── read ──▶ [record │ record │ record │ …] ── range() ──▶ a..b, joined without copying
 *                    at most `readBytesMax`          due when full (or the queue is), at the partition's next turn (each `insertDelayMs`), or
 *                                                    when what follows can't belong to it (another day, not a batch)
 *
 * Partitions take turns within `insertDelayMs`: inserts that began together would take all cores for as long as they run.
 */
import type { DeliveryRange, RangeLimits } from '#pipeline/endpoints/delivery-range.ts'
import type { Assignment, LogRecord } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { Change } from '#runtime/change.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { walkBatch } from '#schemas/batch-walk.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { utcDayOf } from '#schemas/time.ts'

const readWaitMs = 1_000
const retryDelayMs = 200

/** A log record with what the worker needs to know of it, found out once. */
export interface ReadRecord {
  readonly record: LogRecord
  readonly readMonotonicMs: number
  readonly rowCount: number
  readonly bodyBytesMax: number
  /** Days since 1970, UTC. */
  readonly day: number
  /** Why this is no batch; `undefined` if it is one. */
  readonly fault: string | undefined
}

export type Cut =
  | { readonly kind: 'range'; readonly records: readonly ReadRecord[] }
  | { readonly kind: 'unreadable'; readonly record: ReadRecord; readonly fault: string }

export interface RangeReaderOptions {
  readonly assignment: Assignment
  /** Of the log to read. */
  readonly logId: string
  readonly clock: Clock
  readonly insertDelayMs: number
  readonly readBytesMax: number
  /** What one range may hold. */
  readonly rangeLimits: RangeLimits
  /** Fewer messages than `rangeLimits` allow. */
  readonly rangeMessagesMax?: number | undefined
  /** Aborted when the task ends. */
  readonly ended: AbortSignal
}

export class RangeReader {
  readonly #options: RangeReaderOptions
  readonly #limits: RangeLimits
  readonly #queue: ReadRecord[] = []
  #queueBytes = 0
  /** Part of `#queueBytes` that an insert holds; it does not count as read ahead. */
  #takenBytes = 0
  #nextOffset: number
  #hasTaken = false
  #failure: unknown
  #failed = false
  readonly #change = new Change()

  /** @param offset first offset to read. Reading begins with `run`. */
  constructor(options: RangeReaderOptions, offset: number) {
    this.#options = options
    const { rangeLimits, rangeMessagesMax = rangeLimits.messagesMax } = options
    this.#limits = { ...rangeLimits, messagesMax: Math.min(rangeLimits.messagesMax, rangeMessagesMax) }
    this.#nextOffset = offset
  }

  /** Reads until the task ends; the first failure that is not `retry` is handed to whoever waits for a cut. */
  async run(): Promise<void> {
    const { assignment, logId, clock, ended } = this.#options
    while (!ended.aborted) {
      const roomBytes = this.#roomBytes()
      if (roomBytes <= 0) {
        await this.#change.wait(clock, ended)
        continue
      }
      try {
        const records = await assignment.read(this.#nextOffset, roomBytes, readWaitMs, logId)
        if (records.length > 0) this.#add(records, clock.monotonicMs())
      } catch (error) {
        if (isPenstockError(error) && error.disposition === 'retry') {
          await sleep(clock, retryDelayMs, ended)
          continue
        }
        this.#failure = error
        this.#failed = true
        this.#change.happened()
        return
      }
    }
  }

  /** What would be cut now, or `undefined` if nothing is due yet. Nothing is removed. */
  due(recordsMax: number): Cut | undefined {
    const head = this.#queue[0]
    if (!head) return undefined
    if (head.fault !== undefined) return { kind: 'unreadable', record: head, fault: head.fault }
    const { length, full } = lengthOfRange(this.#queue, recordsMax, this.#limits)
    if (!full && this.#roomBytes() > 0 && this.#delayLeftMs(head) > 0) return undefined
    return { kind: 'range', records: this.#queue.slice(0, length) }
  }

  /** Waits until a cut is due; `undefined` when the task ended. @throws what made reading fail */
  async cut(recordsMax: number): Promise<Cut | undefined> {
    const { clock, ended } = this.#options
    while (!ended.aborted) {
      const cut = this.due(recordsMax)
      if (cut) return cut
      if (this.#failed) throw this.#failure
      const head = this.#queue[0]
      if (head) await this.#change.wait(clock, ended, this.#delayLeftMs(head))
      else await this.#change.wait(clock, ended)
    }
    return undefined
  }

  /**
   * Waits until everything up to offset `last` is read: the records of an open intent.
   * Records that retention removed are missing in it.
   */
  async through(last: number): Promise<readonly ReadRecord[] | undefined> {
    const { clock, ended } = this.#options
    while (!ended.aborted) {
      const newest = this.#queue.at(-1)
      if (newest && newest.record.offset >= last) return this.#queue.filter(({ record }) => record.offset <= last)
      if (this.#failed) throw this.#failure
      await this.#change.wait(clock, ended)
    }
    return undefined
  }

  /** Says that everything up to `last` is being inserted, so that reading ahead goes on beside it. */
  take(last: number): void {
    this.#hasTaken = true
    this.#takenBytes = 0
    for (const { record } of this.#queue) {
      if (record.offset > last) break
      this.#takenBytes += record.value.length
    }
    this.#change.happened()
  }

  /** Forgets everything up to `last`, which is settled, and makes room to read on. */
  settle(last: number): void {
    let length = 0
    for (const { record } of this.#queue) {
      if (record.offset > last) break
      this.#queueBytes -= record.value.length
      length++
    }
    this.#queue.splice(0, length)
    // What stays counted would be room that is never free again.
    assert(
      this.#queue.length > 0 || this.#queueBytes === 0,
      `no batch is left that could have ${this.#queueBytes} bytes`,
    )
    this.#takenBytes = 0
    this.#change.happened()
  }

  /** Nothing more is read while there is none, so nothing can be gathered either. */
  #roomBytes(): number {
    return this.#options.readBytesMax - (this.#queueBytes - this.#takenBytes)
  }

  /**
   * How long `head` still waits for others: until the first turn after it was read. What waited for a reader as long as that, while the partition was handed over, waits
   * no more.
   */
  #delayLeftMs({ record, readMonotonicMs }: ReadRecord): number {
    const { assignment, clock, insertDelayMs } = this.#options
    if (!this.#hasTaken && clock.nowMs() - record.stamp.enqueuedAtMsLast >= insertDelayMs) return 0
    const turnMs = turnOf(assignment.partition) * insertDelayMs
    const sinceTurnMs = (readMonotonicMs + insertDelayMs - turnMs) % insertDelayMs
    return insertDelayMs - sinceTurnMs - (clock.monotonicMs() - readMonotonicMs)
  }

  #add(records: readonly LogRecord[], readMonotonicMs: number): void {
    for (const record of records) {
      assert(
        record.offset >= this.#nextOffset,
        `the log answers batches from ${this.#nextOffset} on, not ${record.offset}`,
      )
      assert(record.stamp.messageCount >= 1, `a batch at offset ${record.offset} is stamped with a message at least`)
      this.#queue.push(inspect(record, readMonotonicMs))
      this.#queueBytes += record.value.length
      this.#nextOffset = record.offset + 1
    }
    this.#change.happened()
  }
}

/** From 0 to 1: bits reversed (van der Corput's sequence), so that neighbours lie far apart however many there are. */
function turnOf(partition: number): number {
  let turn = 0
  for (let bits = partition, half = 0.5; bits > 0; bits >>>= 1, half /= 2) turn += (bits & 1) * half
  return turn
}

/** How many records from the head make one insert, and whether waiting could add another. */
function lengthOfRange(
  queue: readonly ReadRecord[],
  recordsMax: number,
  { messagesMax, bytesMax, envelopeBytesMax }: RangeLimits,
): { readonly length: number; readonly full: boolean } {
  const day = queue[0]?.day
  let rows = 0
  let bytes = 0
  let bodyBytes = 0
  let length = 0
  for (const { record, rowCount, bodyBytesMax, day: recordDay, fault } of queue) {
    rows += rowCount
    bytes += record.value.length
    bodyBytes += bodyBytesMax
    const fits =
      fault === undefined &&
      recordDay === day &&
      length < recordsMax &&
      rows <= messagesMax &&
      bytes <= bytesMax &&
      bodyBytes <= envelopeBytesMax
    // The first one always goes, since a batch can't be made smaller here.
    if (length > 0 && !fits) return { length, full: true }
    length++
  }
  return { length, full: length >= recordsMax }
}

function inspect(record: LogRecord, readMonotonicMs: number): ReadRecord {
  const { enqueuedAtMsFirst, enqueuedAtMsLast, messageCount } = record.stamp
  const walk = walkBatch(record.value)
  const day = utcDayOf(enqueuedAtMsFirst)
  let fault: string | undefined
  if (walk.kind === 'corrupt') fault = walk.text
  else if (walk.rowCount !== messageCount) fault = `holds ${walk.rowCount} messages, its stamp says ${messageCount}`
  else if (utcDayOf(enqueuedAtMsLast) !== day) fault = 'spans two UTC days'
  return walk.kind === 'corrupt'
    ? { record, readMonotonicMs, rowCount: 0, bodyBytesMax: 0, day, fault }
    : { record, readMonotonicMs, rowCount: walk.rowCount, bodyBytesMax: walk.bodyBytesMax, day, fault }
}

/** The range of all `records` (at least one), of which `news` become rows. */
export function rangeOf(
  topic: string,
  partition: number,
  records: readonly ReadRecord[],
  news: readonly ReadRecord[],
): DeliveryRange {
  const [head] = records
  const tail = records.at(-1)
  assert(head && tail, 'a range has a batch')
  const first = head.record.offset
  const last = tail.record.offset
  assert(last - first + 1 >= records.length, `a range from ${first} to ${last} has no more batches than offsets`)
  let messageCount = 0
  let enqueuedAtMsFirst = Number.MAX_SAFE_INTEGER
  let enqueuedAtMsLast = 0
  for (const { record, rowCount: rows } of news) {
    messageCount += rows
    // The edge's clock may have jumped back within a batch.
    enqueuedAtMsFirst = Math.min(enqueuedAtMsFirst, record.stamp.enqueuedAtMsFirst, record.stamp.enqueuedAtMsLast)
    enqueuedAtMsLast = Math.max(enqueuedAtMsLast, record.stamp.enqueuedAtMsFirst, record.stamp.enqueuedAtMsLast)
  }
  return { topic, partition, first, last, messageCount, enqueuedAtMsFirst, enqueuedAtMsLast }
}
