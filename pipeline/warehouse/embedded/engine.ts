import { execFile } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { lowerPriority } from '#runtime/lower-priority.ts'
import { threadsNamed } from '#runtime/threads.ts'
import { PenstockError } from '#schemas/errors.ts'
import { engineErrorFrom } from './engine-error.ts'
import { analystDatabase, limitedEngineArguments } from './engine-rights.ts'
import { spreadParts } from './part-folders.ts'

/** What the engine says about a finished statement. */
export interface EngineResult {
  readonly bytes: Buffer
  readonly elapsed: number
  /** Rows and bytes of the result, or of the inserted rows. The engine does not tell what it scanned for them. */
  readonly rowsRead: number
  readonly bytesRead: number
  readonly rowsWritten: number
  readonly bytesWritten: number
}

const mergesAskMs = 20

const newline = Buffer.from('\n')
const nothing = Buffer.alloc(0)

/** Connections of the engine's binding. Each runs its statements one after another, on a thread of libuv's pool. */
interface Binding {
  CreateConnection(path: string, engineArguments?: readonly string[]): unknown
  CloseConnection(connection: unknown): void
  QueryAsyncConnection(
    connection: unknown,
    sql: string,
    format: string,
  ): Promise<Omit<EngineResult, 'rowsWritten' | 'bytesWritten'>>
  InsertRawAsyncConnection(
    connection: unknown,
    sql: string,
    rows: Buffer,
    countLines: boolean,
  ): Promise<{ elapsed: number; rowsWritten: number; bytesWritten: number }>
}

/** The embedded ClickHouse engine on one data folder. A process can open one folder only. */
export class Engine {
  readonly #binding: Binding
  readonly #path: string
  readonly #keep: unknown
  readonly #logger: Logger
  #mergesLowered = false

  private constructor(binding: Binding, path: string, keep: unknown, logger: Logger) {
    this.#binding = binding
    this.#path = path
    this.#keep = keep
    this.#logger = logger
  }

  /** @throws DEPENDENCY_MISSING, WAREHOUSE_LOCKED (another process has the folder open), WAREHOUSE_ENGINE_FAILED */
  static async open(path: string, logger: Logger = silentLogger): Promise<Engine> {
    const binding = loadBinding()
    let keep: unknown
    try {
      // The engine lives as long as it has a connection. This one runs only short statements.
      keep = binding.CreateConnection(path, [...engineArguments(), ...limitedEngineArguments(path)])
      const connection = new EngineConnection(binding, keep)
      await replaceDefaultDatabase(connection, path)
      await connection.run(`CREATE DATABASE IF NOT EXISTS ${analystDatabase}`, 'Null')
    } catch (cause) {
      const owner = ownerOf(path)
      if (owner === undefined)
        throw new PenstockError('WAREHOUSE_ENGINE_FAILED', `the embedded engine cannot open ${path}`, { cause })
      throw new PenstockError(
        'WAREHOUSE_LOCKED',
        `the embedded engine in ${path} is open in process ${owner}: stop that process, use its port, or give this one another PENSTOCK_DATA_DIR`,
        { cause },
      )
    }
    spreadParts(path)
    return new Engine(binding, path, keep, logger)
  }

  /** A new connection. It costs about 1 ms, and no settings of an earlier request can leak into it. */
  connect(): EngineConnection {
    // The merging threads start with the first table.
    this.#mergesLowered ||= lowerMergePriority(this.#logger)
    return new EngineConnection(this.#binding, this.#binding.CreateConnection(this.#path))
  }

  /** Call it after statements that may have created tables. */
  tablesMade(): void {
    spreadParts(this.#path)
  }

  /** Ends the statement that runs under this tag; its promise then rejects with code 394. */
  async kill(tag: string): Promise<void> {
    await this.#use((connection) =>
      connection.run(`KILL QUERY WHERE Settings['log_comment'] = ${sqlText(tag)} ASYNC`, 'Null'),
    )
  }

  /** Stops all merges and lets no other begin. Resolves when none runs. */
  async stopMerges(): Promise<void> {
    await this.#use(async (connection) => {
      await connection.run('SYSTEM STOP MERGES', 'Null')
      const running = async () => {
        const { bytes } = await connection.run('SELECT count() FROM system.merges', 'TabSeparated')
        const count = bytes.toString().trim()
        assert(/^\d+$/.test(count), `the engine counts its merges, and does not say ${count}`)
        return Number(count)
      }
      while ((await running()) > 0) await setTimeout(mergesAskMs)
    })
  }

  async startMerges(): Promise<void> {
    await this.#use((connection) => connection.run('SYSTEM START MERGES', 'Null'))
  }

  /** Closes the engine; all connections must be closed before. */
  close(): void {
    this.#binding.CloseConnection(this.#keep)
  }

  async #use(action: (connection: EngineConnection) => Promise<unknown>): Promise<void> {
    const connection = this.connect()
    try {
      await action(connection)
    } finally {
      connection.close()
    }
  }
}

/** One connection. Call `close` only after the last statement has settled: closing during a statement kills the engine. */
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
      const result = await this.#binding.QueryAsyncConnection(this.#connection, sql, format)
      assertCounts(result.rowsRead, result.bytesRead)
      return { ...result, rowsWritten: 0, bytesWritten: 0 }
    } catch (error) {
      throw engineErrorFrom(error)
    }
  }

  /** Runs an INSERT, of rows that are given here or those that its text says. Only this call of the binding tells how many were written. */
  async runInsert(sql: string, rows = newline): Promise<EngineResult> {
    try {
      const result = await this.#binding.InsertRawAsyncConnection(this.#connection, sql, rows, false)
      assertCounts(result.rowsWritten, result.bytesWritten)
      return { bytes: nothing, rowsRead: result.rowsWritten, bytesRead: result.bytesWritten, ...result }
    } catch (error) {
      throw engineErrorFrom(error)
    }
  }

  close(): void {
    this.#binding.CloseConnection(this.#connection)
  }
}

/**
 * Id of the other process that has the folder open, if there is one. The engine says only that it cannot open the folder. The file that
 * it locks names its owner, but stays after a crash.
 */
function ownerOf(path: string): number | undefined {
  try {
    const owner = Number(/^PID: (\d+)/.exec(readFileSync(join(path, 'status'), 'utf8'))?.[1])
    return owner !== process.pid && isAlive(owner) ? owner : undefined
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' // A process of another user.
  }
}

/** Once a statement: what the binding tells goes to clients, and says whether rows are stored. */
function assertCounts(rows: number, bytes: number): void {
  assert(isCount(rows), `the engine counts rows, not ${rows}`)
  assert(isCount(bytes), `the engine counts bytes, not ${bytes}`)
}

/** `text` as a ClickHouse string literal. */
export function sqlText(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\0', '\\0')}'`
}

/** The system's name of the engine's merging threads. */
const mergeThreadName = 'MergeMutate'
const mergeNice = 15

/**
 * Gives the merging threads a low priority, so that they use only what inserts, queries and the other processes leave. Returns true once
 * there are such threads, or if they cannot be found. The engine's own setting for this has no effect unless it runs as root.
 *
 * `chrt` (of util-linux) also puts them in SCHED_IDLE. There, any other thread that wakes takes their core at once. Beside a thread that is
 * only nice, it may wait for some milliseconds each time a message passes from thread to thread. Without `chrt` the threads are only nice.
 * Whatever the system refuses costs only speed.
 */
function lowerMergePriority(logger: Logger): boolean {
  const tasks = threadsNamed(mergeThreadName)
  if (tasks === undefined) return true
  const refusals = tasks.map((task) => lowerPriority(task, mergeNice)).filter((error) => error !== undefined)
  if (refusals.length > 0) logger.warn('merges run at the priority of inserts and queries', { error: refusals[0] })
  for (const task of tasks) execFile('chrt', ['-i', '-p', '0', String(task)], () => {})
  return tasks.length > 0
}

/**
 * One merge at a time for every two cores. Merges are never urgent, and the edge and the inserts need the same cores. Measured on 2 cores at
 * saturation, in turns: 433 k and 471 k messages/s acknowledged with the engine's default of four merges at once, 607 k and 542 k with
 * one.
 */
function engineArguments(): string[] {
  const merges = Math.max(1, Math.floor(availableParallelism() / 2))
  return [`--background_pool_size=${merges}`, '--background_merges_mutations_concurrency_ratio=1']
}

/**
 * The engine's own `default` database is an overlay that reads any file of the machine as a table, by its path
 * (`SELECT * FROM "/etc/passwd"`). A plain database takes over its name and its tables. The stored data are the same in both.
 */
async function replaceDefaultDatabase(connection: EngineConnection, path: string): Promise<void> {
  await connection.run('DETACH DATABASE default', 'Null')
  // It is attached again under its own UUID. The engine accepts that only while the database's file is absent; the copy survives
  // a crash in between.
  const file = join(path, 'metadata', 'default.sql')
  const copy = `${file}.kept`
  if (existsSync(file)) renameSync(file, copy)
  const uuid = existsSync(copy) ? /UUID '([0-9a-f-]+)'/.exec(readFileSync(copy, 'utf8'))?.[1] : undefined
  if (uuid === undefined) await connection.run('CREATE DATABASE default ENGINE = Atomic', 'Null')
  else await connection.run(`ATTACH DATABASE default UUID '${uuid}' ENGINE = Atomic`, 'Null')
  rmSync(copy, { force: true })
  const { bytes } = await connection.run("SELECT engine FROM system.databases WHERE name = 'default'", 'TabSeparated')
  assert(bytes.toString().trim() === 'Atomic', 'the database `default` is one of plain tables')
}

/**
 * chdb's public Session delays every close until all running queries of the process have ended, so connections would pile up behind one
 * long query. Its native binding closes each connection at once. For this reason chdb is pinned to one version.
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
