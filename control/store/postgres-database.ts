import pg from 'pg'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Database, Queries, SqlRow, SqlValue } from './database.ts'

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=…` */
  readonly url: string
  readonly connectionsMax: number
  readonly logger: Logger
}

/** A statement that takes longer is broken off: no registry operation needs as long. */
const statementMsMax = 30_000
const connectMsMax = 5_000
/** How often the listening connection is asked for a sign of life, so that a dead link is found before a second message is missed. */
const heartbeatMs = 2_000
const listenBackOff: BackOff = { firstMs: 50, factor: 2, maxMs: 2_000, jitter: 0 }

/** A PostgreSQL server through a pool. @throws PenstockError STORE_UNAVAILABLE if it cannot be reached now */
export async function openPostgresDatabase(options: PostgresOptions): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connectionsMax,
    connectionTimeoutMillis: connectMsMax,
    idleTimeoutMillis: 60_000,
    statement_timeout: statementMsMax,
    keepAlive: true,
    application_name: 'penstock',
  })
  // An idle connection that breaks is replaced by the pool on next use.
  pool.on('error', (error) => options.logger.warn('a database connection was lost', { error }))
  const database = new PostgresDatabase(pool, options)
  try {
    await database.query('SELECT 1')
  } catch (error) {
    await database.close()
    throw error
  }
  return database
}

class PostgresDatabase implements Database {
  readonly #pool: pg.Pool
  readonly #options: PostgresOptions
  readonly #stops = new Set<() => Promise<void>>()
  #closing: Promise<void> | undefined

  constructor(pool: pg.Pool, options: PostgresOptions) {
    this.#pool = pool
    this.#options = options
  }

  query<Row extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    return rowsOf<Row>(this.#pool, sql, parameters)
  }

  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch(rethrow)
    let broken: Error | undefined
    const onError = (error: Error) => {
      broken = error
    }
    client.on('error', onError)
    try {
      await rowsOf(client, 'BEGIN', [])
      const result = await work({ query: (sql, parameters = []) => rowsOf(client, sql, parameters) })
      await rowsOf(client, 'COMMIT', [])
      return result
    } catch (error) {
      await rowsOf(client, 'ROLLBACK', []).catch((fault: Error) => {
        broken = fault
      })
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  async listen(channels: readonly string[], onPayload: OnPayload, onGap: () => void): Promise<() => Promise<void>> {
    const listener = new Listener(this.#options, channels, onPayload, onGap)
    await listener.start()
    const stop = () => {
      this.#stops.delete(stop)
      return listener.stop()
    }
    this.#stops.add(stop)
    return stop
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all([...this.#stops].map((stop) => stop()))
      await this.#pool.end()
    })()
    return this.#closing
  }
}

type OnPayload = (payload: string, channel: string) => void

/** One connection that LISTENs. It is made again whenever it is lost. */
class Listener {
  readonly #options: PostgresOptions
  readonly #channels: readonly string[]
  readonly #onPayload: OnPayload
  readonly #onGap: () => void
  readonly #stopped = new AbortController()
  #client: pg.Client | undefined
  #running: Promise<void> | undefined

  constructor(options: PostgresOptions, channels: readonly string[], onPayload: OnPayload, onGap: () => void) {
    this.#options = options
    this.#channels = channels
    this.#onPayload = onPayload
    this.#onGap = onGap
  }

  async start(): Promise<void> {
    const { lost } = await this.#connect()
    this.#running = this.#keep(lost)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#client?.end().catch(() => {})
    await this.#running
  }

  async #keep(lostFirst: Promise<void>): Promise<void> {
    const { signal } = this.#stopped
    let lost = lostFirst
    while (true) {
      await lost
      if (signal.aborted) return
      const connected = await this.#connectAgain()
      if (connected === undefined) return
      lost = connected.lost
      this.#options.logger.info('listening for registry changes again')
      this.#onGap()
    }
  }

  /** `undefined`: it was stopped meanwhile. */
  #connectAgain(): Promise<{ lost: Promise<void> } | undefined> {
    return retry(() => this.#connect(), {
      backOff: listenBackOff,
      clock: systemClock,
      until: this.#stopped.signal,
      isRetryable: () => true,
      onRetry: (error) => this.#options.logger.warn('cannot listen for registry changes; trying again', { error }),
    }).catch(() => undefined)
  }

  /** Resolves once listening, with a promise of the connection's end. */
  async #connect(): Promise<{ lost: Promise<void> }> {
    const client = new pg.Client({
      connectionString: this.#options.url,
      connectionTimeoutMillis: connectMsMax,
      query_timeout: heartbeatMs,
      keepAlive: true,
      application_name: 'penstock-listen',
    })
    this.#client = client
    const lost = new Promise<void>((resolve) => client.once('end', resolve))
    client.on('error', (error) => this.#options.logger.warn('the listening connection was lost', { error }))
    client.on('notification', ({ payload, channel }) => this.#onPayload(payload ?? '', channel))
    try {
      await client.connect()
      for (const channel of this.#channels) await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
    } catch (error) {
      await client.end().catch(() => {})
      throw unavailable(error)
    }
    const heartbeat = setInterval(() => client.query('SELECT 1').catch(() => client.end().catch(() => {})), heartbeatMs)
    heartbeat.unref()
    return { lost: lost.then(() => clearInterval(heartbeat)) }
  }
}

async function rowsOf<Row extends SqlRow>(
  target: pg.Pool | pg.PoolClient,
  sql: string,
  parameters: readonly SqlValue[],
): Promise<Row[]> {
  return (await target.query<Row>(sql, [...parameters]).catch(rethrow)).rows
}

function rethrow(error: unknown): never {
  throw isConnectionFault(error) ? unavailable(error) : error
}

function unavailable(cause: unknown): PenstockError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new PenstockError('STORE_UNAVAILABLE', `the control store did not answer: ${why}`, { cause })
}

/** Class 08 connection, 53 resources, 57P operator intervention, 40 rolled back (PostgreSQL, Appendix A); system codes; pool faults. */
function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  if (/^(08|53|57P|40)/.test(code)) return true
  if (/^E[A-Z]+$/.test(code)) return true
  return code === '' && /terminated|timeout|not queryable|closed|after calling end/i.test(error.message)
}
