import type { BatchStamp } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { batchFromBlock, batchSchemaVersion, blocksOfBatch } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { utcDayOf } from '#schemas/time.ts'
import type { OpenBatch } from './batch.ts'

export interface ClosedBatch {
  readonly batch: OpenBatch
  /** Of its buffer, which is held until it is settled. */
  readonly capacityBytes: number
  /** Partitions that devices were spread over when it was begun. */
  readonly spreadOver: number
  /** A complete batch of one block, once compressed. */
  value: Buffer | undefined
}

export interface CompressedBatch extends ClosedBatch {
  readonly value: Buffer
}

/** What the log is given at once. */
export interface BatchRecord {
  readonly value: Buffer
  readonly stamp: Pick<BatchStamp, 'schemaVersion' | 'messageCount' | 'enqueuedAtMsFirst' | 'enqueuedAtMsLast'>
}

export function batchValue(batch: OpenBatch, compressed: Buffer): Buffer {
  assert(compressed.length > 0, 'a compressed block has bytes')
  return batchFromBlock(batch.messageCount, compressed)
}

/**
 * The batches at the front that may share one record: compressed, of one day, with times that do not fall, of devices that are spread alike,
 * within the bounds of a record.
 * The slower the log, the more travel together.
 */
export function joinable(closed: readonly ClosedBatch[]): CompressedBatch[] {
  const joined: CompressedBatch[] = []
  let bytes = 0
  let rawBytes = 0
  let messages = 0
  for (const { batch, capacityBytes, spreadOver, value } of closed) {
    if (value === undefined) break
    const before = joined.at(-1)?.batch
    bytes += value.length
    rawBytes += batch.length
    messages += batch.messageCount
    const fits =
      before === undefined ||
      (bytes <= limits.recordBytesMax &&
        rawBytes <= limits.recordRawBytesMax &&
        messages <= limits.recordMessagesMax &&
        batch.day === before.day &&
        spreadOver === joined[0]?.spreadOver &&
        batch.enqueuedAtMsFirst >= before.enqueuedAtMsLast)
    if (!fits) break
    joined.push({ batch, capacityBytes, spreadOver, value })
  }
  return joined
}

/** One record of batches that `joinable` put together. */
export function recordOf(joined: readonly CompressedBatch[]): BatchRecord {
  const [first, ...more] = joined
  assert(first !== undefined, 'a record holds a batch')
  const value =
    more.length === 0 ? first.value : Buffer.concat([first.value, ...more.map((next) => blocksOfBatch(next.value))])
  const stamp = {
    schemaVersion: batchSchemaVersion,
    messageCount: joined.reduce((sum, { batch }) => sum + batch.messageCount, 0),
    enqueuedAtMsFirst: first.batch.enqueuedAtMsFirst,
    enqueuedAtMsLast: (more.at(-1) ?? first).batch.enqueuedAtMsLast,
  }
  assert(value.length <= limits.recordBytesMax, 'a record is no longer than the log takes')
  assert(stamp.messageCount > 0, 'a record holds a message')
  assert(
    stamp.messageCount <= limits.recordMessagesMax,
    'a record holds no more messages than its positions can number',
  )
  assert(stamp.enqueuedAtMsFirst <= stamp.enqueuedAtMsLast, 'times of a record do not fall')
  const isOfOneDay = utcDayOf(stamp.enqueuedAtMsFirst) === utcDayOf(stamp.enqueuedAtMsLast)
  assert(isOfOneDay, 'a record is of one UTC day: one of two is no batch to its readers [G-2]')
  return { value, stamp }
}
