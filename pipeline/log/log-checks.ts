import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { GroupPosition, PartitionRange } from './log.ts'

/** Most characters of a position's metadata; Kafka's default `offset.metadata.max.bytes` is 4,096. */
export const metadataLengthMax = 4_000

/** A partition that does not exist is a programmer fault. */
export function assertPartition(partition: number, partitionCount: number): void {
  assert(
    Number.isInteger(partition) && partition >= 0 && partition < partitionCount,
    `${partition} is one of ${partitionCount} partitions`,
  )
}

export function assertPosition(position: GroupPosition): void {
  assert(isCount(position.offset), `a position is an offset, not ${position.offset}`)
  assert(position.metadata.length <= metadataLengthMax, `metadata of ${position.metadata.length} characters is kept`)
}

/** @throws LOG_RECORD_TOO_LARGE */
export function assertRecordSize(value: Uint8Array, recordBytesMax: number): void {
  if (value.length > recordBytesMax)
    throw new PenstockError('LOG_RECORD_TOO_LARGE', `a record of ${value.length} bytes; at most ${recordBytesMax} fit`)
}

/** @throws LOG_POSITION_LOST if `offset` is not kept any more, or lies beyond the end (another log under the same name). */
export function assertReadable(partition: number, offset: number, range: PartitionRange): void {
  if (offset >= range.first && offset <= range.next) return
  const what = offset < range.first ? 'was removed by retention' : 'lies beyond the end of the log'
  throw new PenstockError(
    'LOG_POSITION_LOST',
    `offset ${offset} of partition ${partition} ${what}; kept are offsets from ${range.first} up to, not including, ${range.next}`,
  )
}

/** @throws LOG_REPLACED unless `logId` is that of the log that is there, or nobody asks for one. */
export function assertSameLog(topic: string, logId: string | undefined, found: string): void {
  if (logId === undefined || logId === found) return
  throw new PenstockError('LOG_REPLACED', `the log of ${topic} was made anew: it is ${found}, not ${logId} any more`)
}
