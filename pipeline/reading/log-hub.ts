import type { Log, LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { EndWatch } from './end-watch.ts'
import { offsetAt } from './offset-at.ts'
import {
  type EventHub,
  type FoundStart,
  type PartitionRuntime,
  type ShownRecord,
  type StartPosition,
  sequenceOf,
} from './reading.ts'
import type { RecordShelf, RecordSource } from './record-shelf.ts'
import type { RecordView, ShownMessages } from './show-record.ts'

export interface LogHubOptions {
  /** Owned by the caller. */
  readonly log: Log
  readonly name: string
  /** Shared by the hubs of a process. */
  readonly shelf: RecordShelf
  readonly view: RecordView
  readonly clock: Clock
  readonly logger: Logger
}

const nothing: ShownMessages = { blocks: [], indexes: undefined, edition: 0 }

/** One topic of the log. */
export class LogHub implements EventHub, RecordSource {
  readonly name: string
  readonly #options: LogHubOptions
  readonly #ends: EndWatch
  #logId: string | undefined
  /** How often the log was found to be another one. */
  #replacements = 0

  constructor(options: LogHubOptions) {
    assert(limits.recordMessagesMax === 65_536, 'every message of a record has a sequence number of its own')
    this.name = options.name
    this.#options = options
    this.#ends = new EndWatch(options.log, options.clock)
  }

  get partitionCount(): number {
    return this.#options.log.partitionCount
  }

  /** Both only grow: neither what routes said before is shown again, nor what lay under the same offsets of another log. */
  get revision(): number {
    return this.#options.view.revision + this.#replacements
  }

  async runtime(partition: number): Promise<PartitionRuntime> {
    const { first, next } = await this.#range(partition)
    const last = first < next ? await this.#readOne(partition, next - 1) : undefined
    const sequenceFirst = sequenceOf(first, 0)
    const sequenceLast =
      last === undefined ? sequenceOf(next, 0) - 1 : sequenceOf(last.offset, last.stamp.messageCount - 1)
    assert(sequenceLast >= sequenceFirst - 1, `what is kept from ${sequenceFirst} on does not end at ${sequenceLast}`)
    return {
      isEmpty: first === next,
      sequenceFirst,
      sequenceLast,
      enqueuedAtMsLast: last?.stamp.enqueuedAtMsLast,
    }
  }

  async find(partition: number, position: StartPosition): Promise<FoundStart> {
    await this.#lookWhichLog()
    const range = await this.#range(partition)
    switch (position.from) {
      case 'oldest':
        return { sequence: sequenceOf(range.first, 0), enqueuedAtMsMin: 0 }
      case 'latest':
        return { sequence: sequenceOf(range.next, 0), enqueuedAtMsMin: 0 }
      case 'sequence':
        return { sequence: startOf(position.sequence + (position.inclusive ? 0 : 1), range), enqueuedAtMsMin: 0 }
      case 'time': {
        const enqueuedAtMsMin = position.atMs + (position.inclusive ? 0 : 1)
        const offset = await offsetAt(this.#options.log, partition, range, enqueuedAtMsMin)
        return { sequence: sequenceOf(offset, 0), enqueuedAtMsMin }
      }
    }
  }

  recordAt(partition: number, offset: number): ShownRecord | undefined | Promise<ShownRecord | undefined> {
    return this.#options.shelf.at(this, partition, offset)
  }

  onRecord(partition: number, offset: number, action: () => void): () => void {
    return this.#ends.onRecord(partition, offset, action)
  }

  async read(partition: number, offset: number): Promise<readonly LogRecord[]> {
    const { log, logger } = this.#options
    const { first, next } = await this.#range(partition)
    // Of this log nobody can have read so far, and nothing would come before it has grown as far.
    if (offset > next && (await this.#lookWhichLog())) throw invalid(next)
    if (offset >= next) return []
    if (offset < first)
      logger.warn('retention removed what a reader had not read yet', {
        hub: this.name,
        partition,
        from: offset,
        first,
      })
    return log.read(partition, Math.max(offset, first), limits.readingBytesMax)
  }

  async show(record: LogRecord): Promise<ShownRecord> {
    const { view, logger } = this.#options
    const { offset, stamp, value } = record
    const shown = await view.show(value).catch((error: unknown) => {
      if (!isPenstockError(error, 'BATCH_CORRUPT')) throw error
      logger.error('a record is no batch; its readers get nothing of it', { hub: this.name, offset, error })
      return nothing
    })
    assertNumbered(record, shown)
    return { offset, stamp, ...shown }
  }

  /** @returns whether readers may be left of a log that was there before */
  async #lookWhichLog(): Promise<boolean> {
    const id = await this.#options.log.id()
    if (this.#logId !== undefined && this.#logId !== id) this.#replacements++
    this.#logId = id
    return this.#replacements > 0
  }

  async #range(partition: number): Promise<PartitionRange> {
    const range = (await this.#options.log.ranges())[partition]
    assert(range !== undefined, `the log tells what it keeps of each of its partitions, and of ${partition} too`)
    assert(Number.isSafeInteger(sequenceOf(range.next, 0)), `offset ${range.next} has numbers that are exact`)
    return range
  }

  async #readOne(partition: number, offset: number): Promise<LogRecord | undefined> {
    const [record] = await this.#options.log.read(partition, offset, 1)
    assert(
      record === undefined || record.offset >= offset,
      `what lies from ${offset} on is read, not ${record?.offset}`,
    )
    return record
  }
}

/** Readers know messages by these numbers: one too high would be that of a message of the next record. */
function assertNumbered({ offset, stamp }: LogRecord, { indexes }: ShownMessages): void {
  const last = indexes?.at(-1) ?? -1
  assert(
    last < stamp.messageCount,
    `record ${offset} of ${stamp.messageCount} messages shows none that is its ${last + 1}th`,
  )
}

/** What retention removed is no fault of the reader, but nobody can have read what was never written. */
function startOf(sequence: number, { first, next }: PartitionRange): number {
  if (sequence > sequenceOf(next, 0)) throw invalid(next)
  return Math.max(sequence, sequenceOf(first, 0))
}

function invalid(next: number): PenstockError {
  return new PenstockError(
    'READING_POSITION_INVALID',
    `the position lies behind the end of this partition, whose next number is ${sequenceOf(next, 0)}: it may be of a log that was replaced`,
  )
}
