/**
 * Statements over the stored rows of a run. Sequence number and time are cut out of the body at fixed places (`body-layout.ts`), which
 * costs less than parsing JSON.
 */
import { bodyOffsets, sequenceBase } from '#loadtest/generate/body-layout.ts'
import type { SequenceRange } from '#loadtest/ledger/ledger.ts'

const sequence = `(toInt64OrZero(substring(body, ${bodyOffsets.sequence + 1}, ${bodyOffsets.sequenceBytes})) - ${sequenceBase})`
const sentAtMs = `toInt64OrZero(substring(body, ${bodyOffsets.at + 1}, ${bodyOffsets.atBytes}))`
/** Of the run that the parameter names. */
export const ofRun = 'startsWith(device_id, {run:String})'
/** Of the device that the parameter names. */
export const ofDevice = 'device_id = {device:String}'

/** The newest row of a device that a look has found. */
export interface Seen {
  readonly sequence: number
  /** Moment in the row's `enqueued_at`; a device's later rows have none before it. */
  readonly enqueuedAtMs: number
}

/** Log partitions with rows of a moment or later. */
export function partitionsStatement(table: string): string {
  return `SELECT uniqExact(log_partition) FROM ${table} WHERE enqueued_at >= fromUnixTimestamp64Milli({at:Int64}, 'UTC')`
}

/** The newest message of each log partition that has rows of a moment or later. */
export function newestStatement(table: string): string {
  return `SELECT log_partition, max(toUnixTimestamp64Milli(enqueued_at)) FROM ${table}
    WHERE enqueued_at >= fromUnixTimestamp64Milli({at:Int64}, 'UTC') GROUP BY log_partition`
}

/** A row a device: rows, distinct numbers, the first, the last, log partitions. */
export function summariesStatement(table: string): string {
  return `SELECT device_id, count(), groupBitmap(toUInt64(greatest(sequence, 0))), min(sequence), max(sequence), uniqExact(log_partition)
    FROM (SELECT device_id, ${sequence} AS sequence, log_partition FROM ${table} WHERE ${ofRun}) GROUP BY device_id`
}

/** Gaps and islands: in a run of consecutive numbers, number minus rank is constant. */
export function rangesStatement(table: string): string {
  return `SELECT min(sequence), max(sequence) + 1 FROM (
      SELECT sequence, sequence - row_number() OVER (ORDER BY sequence) AS island
      FROM (SELECT DISTINCT ${sequence} AS sequence FROM ${table} WHERE ${ofDevice}))
    GROUP BY island ORDER BY 1`
}

/** Numbers that are stored more than once. */
export function repeatsStatement(table: string): string {
  return `SELECT ${sequence} AS sequence, count() FROM ${table} WHERE ${ofDevice} GROUP BY sequence HAVING count() > 1`
}

/** One list of devices and one moment for all: a quarter cheaper than conditions for each, and a look costs what inserts lack. */
export function visibleStatement(table: string, seen: ReadonlyMap<string, Seen>): string {
  const devices = [...seen.keys()].map((id) => `'${id}'`).join()
  const sequences = [...seen.values()].map((last) => last.sequence).join()
  const fromMs = Math.min(...[...seen.values()].map((last) => last.enqueuedAtMs))
  return `SELECT device_id, ${sentAtMs} AS at, count(), max(${sequence}), max(toUnixTimestamp64Milli(enqueued_at))
    FROM ${table} WHERE device_id IN (${devices}) AND enqueued_at >= fromUnixTimestamp64Milli(toInt64(${fromMs}), 'UTC')
    AND ${sequence} > transform(device_id, [${devices}], [${sequences}], toInt64(-1)) GROUP BY device_id, at`
}

/** Offsets of a device whose lowest number is not above the highest of all earlier offsets of that partition. */
export function disorderStatement(table: string, where: string): string {
  return `SELECT device_id, countIf(place > 1 AND first <= before) AS disorders FROM (
      SELECT device_id, first,
        row_number() OVER earlier AS place,
        max(last) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (SELECT device_id, log_partition, log_offset, min(${sequence}) AS first, max(${sequence}) AS last
            FROM ${table} WHERE ${where} GROUP BY device_id, log_partition, log_offset)
      WINDOW earlier AS (PARTITION BY device_id, log_partition ORDER BY log_offset))
    GROUP BY device_id HAVING disorders > 0`
}

/** Up to a few thousand ranges; the statement goes in the request's body. */
export function exceptRanges(ranges: readonly SequenceRange[]): string {
  if (ranges.length === 0) return ''
  return ` AND NOT (${ranges.map(({ from, to }) => `${sequence} BETWEEN ${from} AND ${to - 1}`).join(' OR ')})`
}
