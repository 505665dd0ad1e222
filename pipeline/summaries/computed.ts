import type { Warehouse, WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { quoted } from '#schemas/clickhouse-text.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import type { Range, RowCounts } from './periods.ts'

/**
 * What was computed, and of how many rows. Rows are only ever added to a period, until they are too old: so where there are as many as when
 * it was computed, they are the same ones.
 */
export class Computed {
  readonly #warehouse: Warehouse
  readonly #subject: string
  readonly #definition: string

  /** @param definition how it is computed: what was computed otherwise counts as not computed */
  constructor(warehouse: Warehouse, subject: string, definition = '') {
    this.#warehouse = warehouse
    this.#subject = subject
    this.#definition = definition
  }

  /** Of periods of so many seconds. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
  counts(seconds: number, range: Range): Promise<RowCounts> {
    return this.#ask('start', seconds, range)
  }

  /** The counts of periods of `seconds`, summed up by longer ones. */
  sums(seconds: number, by: number, range: Range): Promise<RowCounts> {
    return this.#ask(`toStartOfInterval(start, toIntervalSecond(${by}))`, seconds, range)
  }

  /** Whether some of these periods were computed in another way. */
  async hasOthers(seconds: number, { from, to }: Range): Promise<boolean> {
    const found = await this.#warehouse.query(
      `SELECT 1 FROM ${warehouseDatabase}.computed FINAL WHERE subject = ${quoted(this.#subject)} AND definition != ${quoted(this.#definition)} ` +
        `AND seconds = ${seconds} AND start >= toDateTime(${from}) AND start < toDateTime(${to}) LIMIT 1`,
    )
    return found.length > 0
  }

  async #ask(start: string, seconds: number, { from, to }: Range): Promise<RowCounts> {
    const found = await this.#warehouse.query(
      `SELECT toUnixTimestamp(${start}) AS period, sum(rows) AS counted FROM ${warehouseDatabase}.computed FINAL ` +
        `WHERE subject = ${quoted(this.#subject)} AND definition = ${quoted(this.#definition)} AND seconds = ${seconds} AND start >= toDateTime(${from}) AND start < toDateTime(${to}) ` +
        'GROUP BY period',
    )
    return rowCountsOf(found)
  }

  /** They were computed of at least so many rows. */
  async note(seconds: number, counts: Iterable<readonly [start: number, rows: number]>): Promise<void> {
    const [subject, definition] = [this.#subject, this.#definition]
    const lines = Array.from(counts, ([start, rows]) => JSON.stringify({ subject, definition, seconds, start, rows }))
    if (lines.length === 0) return
    await this.#warehouse.insert(
      `INSERT INTO ${warehouseDatabase}.computed (subject, definition, seconds, start, rows) FORMAT JSONEachRow`,
      [Buffer.from(`${lines.join('\n')}\n`)],
      { async_insert: '0' },
    )
  }
}

/** What ClickHouse answered: rows by period. What is no count would differ from each, and be computed again for ever. */
export function rowCountsOf(rows: readonly WarehouseRow[]): RowCounts {
  const counts = new Map(rows.map(({ period, counted }) => [Number(period), Number(counted)]))
  for (const [start, count] of counts)
    assert(Number.isSafeInteger(start) && count >= 0, `a period of ${start} has a count of rows, and not ${count}`)
  assert(counts.size === rows.length, 'a period is counted once')
  return counts
}

/** Periods that have other rows than those of which they were computed. */
export function stale(found: RowCounts, computed: RowCounts): Map<number, number> {
  return new Map([...found].filter(([start, rows]) => computed.get(start) !== rows))
}
