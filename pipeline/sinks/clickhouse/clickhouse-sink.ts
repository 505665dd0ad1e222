/**
 * The ClickHouse sink: one range of batches becomes one INSERT, one block, one part.
 *
 *   INSERT INTO penstock.telemetry (…) SELECT …, {partition}, {first} FROM input('…')
 *   WHERE throwIf(now64(3) > {expires}, …) = 0      begins in time, on ClickHouse's own clock
 *     AND throwIf(toDate(enqueuedAtMs) != {day}, …) = 0   stays in one table partition, so in one part
 *   FORMAT Avro
 *
 * Both conditions cost two comparisons a row, vectorised; the first is folded to a constant before the body is read.
 */
import type { DeliveryRange, HeldRange, RowGroup } from '#pipeline/endpoints/delivery-range.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Warehouse, WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { systemClock } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import type { Logger } from '#runtime/logger.ts'
import { batchHeader } from '#schemas/batch.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type BatchTable, type TableOptions, telemetryInput, warehouseDatabase } from '#schemas/telemetry-table.ts'
import { assertTableSafe, prepareTables } from './clickhouse-tables.ts'

/** Positions that are asked for at once. */
const heldAtOnceMax = 50_000
const expiredText = 'penstock: this insert began too late'
const dayText = 'penstock: a message lies outside the day that its batch is stamped with'

export interface ClickHouseSinkOptions {
  readonly warehouse: Warehouse
  readonly tables: TableOptions
  /** Which table is filled; telemetry by default. */
  readonly table?: BatchTable
  /** True if the tables were created, and telemetry's checked, before. */
  readonly tablesReady?: boolean
  readonly logger: Logger
  readonly clock?: Clock
}

/**
 * Creates or checks the tables and opens the sink; the warehouse stays the caller's to close.
 * @throws WAREHOUSE_TABLE_UNSAFE, WAREHOUSE_SCHEMA_UNKNOWN, WAREHOUSE_UNAVAILABLE
 */
export async function openClickHouseSink(options: ClickHouseSinkOptions): Promise<TableSink> {
  const { warehouse, tables, table = 'telemetry', tablesReady = false, logger } = options
  if (!tablesReady) await prepareTables(warehouse, tables, logger)
  if (table !== 'telemetry') await assertTableSafe(warehouse, tables, table)
  const sink = new ClickHouseSink(warehouse, ownTable(table), tables.replicated, options.clock ?? systemClock)
  await sink.open()
  return sink
}

export class ClickHouseSink implements TableSink {
  readonly atomic = true
  readonly name: string
  readonly insertMsMax = limits.insertRunMsMax
  readonly #warehouse: Warehouse
  readonly #target: ClickHouseTarget
  readonly #replicated: boolean
  readonly #clock: Clock
  #settings: Readonly<Record<string, string>> = {}
  /** ClickHouse's clock minus our monotonic one, at most: what is added to a moment of ours never gives a later one of its. */
  #clockAheadMs = 0
  #clockMeasuredMonotonicMs = 0

  constructor(warehouse: Warehouse, target: ClickHouseTarget, replicated: boolean, clock: Clock) {
    this.#warehouse = warehouse
    this.#target = target
    this.name = target.name
    this.#replicated = replicated
    this.#clock = clock
  }

  /** Asks the server for what inserts need to know of it. @throws WAREHOUSE_UNAVAILABLE */
  async open(): Promise<void> {
    this.#settings = await knownSettings(this.#warehouse, insertSettings(this.#replicated))
    await this.#measureClock()
  }

  async insert(selected: SelectedRange, token: string, expiresMonotonicMs: number): Promise<void> {
    await this.#insert(selected.range, token, await selected.avro(), expiresMonotonicMs)
  }

  async #insert(
    range: DeliveryRange,
    token: string,
    chunks: readonly Uint8Array[],
    expiresMonotonicMs: number,
  ): Promise<void> {
    // Its clock may have been set back since, and no refusal would tell.
    const measuredMs = this.#clock.monotonicMs() - this.#clockMeasuredMonotonicMs
    if (measuredMs > limits.warehouseClockMeasuredMsMax) await this.#measureClock()
    const expiresAtMs = Math.floor(expiresMonotonicMs + this.#clockAheadMs)
    const statement = insertStatement(range, expiresAtMs, this.#target)
    try {
      await this.#warehouse.insert(statement, chunks, { ...this.#settings, insert_deduplication_token: token })
    } catch (error) {
      if (!isPenstockError(error, 'WAREHOUSE_REFUSED') || !error.message.includes(`: ${expiredText}`)) throw error
      // Not the rows' fault: the process slept, or ClickHouse's clock was set. Measure again; the caller decides whether to repeat.
      await this.#measureClock()
      throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'the insert began too late and was refused', { cause: error })
    }
  }

  async stored(range: DeliveryRange): Promise<number> {
    const { table, own } = this.#target
    // The time prunes the day's parts, and tells this log from an older one whose positions began at 0 too.
    const [row] = await this.#ask(
      `SELECT count() AS rows FROM ${table} WHERE log_partition = ${range.partition} AND log_offset = ${range.first} ` +
        `AND enqueued_at >= ${moment(range.enqueuedAtMsFirst)} AND enqueued_at <= ${moment(range.enqueuedAtMsLast)}${own}`,
    )
    return row === undefined ? 0 : countOf(row.rows, 'a question for rows')
  }

  async newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined> {
    const { table, own } = this.#target
    const mine = `log_partition = ${partition} AND log_offset < ${end} AND enqueued_at >= ${moment(sinceMs)}${own}`
    const [row] = await this.#ask(
      'SELECT any(log_offset) AS offset, count() AS rows, toUnixTimestamp64Milli(min(enqueued_at)) AS from_ms, ' +
        `toUnixTimestamp64Milli(max(enqueued_at)) AS to_ms FROM ${table} ` +
        `WHERE ${mine} AND log_offset = (SELECT max(log_offset) FROM ${table} WHERE ${mine})`,
    )
    if (!row || Number(row.rows) === 0) return undefined
    const offset = countOf(row.offset, 'a question for the newest position')
    assert(offset < end, `the newest position below ${end} is not ${offset}`)
    const [fromMs, toMs] = [Number(row.from_ms), Number(row.to_ms)]
    assert(
      Number.isSafeInteger(fromMs) && fromMs <= toMs,
      `the newest rows have times, which are not ${row.from_ms} to ${row.to_ms}`,
    )
    return {
      offset,
      rowCount: countOf(row.rows, 'a question for the newest rows'),
      enqueuedAtMsFirst: fromMs,
      enqueuedAtMsLast: toMs,
    }
  }

  /** Rows of several inserts under one position are parts of one batch, and are counted together. */
  async *held(partition: number, from: number, end: number): AsyncGenerator<HeldRange> {
    const { table, own } = this.#target
    for (let next = from; ; ) {
      const rows = await this.#ask(
        'SELECT log_offset AS offset, count() AS rows, toUnixTimestamp64Milli(max(enqueued_at)) AS to_ms ' +
          `FROM ${table} WHERE log_partition = ${partition} AND log_offset >= ${next} AND log_offset < ${end}${own} ` +
          `GROUP BY log_offset ORDER BY log_offset LIMIT ${heldAtOnceMax}`,
      )
      for (const row of rows) {
        const offset = countOf(row.offset, 'a question for positions')
        assert(offset >= next && offset < end, `positions from ${next} to ${end} are asked for, and not ${offset}`)
        const messageCount = countOf(row.rows, 'a question for rows')
        const enqueuedAtMsLast = countOf(row.to_ms, 'a question for the latest row')
        yield { offset, last: undefined, messageCount, enqueuedAtMsLast }
        next = offset + 1
      }
      if (rows.length < heldAtOnceMax) return
    }
  }

  async accepts(): Promise<boolean> {
    const range: DeliveryRange = {
      topic: '',
      partition: 0,
      first: 0,
      last: 0,
      messageCount: 0,
      enqueuedAtMsFirst: 0,
      enqueuedAtMsLast: 0,
    }
    try {
      const expiresMonotonicMs = this.#clock.monotonicMs() + limits.insertBeginMsMax
      await this.#insert(range, 'penstock: no rows', [batchHeader], expiresMonotonicMs)
      return true
    } catch (error) {
      if (isPenstockError(error, 'WAREHOUSE_REFUSED')) return false
      throw error
    }
  }

  /** Nothing is its own: the warehouse stays the caller's. */
  async close(): Promise<void> {}

  /** Asks what the table holds. */
  #ask(statement: string): Promise<readonly WarehouseRow[]> {
    return answered(async () => {
      // A replica that lags would not know what another one holds.
      if (this.#replicated) await this.#warehouse.command(`SYSTEM SYNC REPLICA ${this.#target.table} LIGHTWEIGHT`)
      return await this.#warehouse.query(statement)
    })
  }

  /**
   * Reckons with the moment at which the answer is here: however long it took, expiries are early then, never late, and one that
   * is too early is refused and measured anew.
   */
  async #measureClock(): Promise<void> {
    const [row] = await answered(() => this.#warehouse.query('SELECT toUnixTimestamp64Milli(now64(3)) AS now_ms'))
    const answeredMonotonicMs = this.#clock.monotonicMs()
    const nowMs = Number(row?.now_ms)
    if (!Number.isSafeInteger(nowMs))
      throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'ClickHouse did not say its time')
    this.#clockAheadMs = nowMs - answeredMonotonicMs
    this.#clockMeasuredMonotonicMs = answeredMonotonicMs
  }
}

/** Where rows go, and as what. */
export interface ClickHouseTarget {
  /** Of the endpoint, or of the sink in metrics. */
  readonly name: string
  /** With its database. */
  readonly table: string
  /** Names of columns, and what fills them: expressions over the fields of an envelope. Position and partition follow by themselves. */
  readonly columns: readonly (readonly [name: string, expression: string])[]
  /** `WITH … `: other names of these fields, which expressions use. */
  readonly names?: string
  /** Where others write to the table, too: ` AND …` which rows are this destination's. */
  readonly own: string
}

const envelopeColumns = [
  ['device_id', 'deviceId'],
  ['enqueued_at', 'enqueuedAtMs'],
  ['body', 'body'],
  ['properties', 'properties'],
  ['system_properties', 'systemProperties'],
] as const

const sinkNames: Readonly<Record<BatchTable, string>> = {
  telemetry: 'clickhouse',
  device_events: 'clickhouse-events',
  twin_events: 'clickhouse-twin-events',
}

function ownTable(table: BatchTable): ClickHouseTarget {
  return { name: sinkNames[table], table: `${warehouseDatabase}.${table}`, columns: envelopeColumns, own: '' }
}

/** A question that is refused says nothing about any rows, so it must not pass for WAREHOUSE_REFUSED: whoever asks waits. */
async function answered<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (error) {
    if (!isPenstockError(error, 'WAREHOUSE_REFUSED')) throw error
    throw new PenstockError('WAREHOUSE_UNAVAILABLE', error.message, { cause: error })
  }
}

/** The statement that stores `range`; `expiresAtMs` in ClickHouse's time. */
export function insertStatement(
  range: DeliveryRange,
  expiresAtMs: number,
  { table, columns, names = '' }: ClickHouseTarget = ownTable('telemetry'),
): string {
  const filled = [...columns, ['log_partition', String(range.partition)], ['log_offset', String(range.first)]] as const
  return (
    `INSERT INTO ${table} (${filled.map(([name]) => name).join(', ')}) ` +
    `${names}SELECT ${filled.map(([, expression]) => expression).join(', ')} ` +
    `FROM input('${telemetryInput.replaceAll("'", "\\'")}') ` +
    `WHERE throwIf(now64(3) > ${moment(expiresAtMs)}, '${expiredText}') = 0 ` +
    `AND throwIf(toDate(enqueuedAtMs) != toDate(${moment(range.enqueuedAtMsFirst)}), '${dayText}') = 0 ` +
    'FORMAT Avro'
  )
}

/** Pinned, since a repeated insert is the same block only under the same settings. */
function insertSettings(replicated: boolean): Readonly<Record<string, string>> {
  return {
    // ClickHouse waits for nothing and answers when the part is committed. On by default since 26.x.
    async_insert: '0',
    wait_end_of_query: '1',
    insert_deduplicate: '1',
    deduplicate_insert: 'enable',
    // With a token INSERT … SELECT is safe to repeat; newer versions must be told, and then refuse one without a token.
    deduplicate_insert_select: 'force_enable',
    insert_select_deduplicate: '1',
    // A view that fails must neither make an error of an insert that is stored nor keep it out; who watches for that: watch-views.ts.
    materialized_views_ignore_errors: '1',
    // A roll-up must not count a block that the table discarded (before 26.2 it did by default).
    deduplicate_blocks_in_dependent_materialized_views: '1',
    // One insert, one block: gather until more rows than an insert may have, whatever their bytes.
    max_insert_block_size: '1048449',
    min_insert_block_size_rows: '1048449',
    min_insert_block_size_bytes: '0',
    max_insert_block_size_bytes: '0',
    use_strict_insert_block_limits: '0',
    // One thread keeps the order of blocks, and so of one device's messages of one millisecond; one writer makes one part.
    max_threads: '1',
    max_insert_threads: '1',
    // Bounds how long an insert of unknown outcome may still land.
    max_execution_time: String(limits.insertRunMsMax / 1000),
    timeout_overflow_mode: 'throw',
    ...(replicated ? { insert_quorum: 'auto', insert_quorum_parallel: '1' } : {}),
  }
}

/** Settings that this server knows: an older one refuses a statement for a name that it has not learned yet. */
async function knownSettings(
  warehouse: Warehouse,
  wanted: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const names = Object.keys(wanted)
  const rows = await warehouse.query(
    `SELECT name FROM system.settings WHERE name IN (${names.map((name) => `'${name}'`).join(', ')})`,
  )
  const known = new Set(rows.map(({ name }) => String(name)))
  return Object.fromEntries(Object.entries(wanted).filter(([name]) => known.has(name)))
}

/** A count that ClickHouse answered; of none at all nothing may be concluded. */
function countOf(answer: unknown, question: string): number {
  const count = Number(answer)
  assert(answer !== undefined && isCount(count), `${question} is answered with a count`)
  return count
}

function moment(atMs: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${atMs}), 'UTC')`
}
