import { createRequire } from 'node:module'
import { PenstockError } from '#schemas/errors.ts'
import { engineErrorFrom } from './engine-error.ts'

/** What the engine says about a finished statement. */
export interface EngineResult {
  readonly bytes: Buffer
  readonly elapsed: number
  readonly rowsRead: number
  readonly bytesRead: number
}

/** Connections of the engine's binding; every one runs its statements one after another, on a thread of libuv's pool. */
interface Binding {
  CreateConnection(path: string, engineArguments?: readonly string[]): unknown
  CloseConnection(connection: unknown): void
  QueryAsyncConnection(connection: unknown, sql: string, format: string): Promise<EngineResult>
}

/** The embedded ClickHouse engine on one data folder. A process can open one folder only. */
export class Engine {
  readonly #binding: Binding
  readonly #path: string
  readonly #keep: unknown

  constructor(path: string) {
    this.#binding = loadBinding()
    this.#path = path
    // The engine lives as long as one connection does; this one never runs a statement that may last.
    this.#keep = this.#binding.CreateConnection(path)
  }

  /** A connection of its own: about 1 ms, and nothing of an earlier request's settings can leak into it. */
  connect(): EngineConnection {
    return new EngineConnection(this.#binding, this.#binding.CreateConnection(this.#path))
  }

  /** Ends the statement that runs under this tag; its promise then rejects with code 394. */
  async kill(tag: string): Promise<void> {
    const connection = this.connect()
    try {
      await connection.run(`KILL QUERY WHERE Settings['log_comment'] = ${sqlText(tag)} ASYNC`, 'Null')
    } finally {
      connection.close()
    }
  }

  /** Closes the engine; all connections must be closed before. */
  close(): void {
    this.#binding.CloseConnection(this.#keep)
  }
}

/** One connection. `close` only after the last statement has settled: closing under a running one kills the engine. */
export class EngineConnection {
  readonly #binding: Binding
  readonly #connection: unknown

  constructor(binding: Binding, connection: unknown) {
    this.#binding = binding
    this.#connection = connection
  }

  /** Runs one statement to its end and returns its whole result. @throws EngineError */
  async run(sql: string, format: string): Promise<EngineResult> {
    try {
      return await this.#binding.QueryAsyncConnection(this.#connection, sql, format)
    } catch (error) {
      throw engineErrorFrom(error)
    }
  }

  close(): void {
    this.#binding.CloseConnection(this.#connection)
  }
}

/** `text` as a ClickHouse string literal. */
export function sqlText(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\0', '\\0')}'`
}

/**
 * chdb's public Session defers every close until all running queries of the process have ended, so one long query would pile
 * up connections; its native binding closes each connection at once. chdb is pinned to one version for this reason.
 */
function loadBinding(): Binding {
  const require = createRequire(import.meta.url)
  try {
    const entry = require.resolve('chdb')
    const loader = createRequire(entry)('./dist/loader.js') as { loadNative(): Binding }
    return loader.loadNative()
  } catch (error) {
    throw new PenstockError(
      'DEPENDENCY_MISSING',
      'the embedded warehouse needs the optional package chdb, which is not installed or has no binary for this platform; ' +
        'install it or set PENSTOCK_CLICKHOUSE_URL to a ClickHouse server',
      { cause: error },
    )
  }
}
