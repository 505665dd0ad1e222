/**
 * The mark of a partition: which of its ranges are stored. It is the value of a record of the marker topic, written in the transaction of
 * the range itself, so that it is there if and only if the range is.
 *
 *   key    penstock-<hub>-<group>-<partition>: also the transactional id
 *   value  {"v": 1, "latestMs": …, "ranges": [{"first", "last", "through"?, "messages", "fromMs", "toMs"}, …]}   oldest first
 *
 * A worker asks about the range of its open intent, which is the newest one stored or comes after it. So a few ranges are enough to answer,
 * and what lies before the newest but is not among them is nobody's to store any more.
 */

import type { DeliveryRange, RowGroup } from '#pipeline/endpoints/delivery-range.ts'
import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'

export interface Mark {
  /** Latest stamp of all that was ever stored, UTC milliseconds. */
  readonly latestMs: number
  /** Oldest first. */
  readonly ranges: readonly MarkedRange[]
}

interface MarkedRange {
  readonly first: number
  readonly last: number
  /** Of a batch that is stored in parts: messages from its first on that are settled. */
  readonly through?: number
  readonly messages: number
  readonly fromMs: number
  readonly toMs: number
}

export const emptyMark: Mark = { latestMs: 0, ranges: [] }

const version = 1
/** More than one, so that a question about the range before the newest has an answer too. */
const rangesKept = 8

/** True if the range, or a larger one that holds it, is stored. */
export function holds(
  { ranges }: Mark,
  { first, last, part, enqueuedAtMsFirst, enqueuedAtMsLast }: DeliveryRange,
): boolean {
  return ranges.some((range) => {
    // Of a log that was made anew, positions come again, and times do not.
    if (enqueuedAtMsFirst < range.fromMs || enqueuedAtMsLast > range.toMs) return false
    if (range.through === undefined) return range.first <= first && last <= range.last
    return part !== undefined && range.first === first && part.first + part.length <= range.through
  })
}

/**
 * True if the range lies before, or across, what is stored: whoever would store it is late, or the position of the partition was set back.
 * A range that is newer than all that was ever stored is of a log that was made anew.
 */
export function isPassed({ latestMs, ranges }: Mark, { first, part, enqueuedAtMsFirst }: DeliveryRange): boolean {
  const newest = ranges.at(-1)
  if (newest === undefined || enqueuedAtMsFirst > latestMs) return false
  if (newest.through !== undefined && newest.first === first && part !== undefined) return part.first < newest.through
  return first <= newest.last
}

/** The mark once the range is stored, which it neither `holds` nor has passed. */
export function withStored({ latestMs, ranges }: Mark, range: DeliveryRange): Mark {
  const { first, last, part, messageCount: messages, enqueuedAtMsFirst: fromMs, enqueuedAtMsLast: toMs } = range
  assert(first <= last && fromMs <= toMs, 'a range ends at its end')
  const newest = ranges.at(-1)
  const isOfNewLog = newest !== undefined && first <= newest.last && fromMs > latestMs
  assert(isOfNewLog || (newest?.first ?? 0) <= first, `a range from ${first} on is stored behind ${newest?.first}`)
  const earlier = isOfNewLog ? [] : ranges.filter((each) => each.first !== first)
  const before = isOfNewLog ? 0 : (ranges.find((each) => each.first === first)?.messages ?? 0)
  const through = part && { through: part.first + part.length }
  const stored = { first, last, ...through, messages: before + messages, fromMs, toMs }
  return { latestMs: Math.max(latestMs, toMs), ranges: [...earlier, stored].slice(-rangesKept) }
}

/** What lies under the largest position below `end`, of what was taken in at `sinceMs` or later. */
export function newestBelow({ ranges }: Mark, end: number, sinceMs: number): RowGroup | undefined {
  const found = ranges.findLast(({ first, toMs }) => first < end && toMs >= sinceMs)
  if (found === undefined) return undefined
  const { first, last, through, messages, fromMs, toMs } = found
  const group = { offset: first, rowCount: messages, enqueuedAtMsFirst: fromMs, enqueuedAtMsLast: toMs }
  return through === undefined ? { ...group, last } : group
}

export function bytesOfMark(mark: Mark): Buffer {
  return Buffer.from(JSON.stringify({ v: version, ...mark }))
}

/** @returns `undefined` if it is no mark, or one of a later version */
export function markFromBytes(bytes: Uint8Array): Mark | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString())
    return isMark(value) ? { latestMs: value.latestMs, ranges: value.ranges } : undefined
  } catch {
    return undefined
  }
}

function isMark(value: unknown): value is Mark {
  const { v, latestMs, ranges } = (value ?? {}) as Partial<Record<keyof Mark | 'v', unknown>>
  return v === version && isCount(latestMs) && Array.isArray(ranges) && ranges.every(isMarkedRange)
}

function isMarkedRange(value: unknown): value is MarkedRange {
  const { first, last, through, messages, fromMs, toMs } = (value ?? {}) as Partial<Record<keyof MarkedRange, unknown>>
  if (![first, last, messages, fromMs, toMs].every(isCount)) return false
  return Number(first) <= Number(last) && (through === undefined || isCount(through))
}
