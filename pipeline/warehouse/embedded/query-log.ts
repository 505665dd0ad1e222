/**
 * The statements of clients as rows of `penstock.queries`, which on a ClickHouse server is a view of its own log. The library engine has none.
 *
 *   begin ──▶ under way ── each tick: what it has read, and its memory ──▶ end ──▶ waits ──▶ a row, within seconds
 *
 * The engine tells what a statement read, and its memory, only while it runs: of one that ends sooner than a tick or two both are not known.
 * What waits is bounded; beyond that, and where a row cannot be stored, statements go unlogged and are counted.
 */
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import { limits } from '#schemas/limits.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import type { DiskWatch } from './disk-watch.ts'
import { type Engine, sqlText } from './engine.ts'
import { engineErrorFrom } from './engine-error.ts'
import { engineRows } from './engine-rows.ts'

export interface LoggedStatement {
  readonly query_id: string
  readonly user: string
  /** Address of the client, and what it calls itself. */
  readonly client: string
  readonly application: string
  readonly query: Buffer
  readonly atMs: number
  readonly seconds: number
  readonly result_rows: number
  readonly result_bytes: number
  readonly written_rows: number
  /** 0: it went well. */
  readonly code: number
  readonly error: string
}

/** What a running statement took, as far as the engine said. */
interface Usage {
  readonly read_rows: number | null
  readonly read_bytes: number | null
  readonly memory: number | null
}

export interface QueryLogOptions {
  readonly engine: Pick<Engine, 'connect'>
  readonly disk: Pick<DiskWatch, 'writing'>
  /** Rows are removed after so many days. */
  readonly days: number
  readonly clock: Clock
  readonly logger: Logger
}

const table = `${warehouseDatabase}.queries`
const nothing: Usage = { read_rows: null, read_bytes: null, memory: null }

export class QueryLog {
  readonly #options: QueryLogOptions
  readonly #underWay = new Map<string, Usage>()
  #waiting: object[] = []
  #unlogged = 0
  #ticks = 0
  #isMade = false
  readonly #end: () => Promise<void>

  constructor(options: QueryLogOptions) {
    this.#options = options
    this.#end = repeating(options.clock, async () => {
      await this.#tick()
      return limits.queryLogTickMs
    })
  }

  begin(queryId: string): void {
    this.#underWay.set(queryId, nothing)
  }

  end({ atMs, query, error, ...statement }: LoggedStatement): void {
    const usage = this.#underWay.get(statement.query_id) ?? nothing
    this.#underWay.delete(statement.query_id)
    if (this.#waiting.length >= limits.queryLogWaitingMax) {
      this.#unlogged++
      return
    }
    const texts = { query: shortened(query), error: shortened(Buffer.from(error)) }
    this.#waiting.push({ at: timeText(atMs), ...statement, ...texts, ...usage })
  }

  /** Stores what waits. */
  async close(): Promise<void> {
    await this.#end()
    await this.#store()
  }

  async #tick(): Promise<void> {
    this.#ticks++
    if (this.#underWay.size > 0) await this.#measure()
    if (this.#ticks % limits.queryLogStoreTicks === 0) await this.#store()
  }

  async #measure(): Promise<void> {
    const ids = [...this.#underWay.keys()].map(sqlText).join(', ')
    const connection = this.#options.engine.connect()
    try {
      const { bytes } = await connection.run(
        "SELECT Settings['log_comment'] AS id, toFloat64(read_rows) AS read_rows, toFloat64(read_bytes) AS read_bytes, " +
          `toFloat64(peak_memory_usage) AS memory FROM system.processes WHERE Settings['log_comment'] IN (${ids})`,
        'JSONEachRow',
      )
      for (const { id, ...usage } of engineRows(bytes, 'processes', isUsage))
        if (this.#underWay.has(id)) this.#underWay.set(id, usage)
    } catch (error) {
      this.#options.logger.debug('running statements cannot be measured', { error })
    } finally {
      connection.close()
    }
  }

  async #store(): Promise<void> {
    const rows = this.#waiting
    this.#waiting = []
    if (rows.length === 0) return
    const { engine, disk, logger } = this.#options
    const connection = engine.connect()
    try {
      await disk.writing(async () => {
        if (!this.#isMade) for (const statement of this.#tableStatements()) await connection.run(statement, 'Null')
        this.#isMade = true
        const lines = rows.map((row) => JSON.stringify(row)).join('\n')
        await connection.runInsert(`INSERT INTO ${table} FORMAT JSONEachRow`, Buffer.from(`${lines}\n`))
      })
    } catch (error) {
      this.#unlogged += rows.length
      logger.debug('statements are not logged', { error: engineErrorFrom(error) })
    } finally {
      connection.close()
    }
    if (this.#unlogged > 0) logger.warn('statements are not in the log of queries', { count: this.#unlogged })
    this.#unlogged = 0
  }

  #tableStatements(): string[] {
    const days = this.#options.days
    return [
      `CREATE DATABASE IF NOT EXISTS ${warehouseDatabase}`,
      `CREATE TABLE IF NOT EXISTS ${table} (at DateTime64(3, 'UTC'), user LowCardinality(String), query_id String, client String, ` +
        'application LowCardinality(String), query String, seconds Float64, read_rows Nullable(UInt64), read_bytes Nullable(UInt64), ' +
        'result_rows UInt64, result_bytes UInt64, written_rows UInt64, memory Nullable(UInt64), code Int32, error String) ' +
        `ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY at TTL toDateTime(at) + INTERVAL ${days} DAY DELETE`,
      `ALTER TABLE ${table} MODIFY TTL toDateTime(at) + INTERVAL ${days} DAY DELETE`,
    ]
  }
}

function isUsage(row: unknown): row is Usage & { readonly id: string } {
  return typeof row === 'object' && row !== null && 'id' in row && typeof row.id === 'string'
}

/** Of its own, so that a long text is not kept with it. Half of a character at its end would have ClickHouse refuse all rows of the insert. */
function shortened(text: Buffer): string {
  const characters = text.toString('utf8', 0, 3 * limits.queryLogTextMax).slice(0, limits.queryLogTextMax)
  return Buffer.from(characters).toString()
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString().replace('T', ' ').replace('Z', '')
}
