import type { Log, PartitionRange } from '#pipeline/log/log.ts'
import { isPenstockError } from '#schemas/errors.ts'

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
    const record = await recordAt(log, partition, middle)
    // What retention removed meanwhile was older than all that is left.
    if (record === undefined || record.stamp.enqueuedAtMsLast < sinceMs) low = (record?.offset ?? middle) + 1
    else high = middle
  }
  return low
}

async function recordAt(log: Log, partition: number, offset: number) {
  try {
    const [record] = await log.read(partition, offset, readBytesMax)
    return record
  } catch (error) {
    if (isPenstockError(error, 'LOG_POSITION_LOST')) return undefined
    throw error
  }
}
