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
import type { Assignment, PartitionRange } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { Courier, type CourierOptions } from './courier.ts'
import { type EarlierInsert, storedIn } from './deliver-range.ts'
import { DeliveredSequences } from './delivered-sequences.ts'
import type { DeliveryOutcome } from './delivery.ts'
import { type Intent, noteFromText, type Split, textFromNote, tokenOf } from './intent.ts'
import { untilLogAnswers } from './log-answers.ts'
import { type FoundPosition, type StartRule, searchPosition, startOf } from './position-search.ts'
import { rangeLimitsOf } from './range-limits.ts'
import { type Cut, RangeReader, type ReadRecord, rangeOf } from './range-reader.ts'
import { observeStored } from './stage-times.ts'

export interface PartitionTaskOptions extends Omit<CourierOptions, 'partition' | 'onSettled'> {
  readonly group: string
  readonly assignment: Assignment
  /** Where delivery begins in a partition for which nothing says how far it is; `undefined`: at the oldest batch. */
  readonly start: StartRule | undefined
  /** Names the log that is there now. */
  readonly logId: () => Promise<string>
  /** Resolves when what comes before all of this partition is delivered. */
  readonly untilBegun: () => Promise<void>
  /** What the log keeps of this partition. */
  readonly range: () => Promise<PartitionRange>
  readonly insertDelayMs: number
  /** Most messages of one range; `undefined`: what the destination says. */
  readonly rangeMessagesMax?: number
  readonly readBytesMax: number
  /** Told whenever the next offset to deliver moves, or a part of the batch there is settled. */
  readonly onOffset: (offset: number) => void
}

const retryDelayMs = 500
/** What a commit may carry; Kafka's offset.metadata.max.bytes is 4,096. */
const noteLengthMax = 4_000
/** How long a record that should be there is waited for. */
const recordWaitMs = 1_000
/** A position that moves though nothing is sent is written down this often. */
const quietCommitDelayMs = 1_000

/**
 * Runs until the assignment ends, which is no error. Rejects with what no retry can heal.
 * @throws INTENT_CORRUPT, LOG_POSITION_UNKNOWN, and faults of the program
 */
export async function runPartition(options: PartitionTaskOptions): Promise<void> {
  try {
    await untilLogAnswers(options, 'the log does not say what comes before this partition', options.untilBegun)
    if (options.ended.aborted) return
    const { position } = options.assignment
    const found = position ? undefined : await findPosition(options)
    const offset = position?.offset ?? found?.offset
    if (offset === undefined) return
    if (found && !found.fromRows && !options.start && offset > 0) reportLost(options, offset, 'no position is kept')
    const logId = found?.logId ?? (await untilLogAnswers(options, 'the log does not say which it is', options.logId))
    await new PartitionTask(options, logId, offset, found).run()
  } catch (error) {
    if (isPenstockError(error, 'LOG_GENERATION_STALE') || isPenstockError(error, 'LOG_CLOSED')) return
    // What was under way when the assignment ended is found by its next owner.
    if (options.ended.aborted && isPenstockError(error) && error.disposition === 'retry') return
    throw error
  }
}

async function findPosition(options: PartitionTaskOptions): Promise<FoundPosition | undefined> {
  const { destination, selector } = options
  if (destination.atomic)
    return await searchPosition({ ...options, sink: destination, selectsEverything: selector.selectsEverything })
  const ask = async () => ({ logId: await options.logId(), range: await options.range() })
  const place = await untilLogAnswers(options, 'the log does not say what it holds', ask)
  return await startOf(options, place)
}

class PartitionTask {
  readonly #options: PartitionTaskOptions
  readonly #courier: Courier
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
  #committedMonotonicMs: number
  /** What an earlier owner may have sent from `#offset` on, without an intent that is left of it. */
  #earlier: EarlierInsert = 'none'
  #recordsMax = Number.POSITIVE_INFINITY

  constructor(options: PartitionTaskOptions, logId: string, offset: number, found: FoundPosition | undefined) {
    this.#options = options
    this.#courier = new Courier({
      ...options,
      partition: options.assignment.partition,
      onSettled: () => options.onOffset(this.#offset),
    })
    this.#committedMonotonicMs = options.clock.monotonicMs()
    this.#logId = logId
    this.#offset = offset
    this.#reader = new RangeReader({ ...options, rangeLimits: rangeLimitsOf(options.destination), logId }, offset)
    if (!found) return
    this.#earlier = 'landed'
    this.#delivered = found.delivered
    this.#offsetCommitted = !found.fromRows && options.start === undefined
  }

  async run(): Promise<void> {
    const { ended } = this.#options
    void this.#reader.run()
    this.#options.onOffset(this.#offset)
    // Where a destination begins is said once.
    if (!this.#offsetCommitted && this.#options.start) await this.#commit(undefined)
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
    // Without them nothing would be repeated, and the intent be taken for settled.
    assert(
      records.length > 0,
      `the batches of an open intent up to ${intent.range.last} are there, or are said to be lost`,
    )
    logger.info('open intent found', { partition, first: intent.range.first, last: intent.range.last })
    const outcome = await this.#deliver(intent, records, 'landing')
    metrics.series('penstock_worker_intents_replayed_total', { outcome }).add(1)
  }

  async #recoverSplit(intent: Intent | undefined, split: Split): Promise<void> {
    const { assignment, logger } = this.#options
    const [head] = (await this.#reader.through(this.#offset)) ?? []
    if (!head) return
    assert(
      head.record.offset === this.#offset,
      `the batch that is in parts lies at ${this.#offset}, not ${head.record.offset}`,
    )
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

  /** @param open its range counts all messages; @param records all of its range */
  async #deliver(open: Intent, records: readonly ReadRecord[], earlier: EarlierInsert): Promise<DeliveryOutcome> {
    const { metrics, skipSteps } = this.#options
    const news = this.#news(records)
    assert(open.range.first >= this.#offset, `what is settled below ${this.#offset} is not delivered again [G-2]`)
    this.#offset = open.range.first
    this.#reader.take(open.range.last)
    const selected = news.records.length === 0 ? undefined : await this.#courier.select(open, news.records)
    if (!selected && news.records.length > 0) return await this.#cutUnreadable(records)
    const commitIntent = (next: Intent) => this.#commit(skipSteps.has('intent') ? undefined : next)
    if (selected?.unfit && !(await this.#courier.giveUpUnfit(selected.unfit, news.records))) return 'ended'
    let outcome: DeliveryOutcome = 'stored'
    if (selected && selected.range.messageCount > 0) {
      const intent = { range: selected.range, token: open.token, revision: selected.revision }
      try {
        outcome = await this.#courier.send(intent, selected, news.records, commitIntent, earlier)
      } catch (error) {
        if (!isPenstockError(error, 'BATCH_CORRUPT')) throw error
        return await this.#cutUnreadable(records)
      }
    }
    switch (outcome) {
      case 'ended':
        break
      case 'stored':
        this.#delivered = news.delivered
        this.#advance(open.range.last + 1)
        this.#recordsMax = this.#recordsMax * 2
        if (selected && selected.range.messageCount > 0) this.#observe(selected.range.messageCount, news.records)
        metrics.series('penstock_worker_repeated_batches_total').add(records.length - news.records.length)
        if (!selected || selected.range.messageCount === 0) await this.#commitQuietly()
        break
      case 'refused':
        await this.#cutRefused(records)
    }
    return outcome
  }

  /** What became of these records, of which so many messages were selected. */
  #observe(messageCount: number, records: readonly ReadRecord[]): void {
    const { metrics, destination, clock, assignment, onStored } = this.#options
    observeStored(metrics, destination.name, records, clock)
    onStored?.(assignment.partition, records)
    const rows = records.reduce((sum, { rowCount }) => sum + rowCount, 0)
    const bytes = records.reduce((sum, { record }) => sum + record.value.length, 0)
    const share = Math.min(1, messageCount / rows)
    metrics.series('penstock_worker_bytes_stored_total', { sink: destination.name }).add(Math.round(bytes * share))
  }

  async #cutRefused(records: readonly ReadRecord[]): Promise<void> {
    const [head] = records
    if (records.length !== 1 || !head) this.#recordsMax = Math.ceil(records.length / 2)
    // A batch of one message needs no search.
    else await this.#split(head, { next: 0, stored: 0, given: head.rowCount === 1 ? 1 : 0 }, undefined)
  }

  /** One batch of these had to be read and can't be; the others have to be sent without it. */
  async #cutUnreadable(records: readonly ReadRecord[]): Promise<DeliveryOutcome> {
    const [head] = records
    if (records.length !== 1 || !head) this.#recordsMax = Math.ceil(records.length / 2)
    else await this.#bury(head, 'its blocks cannot be read')
    return 'refused'
  }

  /** The batch at the position, refused as a whole for good: its messages are settled one part after the other. */
  async #split(head: ReadRecord, split: Split, intent: Intent | undefined): Promise<void> {
    const { skipSteps } = this.#options
    this.#reader.take(head.record.offset)
    const outcome = await this.#courier.split(head, split, intent, (next, progress) =>
      this.#commit(skipSteps.has('intent') ? undefined : next, progress),
    )
    if (outcome === 'ended') return
    // Appended again, it is left out like any other; what can't be read proves nothing about its stamp.
    if (outcome === 'settled') this.#delivered.add(head.record.stamp)
    this.#advance(head.record.offset + 1)
    this.#recordsMax = this.#recordsMax * 2
  }

  /** First the letter, then the position: a crash between the two sends it twice and never loses it. */
  async #bury(head: ReadRecord, text: string): Promise<void> {
    if (await this.#courier.bury(head, text)) this.#advance(head.record.offset + 1)
  }

  /** The intent's batches are gone, so it can't be repeated: once nothing of it can land any more, its rows say what became of it. */
  async #recoverLost({ range }: Intent, cause: unknown): Promise<void> {
    const { destination, clock, ended, insertBeginMsMax, logger, onWait } = this.#options
    // What an endpoint has got of it, nobody can say.
    if (!destination.atomic) return await this.#skipLost(cause)
    await sleep(clock, insertBeginMsMax + destination.insertMsMax, ended)
    while (!ended.aborted) {
      try {
        if ((await storedIn(destination, range)) === 0) return await this.#skipLost(cause)
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
    const rangeLimits = rangeLimitsOf(this.#options.destination)
    this.#reader = new RangeReader({ ...this.#options, rangeLimits, logId: this.#logId }, offset)
    void this.#reader.run()
  }

  #advance(offset: number): void {
    assert(offset > this.#offset, `a position of ${this.#offset} moves on, and not to ${offset}`)
    this.#reader.settle(offset - 1)
    this.#offset = offset
    this.#offsetCommitted = false
    this.#options.onOffset(offset)
  }

  /** Where nothing has to be sent for long, the position would only be written down once nothing is due any more. */
  async #commitQuietly(): Promise<void> {
    const sinceMs = this.#options.clock.monotonicMs() - this.#committedMonotonicMs
    if (sinceMs >= quietCommitDelayMs) await this.#commit(undefined)
  }

  /** Writes the position down, again and again while the log can't be reached. */
  async #commit(intent: Intent | undefined, split?: Split): Promise<void> {
    const metadata = textFromNote({ intent, split, delivered: this.#delivered.text(), logId: this.#logId })
    assert(metadata.length <= noteLengthMax, `a note has at most ${noteLengthMax} characters, not ${metadata.length}`)
    const position = { offset: this.#offset, metadata }
    await untilLogAnswers(this.#options, 'position not confirmed', () => this.#options.assignment.commit(position))
    this.#offsetCommitted = true
    this.#committedMonotonicMs = this.#options.clock.monotonicMs()
  }
}

/** Says of `lost` batches that no one delivers them any more. */
function reportLost(options: PartitionTaskOptions, lost: number, cause: unknown): void {
  const { assignment, logger, metrics, letterEndpoint: endpoint } = options
  // As the hub's log for operators names what an endpoint never gets.
  const named = endpoint === undefined ? {} : { operation: 'DroppedMessage', endpoint }
  const { partition } = assignment
  logger.error('the log removed batches before they were delivered', { ...named, partition, lost, cause })
  metrics.series('penstock_log_positions_lost_total').add(lost)
}
