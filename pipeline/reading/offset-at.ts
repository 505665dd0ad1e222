import type { Log, LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { walkLog } from './log-walk.ts'

/** A record of any size is read: one comes always. */
const readBytesMax = 1

/**
 * The offset of the first batch that holds a message enqueued at `sinceMs` or later; `range.next` if there is none. A batch before it may
 * hold later messages only where clocks of edges differ: stamps of one partition grow but for that. Costs one read for each halving of the
 * range.
 * @throws LOG_UNAVAILABLE
 */
export async function offsetAt(log: Log, partition: number, range: PartitionRange, sinceMs: number): Promise<number> {
  let [low, high] = [range.first, range.next]
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    const record = await firstRecord(log, partition, middle, range.next)
    // What retention removed meanwhile was older than all that is left.
    if (record === undefined || record.stamp.enqueuedAtMsLast < sinceMs) low = (record?.offset ?? middle) + 1
    else high = middle
  }
  return low
}

/** The record at `from`, or the next that there is; undefined if retention removed it. @throws LOG_UNAVAILABLE of a log that does not say */
async function firstRecord(log: Log, partition: number, from: number, end: number): Promise<LogRecord | undefined> {
  let first: LogRecord | undefined
  const walk = { partition, from, end, readBytesMax, isOver: () => first !== undefined }
  try {
    await walkLog(log, walk, (record) => {
      first = record
    })
  } catch (error) {
    if (isPenstockError(error, 'LOG_POSITION_LOST')) return undefined
    throw error
  }
  // Taken for a record that is gone, it would have whoever asks begin too late.
  if (first === undefined)
    throw new PenstockError('LOG_UNAVAILABLE', `partition ${partition} does not hand out offset ${from}, which it has`)
  return first
}
