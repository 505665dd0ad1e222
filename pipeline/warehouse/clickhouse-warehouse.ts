import { Readable } from 'node:stream'
import { type ClickHouseClient, ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { pipelineApplication, type Warehouse, type WarehouseOptions, type WarehouseRow } from './warehouse.ts'

/** ClickHouse over HTTP. Connections are kept alive. A request without an answer is reported, never repeated. */
export class ClickhouseWarehouse implements Warehouse {
  readonly #client: ClickHouseClient

  constructor(options: WarehouseOptions) {
    this.#client = createClient({
      url: options.url,
      username: options.user,
      password: options.password,
      request_timeout: options.requestMsMax,
      application: options.application ?? pipelineApplication,
      max_open_connections: 64,
      // Every fault is thrown to the caller, who decides; the client's own log would only repeat it.
      log: { level: ClickHouseLogLevel.OFF },
    })
  }

  async insert(
    statement: string,
    chunks: readonly Uint8Array[],
    settings: Readonly<Record<string, string>>,
  ): Promise<void> {
    await translated('insert', async () => {
      // The chunks themselves become the request's body, one write each: they are never joined.
      const values = Readable.from(chunks, { objectMode: false })
      const { stream } = await this.#client.exec({ query: statement, values, clickhouse_settings: settings })
      for await (const _ of stream);
    })
  }

  async query(
    statement: string,
    parameters: Readonly<Record<string, string | number>> = {},
  ): Promise<readonly WarehouseRow[]> {
    return translated('query', async () => {
      const result = await this.#client.query({
        query: statement,
        format: 'JSONEachRow',
        query_params: parameters,
        clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
      })
      return checkedRows(await result.json())
    })
  }

  async command(statement: string): Promise<void> {
    await translated('command', () => this.#client.command({ query: statement }))
  }

  async ping(): Promise<void> {
    const result = await this.#client.ping()
    if (!result.success) throw unavailable('the warehouse does not answer', result.error)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}

/** Once a question: each of its rows is an object, or it was not ClickHouse that answered. */
function checkedRows(rows: unknown): readonly WarehouseRow[] {
  assert(Array.isArray(rows), 'an answer of ClickHouse has rows')
  for (const row of rows) assert(isRow(row), 'a row of ClickHouse has columns')
  return rows
}

function isRow(row: unknown): row is WarehouseRow {
  return typeof row === 'object' && row !== null && !Array.isArray(row)
}

type Operation = 'insert' | 'query' | 'command'

async function translated<T>(operation: Operation, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw warehouseErrorFrom(error, operation)
  }
}

/**
 * WAREHOUSE_REFUSED only if ClickHouse itself refused, with a code that a retry cannot change. Everything else (no answer, a proxy's
 * 429 or 5xx, an overloaded or half-working server) is WAREHOUSE_UNAVAILABLE, so that it never makes a dead letter.
 */
export function warehouseErrorFrom(error: unknown, operation: Operation): PenstockError {
  if (!(error instanceof ClickHouseError)) return unavailable(`${operation}: no answer from the warehouse`, error)
  const code = Number(error.code)
  const text = `${operation}: code ${code} (${error.type ?? 'unknown'}): ${error.message}`
  // What has no number is not known to have ended; nothing may be given up for it.
  if (!Number.isInteger(code) || code <= 0) return unavailable(text, error)
  if (transientCodes.has(code) || (operation === 'insert' && misplacedCodes.has(code))) return unavailable(text, error)
  return new PenstockError('WAREHOUSE_REFUSED', text, { cause: error })
}

function unavailable(text: string, cause: unknown): PenstockError {
  const reason = cause instanceof Error ? `: ${cause.message}` : ''
  return new PenstockError('WAREHOUSE_UNAVAILABLE', cause instanceof ClickHouseError ? text : text + reason, { cause })
}

/** ClickHouse's error numbers for faults that pass by themselves, or that an operator mends. */
const transientCodes: ReadonlySet<number> = new Set([
  3, // UNEXPECTED_END_OF_FILE: the body was cut
  74, // CANNOT_READ_FROM_FILE_DESCRIPTOR
  75, // CANNOT_WRITE_TO_FILE_DESCRIPTOR
  159, // TIMEOUT_EXCEEDED
  160, // TOO_SLOW
  173, // CANNOT_ALLOCATE_MEMORY
  192, // UNKNOWN_USER
  193, // WRONG_PASSWORD
  194, // REQUIRED_PASSWORD
  198, // DNS_ERROR
  201, // QUOTA_EXCEEDED
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  209, // SOCKET_TIMEOUT
  210, // NETWORK_ERROR
  216, // QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING
  225, // NO_ZOOKEEPER
  236, // ABORTED: the server is shutting down
  241, // MEMORY_LIMIT_EXCEEDED
  242, // TABLE_IS_READ_ONLY
  243, // NOT_ENOUGH_SPACE
  252, // TOO_MANY_PARTS
  254, // NO_ACTIVE_REPLICAS
  279, // ALL_CONNECTION_TRIES_FAILED
  285, // TOO_FEW_LIVE_REPLICAS
  286, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
  319, // UNKNOWN_STATUS_OF_INSERT
  394, // QUERY_WAS_CANCELLED
  425, // SYSTEM_ERROR
  439, // CANNOT_SCHEDULE_TASK
  497, // ACCESS_DENIED
  516, // AUTHENTICATION_FAILED
  574, // DISTRIBUTED_TOO_MANY_PENDING_BYTES
  745, // SERVER_OVERLOADED
  999, // KEEPER_EXCEPTION
])

/** For an insert: its rows are fine, but their table is missing. */
const misplacedCodes: ReadonlySet<number> = new Set([60 /* UNKNOWN_TABLE */, 81 /* UNKNOWN_DATABASE */])
