import { Socket } from 'node:net'
import pg from 'pg'
import { guardedLookup, type OutgoingRules, refusalOfAddress, refusedAddress } from '#runtime/outgoing-addresses.ts'
import type { PostgresSettings } from '#schemas/endpoint-kinds/postgres.ts'

const connectionsMax = 4
const connectMsMax = 10_000
/** A statement, and a transaction in which nothing happens, end after so long at the server. */
export const statementMsMax = 60_000

/** Connections to the server of an endpoint, to no address that the rules do not allow. */
export function openPool(settings: PostgresSettings, rules: OutgoingRules): pg.Pool {
  const { hostname, port, pathname } = new URL(settings.url)
  const pool = new pg.Pool({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || 5432,
    database: decodeURIComponent(pathname.slice(1)) || settings.user,
    user: settings.user,
    password: settings.password ?? '',
    ssl: settings.tls === 'off' ? false : { rejectUnauthorized: settings.tls === 'verified' },
    max: connectionsMax,
    connectionTimeoutMillis: connectMsMax,
    statement_timeout: statementMsMax,
    idle_in_transaction_session_timeout: statementMsMax,
    keepAlive: true,
    application_name: 'penstock',
    stream: () => new GuardedSocket(rules),
  })
  // An idle connection that breaks is replaced at the next use.
  pool.on('error', () => {})
  return pool
}

/** The client opens its socket by itself, and resolves the name there. */
class GuardedSocket extends Socket {
  readonly #rules: OutgoingRules

  constructor(rules: OutgoingRules) {
    super()
    this.#rules = rules
  }

  // biome-ignore lint/suspicious/noExplicitAny: one of the overloads, which the client calls
  override connect(...[port, host = 'localhost']: any[]): this {
    const refusal = refusalOfAddress(host, port, this.#rules)
    if (refusal !== undefined) {
      this.destroy(Object.assign(new Error(refusal), { code: refusedAddress }))
      return this
    }
    return super.connect({ port, host, lookup: guardedLookup(port, this.#rules) })
  }
}
