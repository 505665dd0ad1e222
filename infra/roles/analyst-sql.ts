import type { AnalystSql } from '#control/sql/sql.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { aText, recordOf } from '#runtime/json-check.ts'
import { limits } from '#schemas/limits.ts'
import { clickhouseLimits, type RoleLimits } from '#schemas/role-limits.ts'
import type { Settings } from '#schemas/settings.ts'
import { warehouseUrl } from './open-role-warehouse.ts'
import { operatorLimits } from './operator-limits.ts'

const pulseMs = 1_000
const faultLengthMax = 8_192

/**
 * Statements over the ClickHouse HTTP protocol, as the user for analysts. The user's rights are the wall: `readonly`. The rest are bounds
 * of one statement, which the server keeps as well.
 */
export class ClickhouseSql implements AnalystSql {
  readonly #url: URL | undefined
  readonly #headers: Readonly<Record<string, string>>
  readonly #clock: Clock
  #running = 0

  constructor(settings: Settings, clock: Clock) {
    const user = settings.clickhouseReadonlyUser
    this.#url = user === undefined ? undefined : new URL(warehouseUrl(settings, settings.clickhousePort))
    this.#headers = { 'X-ClickHouse-User': user ?? '', 'X-ClickHouse-Key': settings.clickhouseReadonlyPassword }
    this.#clock = clock
    for (const [name, value] of Object.entries(boundsOf(settings))) this.#url?.searchParams.set(name, value)
  }

  run(statement: string): AsyncIterable<Uint8Array> {
    const gone = new AbortController()
    const lines = this.#lines(statement, gone)
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => lines.next(),
        return: () => {
          gone.abort()
          return lines.return(undefined)
        },
      }),
    }
  }

  async *#lines(statement: string, gone: AbortController): AsyncGenerator<Uint8Array> {
    if (this.#url === undefined)
      return yield lineOf({ fault: 'PENSTOCK_CLICKHOUSE_READONLY_USER is not set: no user for analysts is known' })
    if (this.#running >= limits.consoleStatementsMax)
      return yield lineOf({ fault: `${limits.consoleStatementsMax} statements run already; end one of them` })
    this.#running++
    try {
      yield lineOf({ begun: true })
      const answer = fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: statement,
        signal: gone.signal,
      })
      const startedMs = this.#clock.monotonicMs()
      const pulse = async (): Promise<Uint8Array> => {
        const progress = await this.#progressOf(statement, gone.signal)
        return lineOf({ elapsedMs: Math.round(this.#clock.monotonicMs() - startedMs), ...(progress && { progress }) })
      }
      const head = yield* this.#awaited(answer, pulse, gone.signal)
      if (!head.ok) return yield lineOf({ fault: (await head.text()).trim().slice(0, faultLengthMax) })
      yield* this.#rows(head, pulse, gone.signal)
    } catch (error) {
      if (!gone.signal.aborted) yield lineOf({ fault: `ClickHouse does not answer: ${reasonOf(error)}` })
    } finally {
      this.#running--
      gone.abort()
    }
  }

  /** The lines of an answer, up to the bounds of rows and bytes. */
  async *#rows(head: Response, pulse: Pulse, gone: AbortSignal): AsyncGenerator<Uint8Array> {
    const reader = (head.body ?? new ReadableStream<Uint8Array>()).getReader()
    /** Of a line that has not ended: a row may come in many pieces, which are joined once. */
    let pieces: Uint8Array[] = []
    let [rows, bytes] = [0, 0]
    for (;;) {
      const { done, value } = yield* this.#awaited(reader.read(), pulse, gone)
      if (done) break
      bytes += value.length
      pieces.push(value)
      if (value.includes(lineFeed)) {
        const text = Buffer.concat(pieces)
        let start = 0
        for (let end = text.indexOf(lineFeed); end >= 0; end = text.indexOf(lineFeed, start)) {
          const line = text.subarray(start, end + 1)
          if (line.length > 1 && line[0] !== brace) return yield faultOf(text.subarray(start))
          if (line.subarray(0, rowBegins.length).equals(rowBegins) && ++rows > limits.consoleRowsMax)
            return yield lineOf({ cut: limits.consoleRowsMax })
          if (line.length > 1) yield line
          start = end + 1
        }
        pieces = [text.subarray(start)]
      }
      if (bytes > limits.consoleResultBytesMax) return yield lineOf({ cut: rows })
    }
    const rest = Buffer.concat(pieces)
    if (rest.length > 0) yield faultOf(rest)
  }

  /** Says every second that it still waits, and for how much. Rejects as `promise` does. */
  async *#awaited<T>(promise: Promise<T>, pulse: Pulse, gone: AbortSignal): AsyncGenerator<Uint8Array, T> {
    const settled = promise.then((value) => ({ value }))
    // It is awaited below; until then its fault is nobody's.
    settled.catch(() => {})
    for (;;) {
      const waited = new AbortController()
      const due = sleep(this.#clock, pulseMs, AbortSignal.any([waited.signal, gone])).then(() => undefined)
      const first = await Promise.race([settled, due])
      waited.abort()
      if (first !== undefined) return first.value
      gone.throwIfAborted()
      yield await pulse()
    }
  }

  /**
   * How much a statement has read. ClickHouse tells it within an answer that has begun, and the embedded engine never does, so its
   * processes are looked at. `undefined`: it is not known.
   */
  async #progressOf(statement: string, gone: AbortSignal): Promise<object | undefined> {
    if (this.#url === undefined) return undefined
    const beginning = statement.trim().slice(0, progressLengthMax).replace(/['\\]/g, '\\$&')
    const body = `SELECT toString(max(read_rows)) AS read_rows, toString(max(read_bytes)) AS read_bytes, toString(max(total_rows_approx)) AS total_rows_to_read FROM system.processes WHERE startsWith(query, '${beginning}') FORMAT JSONEachRow`
    try {
      const signal = AbortSignal.any([gone, AbortSignal.timeout(pulseMs)])
      const answer = await fetch(this.#url, { method: 'POST', headers: this.#headers, body, signal })
      return answer.ok ? progressCheck(await answer.json()) : undefined
    } catch {
      return undefined
    }
  }
}

/** What a client is told while it waits. */
type Pulse = () => Promise<Uint8Array>

const progressCheck = recordOf({ read_rows: aText, read_bytes: aText, total_rows_to_read: aText })
/** By which a statement is found among those that run. */
const progressLengthMax = 1_000

const lineFeed = 0x0a
const brace = 0x7b
const rowBegins = Buffer.from('{"row"')

/** The operator's limits, where they are lower than the console's own. @throws SETTINGS_INVALID */
function boundsOf(settings: Settings): Readonly<Record<string, string>> {
  const limited = Object.entries(operatorLimits(settings).readonly.limits).flatMap(([limit, value]) => {
    const name = clickhouseLimits[limit as keyof RoleLimits]
    const own = name === undefined ? undefined : Number(bounds[name] ?? Number.POSITIVE_INFINITY)
    return name !== undefined && own !== undefined && value < own ? [[name, String(value)]] : []
  })
  return { ...bounds, ...Object.fromEntries(limited) }
}

const bounds: Readonly<Record<string, string>> = {
  default_format: 'JSONCompactEachRowWithProgress',
  max_execution_time: String(limits.consoleStatementSecondsMax),
  max_result_rows: String(limits.consoleRowsMax + 1),
  result_overflow_mode: 'break',
  max_memory_usage: String(limits.consoleStatementMemoryBytesMax),
  output_format_json_quote_64bit_integers: '1',
  // A statement whose client has gone is of no use.
  cancel_http_readonly_queries_on_client_close: '1',
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}

function faultOf(text: Buffer): Uint8Array {
  return lineOf({ fault: text.toString().trim().slice(0, faultLengthMax) })
}

function lineOf(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}
