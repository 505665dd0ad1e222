/**
 * Stored rows of a run, asked from ClickHouse over plain HTTP: the checker shares no code with what it checks.
 * Sequence number and time are cut out of the body at fixed places (`body-layout.ts`), which costs less than parsing JSON.
 */

import { bodyOffsets, sequenceBase } from '#loadtest/generate/body-layout.ts'
import type { SequenceRange } from '#loadtest/ledger/ledger.ts'
import type { DeviceSummary, RowSource } from '#loadtest/ledger/reconcile.ts'
import { PenstockError } from '#schemas/errors.ts'

const sequence = `(toInt64OrZero(substring(body, ${bodyOffsets.sequence + 1}, ${bodyOffsets.sequenceBytes})) - ${sequenceBase})`
const sentAtMs = `toInt64OrZero(substring(body, ${bodyOffsets.at + 1}, ${bodyOffsets.atBytes}))`
const ofRun = 'startsWith(device_id, {run:String})'
const ofDevice = 'device_id = {device:String}'

/** An answer is awaited so long; a full look at a billion rows on two cores takes minutes. */
const queryMsMax = 600_000

type Parameters = Readonly<Record<string, string | number>>

/** Rows that became visible since the last look, by the moment their message was to be sent. */
export interface VisibleRows {
  readonly deviceId: string
  readonly sentAtMs: number
  readonly count: number
  readonly last: Seen
}

/** The newest row of a device that a look has found. */
export interface Seen {
  readonly sequence: number
  /** Moment in the row's `enqueued_at`; a device's later rows have none before it. */
  readonly enqueuedAtMs: number
}

export interface ClickhouseRows extends RowSource {
  /** All rows of the table, from its metadata: costs nothing. */
  tableRows(): Promise<number>
  /** Log partitions with rows that the edge took in at `atMs` (UTC) or later. */
  partitionsSince(atMs: number): Promise<number>
  /** Rows of some devices beyond the last one seen of each; for the latency from socket to row. Reads only what is newer. */
  visibleAfter(seen: ReadonlyMap<string, Seen>): Promise<readonly VisibleRows[]>
}

/** @param url http(s) address, user and password may be in it @param table database.table */
export function clickhouseRows(url: string, table: string): ClickhouseRows {
  const query = (statement: string, parameters: Parameters) => queryRows(url, statement, parameters)
  return {
    async rowCount(run) {
      const rows = await query(`SELECT count() FROM ${table} WHERE ${ofRun}`, { run })
      return Number(rows[0]?.[0] ?? 0)
    },

    async tableRows() {
      const rows = await query(`SELECT count() FROM ${table}`, {})
      return Number(rows[0]?.[0] ?? 0)
    },

    async partitionsSince(atMs) {
      const rows = await query(
        `SELECT uniqExact(log_partition) FROM ${table} WHERE enqueued_at >= fromUnixTimestamp64Milli({at:Int64}, 'UTC')`,
        { at: Math.floor(atMs) },
      )
      return Number(rows[0]?.[0] ?? 0)
    },

    async summaries(run) {
      const rows = await query(
        `SELECT device_id, count(), groupBitmap(toUInt64(greatest(sequence, 0))), min(sequence), max(sequence), uniqExact(log_partition)
         FROM (SELECT device_id, ${sequence} AS sequence, log_partition FROM ${table} WHERE ${ofRun}) GROUP BY device_id`,
        { run },
      )
      const summaries = new Map<string, DeviceSummary>()
      for (const [id, count, distinct, first, last, partitions] of rows) {
        summaries.set(String(id), {
          rows: Number(count),
          distinct: Number(distinct),
          first: Number(first),
          last: Number(last),
          partitions: Number(partitions),
        })
      }
      return summaries
    },

    // Gaps and islands: in a run of consecutive numbers, number minus rank is constant.
    async storedRanges(device) {
      const rows = await query(
        `SELECT min(sequence), max(sequence) + 1 FROM (
           SELECT sequence, sequence - row_number() OVER (ORDER BY sequence) AS island
           FROM (SELECT DISTINCT ${sequence} AS sequence FROM ${table} WHERE ${ofDevice}))
         GROUP BY island ORDER BY 1`,
        { device },
      )
      return rows.map(([from, to]) => ({ from: Number(from), to: Number(to) }))
    },

    async repeats(device) {
      const rows = await query(
        `SELECT ${sequence} AS sequence, count() FROM ${table} WHERE ${ofDevice} GROUP BY sequence HAVING count() > 1`,
        { device },
      )
      return rows.map(([number, count]) => ({ sequence: Number(number), rows: Number(count) }))
    },

    async disorders(run) {
      const rows = await query(disorderStatement(table, ofRun), { run })
      return new Map(rows.map(([id, count]) => [String(id), Number(count)]))
    },

    async disordersOf(device, except) {
      const rows = await query(disorderStatement(table, `${ofDevice}${exceptRanges(except)}`), { device })
      return Number(rows[0]?.[1] ?? 0)
    },

    async visibleAfter(seen) {
      const devices = [...seen.keys()].map((id) => `'${id}'`).join()
      const sequences = [...seen.values()].map((last) => last.sequence).join()
      const fromMs = Math.min(...[...seen.values()].map((last) => last.enqueuedAtMs))
      // One list of devices and one moment for all: a quarter cheaper than conditions for each, and a look costs what inserts lack.
      const rows = await query(
        `SELECT device_id, ${sentAtMs} AS at, count(), max(${sequence}), max(toUnixTimestamp64Milli(enqueued_at))
         FROM ${table} WHERE device_id IN (${devices}) AND enqueued_at >= fromUnixTimestamp64Milli(toInt64(${fromMs}), 'UTC')
         AND ${sequence} > transform(device_id, [${devices}], [${sequences}], toInt64(-1)) GROUP BY device_id, at`,
        {},
      )
      return rows.map(([id, at, count, last, enqueuedAtMs]) => ({
        deviceId: String(id),
        sentAtMs: Number(at),
        count: Number(count),
        last: { sequence: Number(last), enqueuedAtMs: Number(enqueuedAtMs) },
      }))
    },
  }
}

/** Offsets of a device whose lowest number is not above the highest of all earlier offsets of that partition. */
function disorderStatement(table: string, where: string): string {
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
function exceptRanges(ranges: readonly SequenceRange[]): string {
  if (ranges.length === 0) return ''
  return ` AND NOT (${ranges.map(({ from, to }) => `${sequence} BETWEEN ${from} AND ${to - 1}`).join(' OR ')})`
}

/** Rows of a statement as JSON values. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
export async function queryRows(url: string, statement: string, parameters: Parameters): Promise<unknown[][]> {
  const address = new URL(url)
  const headers: Record<string, string> = {}
  if (address.username !== '') {
    const account = `${decodeURIComponent(address.username)}:${decodeURIComponent(address.password)}`
    headers.authorization = `Basic ${Buffer.from(account).toString('base64')}`
  }
  const target = new URL(address.origin)
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(`param_${name}`, String(value))
  target.searchParams.set('max_query_size', '10000000')
  let response: Response
  let text: string
  try {
    response = await fetch(target, {
      method: 'POST',
      headers,
      body: `${statement} FORMAT JSONCompactEachRow`,
      signal: AbortSignal.timeout(queryMsMax),
    })
    text = await response.text()
  } catch (cause) {
    throw new PenstockError('WAREHOUSE_UNAVAILABLE', `no answer from ${target.origin}`, { cause })
  }
  if (!response.ok) throw new PenstockError('WAREHOUSE_REFUSED', text.slice(0, 1000))
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}
