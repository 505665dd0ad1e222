import type { Log, LogRecord } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'

export interface LogWalk {
  readonly partition: number
  /** Offsets from `from` (inclusive) to `end`; `from` must still be kept. */
  readonly from: number
  readonly end: number
  readonly readBytesMax: number
  /** Asked before each record: true ends the walk there. Left out: nothing does. */
  readonly isOver?: (record: LogRecord) => boolean
}

/** Kafka may answer with nothing though there is more: a broker that is busy or limits its clients. */
const emptyReadsMax = 10

/**
 * Reads a partition outside any group, for tools; `action` is called for one record after the other.
 * @returns the offset up to which it was read: below `end` if `isOver` ended it, or if the log answered with nothing again and again, and then
 *   what was read is not all there is
 * @throws what the log and `action` throw
 */
export async function walkLog(
  log: Log,
  { partition, from, end, readBytesMax, isOver }: LogWalk,
  action: (record: LogRecord) => void | Promise<void>,
): Promise<number> {
  let offset = from
  for (let emptyReads = 0; offset < end && emptyReads < emptyReadsMax; ) {
    const records = await log.read(partition, offset, readBytesMax)
    emptyReads = records.length === 0 ? emptyReads + 1 : 0
    for (const record of records) {
      assert(record.offset >= offset, `the log answers batches from offset ${offset} on, and not ${record.offset}`)
      if (record.offset >= end) return end
      if (isOver?.(record)) return offset
      await action(record)
      offset = record.offset + 1
    }
  }
  return offset
}
