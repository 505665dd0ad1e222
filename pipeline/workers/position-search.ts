/**
 * Finds where delivery goes on in a partition for which the log has no position of the group, though rows of its batches may be
 * there: Kafka forgets the positions of a group that had no member for `offsets.retention.minutes`.
 *
 *   log    │ … │ f │ f+1 │ … │ l │ l+1 │ …     an insert stores the batches f..l wholly or not at all, under the position f
 *   rows     …   └─── n rows ──┘               inserts follow one another, so the newest position with rows is the last insert;
 *                                              it ends at the batch l with which the messages from f on are n, and l+1 is next
 *
 *   no rows that could be of this log ─▶ the oldest batch
 *   rows ─▶ wait until nothing that was sent before can land ─▶ add up ── as many ──▶ behind the last batch that is stored or a letter
 *                                                                 └────── otherwise ─▶ LOG_POSITION_UNKNOWN: nobody guesses
 *
 * Rows of an older log under the same positions are older than every batch of this one. The log is read whole, twice: rare enough.
 */
import type { RowGroup } from '#pipeline/endpoints/delivery-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Assignment, LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { DeliveredSequences } from './delivered-sequences.ts'
import type { ProtocolStep } from './delivery.ts'
import type { DeadLetterBox } from './undeliverable.ts'

const readWaitMs = 1_000
const retryDelayMs = 500

export interface PositionSearchOptions {
  readonly topic: string
  readonly group: string
  readonly assignment: Assignment
  /** Names the log that is there now. */
  readonly logId: () => Promise<string>
  /** What the log keeps of the partition. */
  readonly range: () => Promise<PartitionRange>
  readonly sink: TableSink
  /** False: rows are of some messages only, and can't be added up against those of the log. */
  readonly selectsEverything?: boolean
  /** Where delivery begins in a partition of which nothing is stored; left out: at the oldest batch. */
  readonly start?: StartRule | undefined
  /** Whose letters count; `undefined`: those of the log's own destination. */
  readonly letterEndpoint?: string | undefined
  readonly deadLetters: DeadLetterBox
  readonly clock: Clock
  readonly logger: Logger
  readonly insertBeginMsMax: number
  readonly readBytesMax: number
  readonly skipSteps: ReadonlySet<ProtocolStep>
  /** Told of each failure for which the search begins again. */
  readonly onWait: (error: PenstockError) => void
  /** Aborted when the task ends. */
  readonly ended: AbortSignal
}

/**
 * Says where a destination begins in a partition. For one partition it says the same whenever it is asked, say the first batch since a moment, as
 * a position that the log forgot is asked for again: then something comes twice, and nothing is left out.
 */
export type StartRule = (partition: number, range: PartitionRange) => Promise<number>

export interface FoundPosition {
  readonly logId: string
  readonly offset: number
  readonly delivered: DeliveredSequences
  /** True if rows show it. */
  readonly fromRows: boolean
}

/**
 * Asks again and again while log or sink can't be reached.
 * @returns `undefined` if the task ended first
 * @throws LOG_POSITION_UNKNOWN, LOG_GENERATION_STALE
 */
export async function searchPosition(options: PositionSearchOptions): Promise<FoundPosition | undefined> {
  const { assignment, clock, ended, logger, onWait } = options
  while (!ended.aborted) {
    try {
      return await search(options)
    } catch (error) {
      if (!isPenstockError(error)) throw error
      // Retention may move on while the log is read, and the log be made anew.
      if (error.disposition !== 'retry' && error.code !== 'LOG_POSITION_LOST' && error.code !== 'LOG_REPLACED')
        throw error
      logger.warn('where delivery goes on is not known yet', { partition: assignment.partition, error })
      onWait(error)
      await sleep(clock, retryDelayMs, ended)
    }
  }
  return undefined
}

/** Which log is searched, and what it keeps. */
export interface Place {
  readonly logId: string
  readonly range: PartitionRange
}

async function search(options: PositionSearchOptions): Promise<FoundPosition | undefined> {
  const { assignment, sink, clock, ended, logger, insertBeginMsMax, skipSteps } = options
  const { partition } = assignment
  for (let waited = false; !ended.aborted; waited = true) {
    const place = { logId: await options.logId(), range: await options.range() }
    const { range } = place
    if (range.first === range.next || skipSteps.has('search') || !(await sink.newest(partition, range.next, 0)))
      return await startOf(options, place)
    const sinceMs = await oldestTimeOf(options, place)
    const newest = await sink.newest(partition, range.next, sinceMs)
    if (!newest) return await startOf(options, place)
    assertNewest(newest, range)
    if (waited || skipSteps.has('search-wait')) return await addUp(options, place, newest)
    logger.warn('no position is kept, though batches are rows already; looking how far they go', { partition })
    await sleep(clock, insertBeginMsMax + sink.insertMsMax, ended)
  }
  return undefined
}

/** Where a destination begins of which nothing is stored. */
export async function startOf(
  { assignment: { partition }, start }: Pick<PositionSearchOptions, 'assignment' | 'start'>,
  { logId, range }: Place,
): Promise<FoundPosition> {
  const asked = (await start?.(partition, range)) ?? range.first
  assert(isCount(asked), `delivery of a partition begins at an offset, and not at ${asked}`)
  const offset = Math.min(range.next, Math.max(range.first, asked))
  return { logId, offset, delivered: new DeliveredSequences(), fromRows: false }
}

/** What the sink answered is what the position is made of. */
function assertNewest({ offset, rowCount, last = offset }: RowGroup, { next }: PartitionRange): void {
  assert(
    offset >= 0 && offset < next,
    `the newest rows lie below offset ${next}, which was asked for, and not at ${offset}`,
  )
  assert(rowCount > 0, `newest rows are some, and not ${rowCount}`)
  assert(last >= offset && last < next, `an insert from offset ${offset} on ends below ${next}, and not at ${last}`)
}

async function oldestTimeOf(options: PositionSearchOptions, place: Place): Promise<number> {
  let oldestMs = Number.MAX_SAFE_INTEGER
  for await (const { stamp } of recordsOf(options, place))
    oldestMs = Math.min(oldestMs, stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
  return oldestMs
}

/** Adds up the batches from the newest rows on, and the letters behind them. */
async function addUp(
  options: PositionSearchOptions,
  place: Place,
  newest: RowGroup,
): Promise<FoundPosition | undefined> {
  const { logId, range } = place
  const { assignment, topic, deadLetters, ended, logger } = options
  const { partition } = assignment
  if (newest.offset < range.first)
    throw unknown(options, `the newest rows lie under ${newest.offset}, which the log no longer keeps`)
  if (newest.last === undefined && options.selectsEverything === false)
    throw unknown(options, `rows lie under ${newest.offset}, and which batches they are of depends on routes`)
  const lettered = await deadLetters.lettered(topic, partition, options.letterEndpoint)
  // What is a letter proves nothing about its stamp, so it may be sent again but is never left out.
  const delivered = new DeliveredSequences()
  let next: number | undefined
  let messages = 0
  let fromMs = Number.MAX_SAFE_INTEGER
  let toMs = 0
  for await (const { offset, stamp } of recordsOf(options, place)) {
    const letterCount = lettered.get(offset) ?? 0
    if (next !== undefined) {
      if (letterCount === 0) continue
      // What became a letter is settled, and so is everything before it.
      if (letterCount < stamp.messageCount || offset !== next)
        throw unknown(
          options,
          `of the batch at ${offset}, behind the newest rows, ${letterCount} messages are dead letters`,
        )
      next = offset + 1
      continue
    }
    const isCounted = offset >= newest.offset
    if (isCounted) {
      fromMs = Math.min(fromMs, stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
      toMs = Math.max(toMs, stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
      // Workers leave out what an edge appended twice.
      if (!delivered.has(stamp)) messages += Math.max(0, stamp.messageCount - letterCount)
    }
    if (letterCount === 0) delivered.add(stamp)
    const isWhole =
      newest.last === undefined
        ? messages === newest.rowCount && newest.enqueuedAtMsFirst >= fromMs && newest.enqueuedAtMsLast <= toMs
        : offset >= newest.last
    if (isCounted && isWhole) next = offset + 1
  }
  if (ended.aborted) return undefined
  if (next === undefined)
    throw unknown(
      options,
      `${newest.rowCount} rows lie under ${newest.offset}, and the batches from there on never add up to as many messages`,
    )
  logger.warn('no position is kept; delivery goes on behind the newest rows', { partition, offset: next })
  return { logId, offset: next, delivered, fromRows: true }
}

async function* recordsOf(
  { assignment, readBytesMax, ended }: PositionSearchOptions,
  { logId, range: { first, next } }: Place,
): AsyncGenerator<LogRecord> {
  for (let offset = first; offset < next && !ended.aborted; ) {
    for (const record of await assignment.read(offset, readBytesMax, readWaitMs, logId)) {
      assert(record.offset >= offset, `the log answers batches from offset ${offset} on, and not ${record.offset}`)
      if (record.offset < next) yield record
      offset = record.offset + 1
    }
  }
}

function unknown({ assignment, topic, group }: PositionSearchOptions, reason: string): PenstockError {
  const { partition } = assignment
  return new PenstockError(
    'LOG_POSITION_UNKNOWN',
    `the log has no position of group ${group} in ${topic}/${partition}, and the rows do not show how far it is delivered: ${reason}. ` +
      'Look which batch is the first without rows, and set the position to it while no worker runs: ' +
      `kafka-consumer-groups.sh --group ${group} --topic ${topic}:${partition} --reset-offsets --to-offset <offset> --execute`,
  )
}
