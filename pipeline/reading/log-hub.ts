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

  constructor(options: LogHubOptions) {
    assert(limits.recordMessagesMax === 65_536, 'every message of a record has a sequence number of its own')
    this.name = options.name
    this.#options = options
    this.#ends = new EndWatch(options.log, options.clock)
  }

  get partitionCount(): number {
    return this.#options.log.partitionCount
  }

  get revision(): number {
    return this.#options.view.revision
  }

  async runtime(partition: number): Promise<PartitionRuntime> {
    const { first, next } = await this.#range(partition)
    const last = first < next ? await this.#readOne(partition, next - 1) : undefined
    return {
      isEmpty: first === next,
      sequenceFirst: sequenceOf(first, 0),
      sequenceLast: last === undefined ? sequenceOf(next, 0) - 1 : sequenceOf(last.offset, last.stamp.messageCount - 1),
      enqueuedAtMsLast: last?.stamp.enqueuedAtMsLast,
    }
  }

  async find(partition: number, position: StartPosition): Promise<FoundStart> {
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
    return { offset, stamp, ...shown }
  }

  async #range(partition: number): Promise<PartitionRange> {
    const range = (await this.#options.log.ranges())[partition]
    assert(range !== undefined, `the log tells what it keeps of each of its partitions, and of ${partition} too`)
    return range
  }

  async #readOne(partition: number, offset: number): Promise<LogRecord | undefined> {
    const [record] = await this.#options.log.read(partition, offset, 1)
    return record
  }
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
