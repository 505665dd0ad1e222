/**
 * Delivers one assigned partition under one generation, exactly once. docs/GUARANTEES.md argues why.
 *
 *   assigned ──▶ open intent a..b? ── read a..b ──▶ deliver ──┐
 *                     │ none                                  │
 *                     ▼                                       ▼
 *   ┌───────────▶ cut a range ──────────────────────────▶ deliver ──▶ stored: position b+1, written down with the next
 *   │               │ not a batch                             │       intent or as soon as nothing is due
 *   │               ▼                                         ▼
 *   │            dead letter, position a+1            refused ── several: cut half as many
 *   │               │                                         └── one: message by message (`split-batch.ts`), position a+1
 *   └───────────────┴─────────────────────────────────────────┘
 */
import type { Assignment, LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import { sleep } from '#runtime/clock.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { DeadLetterReason } from '#schemas/dead-letter.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { type DeliveryOptions, type DeliveryOutcome, deliverRange, type EarlierInsert } from './deliver-range.ts'
import { DeliveredSequences } from './delivered-sequences.ts'
import { type Intent, noteFromText, type Split, textFromNote, tokenOf } from './intent.ts'
import { type FoundPosition, searchPosition } from './position-search.ts'
import { type Cut, chunksOf, RangeReader, type ReadRecord, rangeOf } from './range-reader.ts'
import { putLetter, type SplitOptions, settleByMessage } from './split-batch.ts'
import { observeStored } from './stage-times.ts'

/** Where what can't be delivered goes. */
export interface DeadLetterBox {
  /** Resolves once the letter is durable. @throws LOG_* with disposition `retry` if it may be tried again */
  put(letter: UndeliverableRecord): Promise<void>
  /** How many messages became letters, by the offset of their batch. Reads the whole box. @throws LOG_UNAVAILABLE */
  lettered(topic: string, partition: number): Promise<ReadonlyMap<number, number>>
}

export interface UndeliverableRecord {
  readonly topic: string
  readonly partition: number
  /** Its value holds what is given up, its stamp counts it. */
  readonly record: LogRecord
  /** Which message of the batch at this offset is its first. */
  readonly messageFirst: number
  readonly reason: DeadLetterReason
  readonly text: string
}

export interface PartitionTaskOptions extends Omit<DeliveryOptions, 'onFailure' | 'onRefusal' | 'onStoredDespite'> {
  readonly topic: string
  readonly group: string
  readonly assignment: Assignment
  /** Names the log that is there now. */
  readonly logId: () => Promise<string>
  /** What the log keeps of this partition. */
  readonly range: () => Promise<PartitionRange>
  readonly deadLetters: DeadLetterBox
  readonly metrics: Metrics<MetricName>
  readonly insertDelayMs: number
  readonly readBytesMax: number
  /** Told whenever the next offset to deliver moves, or a part of the batch there is settled. */
  readonly onOffset: (offset: number) => void
}

const retryDelayMs = 500
/** How long a record that should be there is waited for. */
const recordWaitMs = 1_000

/**
 * Runs until the assignment ends, which is no error. Rejects with what no retry can heal.
 * @throws INTENT_CORRUPT, LOG_POSITION_UNKNOWN, and faults of the program
 */
export async function runPartition(options: PartitionTaskOptions): Promise<void> {
  try {
    const { position } = options.assignment
    const found = position ? undefined : await searchPosition(options)
    const offset = position?.offset ?? found?.offset
    if (offset === undefined) return
    if (found && !found.fromRows && offset > 0) reportLost(options, offset, 'no position is kept')
    const logId = found?.logId ?? (await untilLogAnswers(options, 'the log does not say which it is', options.logId))
    await new PartitionTask(options, logId, offset, found).run()
  } catch (error) {
    if (isPenstockError(error, 'LOG_GENERATION_STALE') || isPenstockError(error, 'LOG_CLOSED')) return
    // What was under way when the assignment ended is found by its next owner.
    if (options.ended.aborted && isPenstockError(error) && error.disposition === 'retry') return
    throw error
  }
}

class PartitionTask {
  readonly #options: PartitionTaskOptions
  readonly #delivery: DeliveryOptions
  #reader: RangeReader
  /** Of the log that is delivered. */
  #logId: string
  /** Logs that were there before it; a broker that is behind may name one of them. */
  readonly #logIdsBefore = new Set<string>()
  /** Next offset to deliver. */
  #offset: number
  /** Batches settled below `#offset`. */
  #delivered = new DeliveredSequences()
  /** False while the log does not know `#offset` yet. */
  #offsetCommitted = true
  /** What an earlier owner may have sent from `#offset` on, without an intent that is left of it. */
  #earlier: EarlierInsert = 'none'
  #recordsMax = Number.POSITIVE_INFINITY
  /** The last insert that the sink refused; unknown to an owner that only finds the verdict. */
  #refusal: PenstockError | undefined

  constructor(options: PartitionTaskOptions, logId: string, offset: number, found: FoundPosition | undefined) {
    const { metrics, sink } = options
    const failures = metrics.series('penstock_worker_insert_failures_total', { sink: sink.name })
    const refusals = metrics.series('penstock_worker_inserts_refused_total', { sink: sink.name })
    const despite = metrics.series('penstock_worker_inserts_stored_despite_error_total', { sink: sink.name })
    this.#options = options
    this.#delivery = {
      ...options,
      onFailure: () => failures.add(1),
      onRefusal: (error) => {
        refusals.add(1)
        this.#refusal = error
      },
      onStoredDespite: () => despite.add(1),
    }
    this.#logId = logId
    this.#offset = offset
    this.#reader = new RangeReader({ ...options, logId }, offset)
    if (!found) return
    this.#earlier = 'landed'
    this.#delivered = found.delivered
    this.#offsetCommitted = !found.fromRows
  }

  async run(): Promise<void> {
    const { ended } = this.#options
    void this.#reader.run()
    this.#options.onOffset(this.#offset)
    await this.#despiteLosses(() => this.#recover())
    while (!ended.aborted)
      await this.#despiteLosses(async () => {
        if (!this.#offsetCommitted && !this.#reader.due(this.#recordsMax)) await this.#commit(undefined)
        const cut = await this.#reader.cut(this.#recordsMax)
        if (cut) await this.#settle(cut)
      })
    if (!this.#offsetCommitted) await this.#commit(undefined)
  }

  /** Runs `action`, and goes on elsewhere if the log turns out not to have what the position says. */
  async #despiteLosses(action: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await action()
      } catch (error) {
        if (isPenstockError(error, 'LOG_POSITION_LOST')) return await this.#skipLost(error)
        if (!isPenstockError(error, 'LOG_REPLACED')) throw error
        if (await this.#movedOn()) return await this.#beginAgain(error)
      }
    }
  }

  /** Settles what an earlier owner of this partition left open. */
  async #recover(): Promise<void> {
    const { assignment, topic, metrics, logger } = this.#options
    const { partition, position } = assignment
    if (!position) return
    const { intent, split, delivered, logId } = noteFromText(topic, partition, position.offset, position.metadata)
    this.#delivered = new DeliveredSequences(delivered)
    if (logId !== undefined && logId !== this.#logId && !(await this.#hasSettledBefore(position.offset))) {
      this.#logIdsBefore.add(logId)
      return await this.#beginAgain(`the position is of ${logId}, the log is ${this.#logId}`)
    }
    if (split) return await this.#recoverSplit(intent, split)
    if (!intent) return
    let records: readonly ReadRecord[] | undefined
    try {
      records = await this.#reader.through(intent.range.last)
    } catch (error) {
      if (!isPenstockError(error, 'LOG_POSITION_LOST')) throw error
      return await this.#recoverLost(intent, error)
    }
    if (!records) return
    logger.info('open intent found', { partition, first: intent.range.first, last: intent.range.last })
    const outcome = await this.#deliver(intent, records, 'landing')
    metrics.series('penstock_worker_intents_replayed_total', { outcome }).add(1)
  }

  async #recoverSplit(intent: Intent | undefined, split: Split): Promise<void> {
    const { assignment, logger } = this.#options
    const [head] = (await this.#reader.through(this.#offset)) ?? []
    if (!head) return
    logger.info('a batch in parts found', { partition: assignment.partition, offset: this.#offset, ...split })
    await this.#split(head, split, intent)
  }

  async #settle(cut: Cut): Promise<void> {
    if (cut.kind === 'unreadable') return await this.#bury(cut.record, cut.fault)
    const [head] = cut.records
    if (!head) return
    const { topic, assignment } = this.#options
    const range = rangeOf(topic, assignment.partition, cut.records, this.#news(cut.records).records)
    const earlier = this.#earlier
    this.#earlier = 'none'
    await this.#deliver({ range, token: tokenOf(range, head.record.stamp) }, cut.records, earlier)
  }

  /** Of `records` those that were not settled before, and what is settled with them. The same again after a restart. */
  #news(records: readonly ReadRecord[]): {
    readonly records: readonly ReadRecord[]
    readonly delivered: DeliveredSequences
  } {
    const delivered = this.#delivered.copy()
    const news = records.filter(({ record: { stamp } }) => {
      if (delivered.has(stamp)) return this.#options.skipSteps.has('repeats')
      delivered.add(stamp)
      return true
    })
    return { records: news, delivered }
  }

  /** @param records all of the intent's range */
  async #deliver(intent: Intent, records: readonly ReadRecord[], earlier: EarlierInsert): Promise<DeliveryOutcome> {
    const { metrics, sink, skipSteps } = this.#options
    const { range } = intent
    const news = this.#news(records)
    this.#offset = range.first
    this.#reader.take(range.last)
    const commitIntent = (next: Intent) => this.#commit(skipSteps.has('intent') ? undefined : next)
    const outcome =
      news.records.length === 0
        ? 'stored'
        : await deliverRange(this.#delivery, intent, chunksOf(news.records), commitIntent, earlier)
    const [head] = records
    switch (outcome) {
      case 'ended':
        break
      case 'stored':
        this.#delivered = news.delivered
        this.#advance(range.last + 1)
        this.#recordsMax = this.#recordsMax * 2
        metrics.series('penstock_worker_rows_stored_total', { sink: sink.name }).add(range.rowCount)
        observeStored(metrics, sink.name, news.records, this.#options.clock)
        metrics.series('penstock_worker_inserts_total', { sink: sink.name }).add(news.records.length > 0 ? 1 : 0)
        metrics.series('penstock_worker_repeated_batches_total').add(records.length - news.records.length)
        break
      case 'refused':
        // A batch of one message needs no search.
        if (records.length === 1 && head)
          await this.#split(head, { next: 0, stored: 0, given: head.rowCount === 1 ? 1 : 0 }, undefined)
        else this.#recordsMax = Math.ceil(records.length / 2)
    }
    return outcome
  }

  /** The batch at the position, refused as a whole for good: its messages are settled one part after the other. */
  async #split(head: ReadRecord, split: Split, intent: Intent | undefined): Promise<void> {
    this.#reader.take(head.record.offset)
    const outcome = await settleByMessage(this.#splitOptions(), head, split, intent)
    if (outcome === 'ended') return
    // Appended again, it is left out like any other; what can't be read proves nothing about its stamp.
    if (outcome === 'settled') this.#delivered.add(head.record.stamp)
    this.#advance(head.record.offset + 1)
    this.#recordsMax = this.#recordsMax * 2
  }

  /** First the letter, then the position: a crash between the two sends it twice and never loses it. */
  async #bury({ record }: ReadRecord, text: string): Promise<void> {
    const { topic, assignment } = this.#options
    const letter = { topic, partition: assignment.partition, record, messageFirst: 0, text }
    if (await putLetter(this.#splitOptions(), { ...letter, reason: 'BATCH_CORRUPT' })) this.#advance(record.offset + 1)
  }

  #splitOptions(): SplitOptions {
    const { topic, assignment, deadLetters, metrics, sink, onOffset } = this.#options
    return {
      delivery: this.#delivery,
      topic,
      partition: assignment.partition,
      deadLetters,
      refusal: () => this.#refusal,
      commit: (intent, split) => this.#commit(this.#options.skipSteps.has('intent') ? undefined : intent, split),
      onStored: (rowCount) => {
        metrics.series('penstock_worker_rows_stored_total', { sink: sink.name }).add(rowCount)
        metrics.series('penstock_worker_inserts_total', { sink: sink.name }).add(1)
        onOffset(this.#offset)
      },
      onLetter: (reason, messageCount) => {
        metrics.series('penstock_worker_dead_letters_total', { reason }).add(messageCount)
        onOffset(this.#offset)
      },
    }
  }

  /** The intent's batches are gone, so it can't be repeated: once nothing of it can land any more, its rows say what became of it. */
  async #recoverLost({ range }: Intent, cause: unknown): Promise<void> {
    const { sink, clock, ended, insertBeginMsMax, logger, onWait } = this.#options
    await sleep(clock, insertBeginMsMax + sink.insertMsMax, ended)
    while (!ended.aborted) {
      try {
        if ((await sink.stored(range)) === 0) return await this.#skipLost(cause)
        return await this.#restartAt(range.last + 1)
      } catch (error) {
        if (!isPenstockError(error) || error.disposition !== 'retry') throw error
        logger.warn('the sink does not say what it has stored', { partition: range.partition, error })
        onWait(error)
        await sleep(clock, retryDelayMs, ended)
      }
    }
  }

  /** Retention removed what was not delivered: nothing brings it back, so it is said loudly and delivery goes on. */
  async #skipLost(cause: unknown): Promise<void> {
    const { first } = await untilLogAnswers(this.#options, 'the log does not say where it begins', this.#options.range)
    reportLost(this.#options, Math.max(0, first - this.#offset), cause)
    await this.#restartAt(first)
  }

  /**
   * True if the batch before `offset` is one that was settled: a log that was moved with its offsets, to other brokers say, has another
   * id and the same batches. One that was made anew has others there, or none.
   */
  async #hasSettledBefore(offset: number): Promise<boolean> {
    const { assignment } = this.#options
    if (offset === 0) return false
    const read = () => assignment.read(offset - 1, 1, recordWaitMs, this.#logId)
    try {
      const [record] = await untilLogAnswers(this.#options, 'the log does not say what it holds', read)
      return record?.offset === offset - 1 && this.#delivered.has(record.stamp)
    } catch (error) {
      if (!isPenstockError(error, 'LOG_POSITION_LOST')) throw error
      return false
    }
  }

  /** Finds out which log is there; false if it is the one that was delivered: what said otherwise was a broker that is behind. */
  async #movedOn(): Promise<boolean> {
    const { logId: ask, clock, ended } = this.#options
    const logId = await untilLogAnswers(this.#options, 'the log does not say which it is', ask)
    if (logId === this.#logId || this.#logIdsBefore.has(logId)) {
      await sleep(clock, retryDelayMs, ended)
      this.#readFrom(this.#offset)
      return false
    }
    this.#logIdsBefore.add(this.#logId)
    this.#logId = logId
    return true
  }

  /** Another log under this name is delivered from its start. What is settled stays so: an edge may append to it what the old one had. */
  async #beginAgain(cause: unknown): Promise<void> {
    const { assignment, logger, metrics } = this.#options
    logger.error('the log was made anew; delivery begins at its start, and what the old one still held is lost', {
      partition: assignment.partition,
      offsetBefore: this.#offset,
      cause,
    })
    metrics.series('penstock_log_positions_lost_total').add(1)
    await this.#restartAt(0)
  }

  async #restartAt(offset: number): Promise<void> {
    this.#offset = offset
    await this.#commit(undefined)
    this.#options.onOffset(offset)
    this.#readFrom(offset)
  }

  #readFrom(offset: number): void {
    this.#reader = new RangeReader({ ...this.#options, logId: this.#logId }, offset)
    void this.#reader.run()
  }

  #advance(offset: number): void {
    this.#reader.settle(offset - 1)
    this.#offset = offset
    this.#offsetCommitted = false
    this.#options.onOffset(offset)
  }

  /** Writes the position down, again and again while the log can't be reached. */
  async #commit(intent: Intent | undefined, split?: Split): Promise<void> {
    const metadata = textFromNote({ intent, split, delivered: this.#delivered.text(), logId: this.#logId })
    const position = { offset: this.#offset, metadata }
    await untilLogAnswers(this.#options, 'position not confirmed', () => this.#options.assignment.commit(position))
    this.#offsetCommitted = true
  }
}

/** Says of `lost` batches that no one delivers them any more. */
function reportLost({ assignment, logger, metrics }: PartitionTaskOptions, lost: number, cause: unknown): void {
  logger.error('the log removed batches before they were delivered', { partition: assignment.partition, lost, cause })
  metrics.series('penstock_log_positions_lost_total').add(lost)
}

/** @param text what is said of each failure. @throws what no retry heals; when the task has ended, anything */
async function untilLogAnswers<T>(
  { assignment, clock, ended, logger }: PartitionTaskOptions,
  text: string,
  ask: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'retry' || ended.aborted) throw error
      logger.warn(text, { partition: assignment.partition, error })
      await sleep(clock, retryDelayMs, ended)
    }
  }
}
