import { assert } from '#runtime/assert.ts'
import type { BatchStamp, RetentionPolicy } from './log.ts'

export interface KeptRecord {
  readonly offset: number
  readonly stamp: BatchStamp
  readonly bytes: number
}

/** Next offset to deliver of every group that has joined and does not expire, or that the policy names. */
export function deliveredBy(
  joined: Iterable<string>,
  { neededBy, expiringPrefixes = [] }: RetentionPolicy,
  positionOf: (group: string) => { readonly offset: number } | undefined,
): number[] {
  const holding = [...joined].filter((group) => !expiringPrefixes.some((prefix) => group.startsWith(prefix)))
  return [...new Set([...holding, ...neededBy])].map((group) => positionOf(group)?.offset ?? 0)
}

export interface RetentionPlan {
  /** Number of records to remove from the front. */
  readonly removed: number
  /** Of these, records that some group had not delivered. */
  readonly lost: number
  readonly bytesLeft: number
}

/**
 * Decides how many of the oldest records of one partition go.
 * @param records the partition's records from the oldest on; read only as far as needed
 * @param delivered next offset to deliver of each group that needs the log's records; none: nobody waits for them
 */
export function planRetention(
  records: Iterable<KeptRecord>,
  { bytes, delivered, policy }: { bytes: number; delivered: readonly number[]; policy: RetentionPolicy },
): RetentionPlan {
  const deliveredMin = Math.min(...delivered)
  let removed = 0
  let lost = 0
  let bytesLeft = bytes
  for (const record of records) {
    const isTooOld = record.stamp.enqueuedAtMsLast < policy.nowMs - policy.ageMsMax
    const isTooMuch = bytesLeft > policy.partitionBytesMax
    if (!isTooOld && !isTooMuch) break
    if (record.offset >= deliveredMin) {
      if (!policy.force || !isTooMuch) break
      lost++
    }
    removed++
    bytesLeft -= record.bytes
  }
  // Bytes that were counted wrong would keep records from being removed, or remove those that nobody has delivered.
  assert(bytesLeft >= 0, `a partition of ${bytes} bytes does not lose ${bytes - bytesLeft}`)
  return { removed, lost, bytesLeft }
}
