import { mkdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { availableParallelism, hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { assert } from '#runtime/assert.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { claimFolder, type FolderUse } from '#runtime/folder-use.ts'
import { WebCallers } from '#runtime/http/web-callers.ts'
import type { Logger } from '#runtime/logger.ts'
import { endWithoutDestructors } from '#runtime/process-end.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import { threadsNamed } from '#runtime/threads.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { engineAnalystPlaces, engineThreads, limits } from '#schemas/limits.ts'
import { confineEngine } from './confinement.ts'
import { DiskWatch, freeBytesOf } from './disk-watch.ts'
import { Engine } from './engine.ts'
import type { EngineUser } from './engine-rights.ts'
import { Formatter } from './formatter.ts'
import { InsertSpool } from './insert-spool.ts'
import { OwnNames } from './own-names.ts'
import { PasswordGate } from './password-gate.ts'
import { type OperatorLimits, QueryCeilings } from './query-ceilings.ts'
import type { QueryContext } from './query-context.ts'
import { handleQuery } from './query-handler.ts'
import { QueryLog } from './query-log.ts'
import { makeFifos, ResultFifos } from './result-fifos.ts'
import { emptyBuffers } from './row-buffers.ts'
import { Sessions } from './sessions.ts'
import { Slots } from './slots.ts'
import { checkTimeZone } from './time-zone.ts'

/*
 * The embedded engine as a ClickHouse server: one request is one connection of the engine.
 *
 *   statement ──▶ formatted by the engine ──▶ judged (`permissions.ts`) ──▶ run, under the user's role
 *   POST rows ──▶ spool file, once whole ──▶ INSERT … FROM INFILE / SELECT … FROM file(…)   (insert places)
 *   SELECT    ──▶ INTO OUTFILE named pipe ──▶ encoder ──▶ response, at the client's pace      (query places)
 *
 * What differs from a ClickHouse server:
 *
 *   protocol     HTTP only; no pages such as /play, and nothing for pages of another origin; a form has 4 MiB of fields at most, and
 *                64 MiB of external tables
 *   users        `default`, `analyst` and `readonly`, no others and no GRANT; nobody reaches the machine's files or programs, so there
 *                are no dictionaries, backups, named collections, and no engines and table functions but those of `machine-names.ts`
 *   statements   what runs is the text as the engine formats it (`formatter.ts`); 1 MiB at most, and no PARALLEL WITH
 *   values       beside literals only plain expressions among the rows of VALUES (`plain-values.ts`)
 *   inserts      begin when the body is whole, so the spool needs room for the largest bodies
 *   summary      counts nothing if a result is streamed (not so with `wait_end_of_query`), else the rows of the result, also as rows read
 *   Native       at a client's protocol revision has no AggregateFunction: error 48
 *   broken off   a result that fails midway ends with the exception; then the client has a few seconds to close first
 *   query log    `penstock.queries` instead of system.query_log (`query-log.ts`)
 *   query ids    are `log_comment` in system.processes; SHOW PROCESSLIST and KILL QUERY have them as `query_id`, as on a server
 *   sessions     keep nothing for `readonly`; SET readonly ends the use of one
 *   parameters   `role`, `quota_key`, `stacktrace` and those that tune the server's buffers and headers do nothing
 */

export interface EmbeddedWarehouseOptions {
  /** Folder of the engine's data; created if it does not exist. Only one process at a time can use it. */
  readonly dataDir: string
  readonly bind: string
  /** 0 picks a free port. */
  readonly port: number
  /** Password of the user `default`, who may do everything. */
  readonly password: string
  /** Password of the user `analyst`, who reads all and writes a database of its own; empty: see `passwordsOf`. */
  readonly analystPassword?: string
  /** Password of the user `readonly`, who may only read. */
  readonly readonlyPassword: string
  /** What statements of a user may take; left out: the usual. */
  readonly limits?: Readonly<Partial<Record<EngineUser, OperatorLimits>>>
  /** Refuses web pages of another origin. It may also refuse requests by the host name that they use; by default it does not. */
  readonly callers?: WebCallers
  /** Statements of clients are kept in `penstock.queries` for so many days; 0, or left out: they are not. */
  readonly queryLogDays?: number
  readonly logger: Logger
  /** True: the whole process loses the right to open what the engine does not need. Only for a process that does nothing else. */
  readonly confines?: boolean
  /**
   * True: the process ends soon after `close`, which waits for what runs and leaves the engine open. The engine's own end hangs or crashes
   * where its threads are busy with young tables (2 of 11 stops right after a first start, beside other load); what it has answered is in
   * files by then, but for what tables of the engine Buffer hold, which `close` stores.
   */
  readonly endsWithProcess?: boolean
  /** How long to wait for an engine of another process that has the folder open and is ending. */
  readonly lockedMsMax?: number
}

export interface EmbeddedWarehouse {
  readonly port: number
  close(): Promise<void>
}

/** A server's limit for a URL, which may contain a statement and its parameters, and room for other headers. */
const headBytesMax = 1024 * 1024 + 64 * 1024

/** Statements that may wait for a place. Beyond them new ones get TOO_MANY_SIMULTANEOUS_QUERIES. */
const waitingMax = 1_000

/**
 * Checks, before anything runs, for what would always keep the engine from opening here: a path that it reads as something else, a time zone
 * that it does not know, named pipes that cannot be created. The folder is created if it does not exist.
 * @throws SETTINGS_INVALID, DEPENDENCY_MISSING
 */
export function checkEmbedded(folder: string): void {
  const dataDir = usablePath(folder)
  checkTimeZone(process.env.TZ)
  mkdirSync(dataDir, { recursive: true })
  const path = join(dataDir, `check-${process.pid}.fifo`)
  makeFifos([path])
  rmSync(path)
}

/** @throws SETTINGS_INVALID */
function usablePath(folder: string): string {
  const dataDir = resolve(folder)
  // The engine reads these characters of a file's name as a pattern.
  if (/[*?{}[\]'"\\]/.test(dataDir))
    throw new PenstockError(
      'SETTINGS_INVALID',
      `the data folder of the embedded engine may not contain * ? { } [ ] ' " \\: ${dataDir}`,
    )
  return dataDir
}

/**
 * Opens the engine in this process and answers ClickHouse's HTTP protocol with it.
 * @throws SETTINGS_INVALID, DEPENDENCY_MISSING, PORT_UNAVAILABLE, WAREHOUSE_LOCKED, WAREHOUSE_ENGINE_FAILED
 */
export async function startEmbeddedWarehouse(options: EmbeddedWarehouseOptions): Promise<EmbeddedWarehouse> {
  const dataDir = usablePath(options.dataDir)
  const { engine, use } = await openEngine(dataDir, options)
  const context = await contextOf(engine, dataDir, options)
  const open = new Set<Promise<void>>()
  const server = serverOf(context, options.callers ?? new WebCallers([], true), open)
  const end = async (): Promise<void> => {
    await context.queryLog?.close()
    context.sessions.close()
    context.formatter.close()
    await context.disk.close()
    // Whoever has the engine open keeps others out of its folder.
    if (options.endsWithProcess) return await emptyBuffers(engine, options.logger)
    engine.close()
    use.end()
  }
  const port = await listen(server, options).catch(async (error: unknown) => {
    await end()
    throw error
  })
  return {
    port,
    async close() {
      context.closing = true
      const closed = new Promise((done) => server.close(done))
      server.closeIdleConnections()
      // Inserts end by themselves and soon; what only reads may last for hours and can be asked again.
      for (const { stop } of context.running.values()) stop?.()
      await Promise.allSettled([...open])
      server.closeAllConnections()
      await closed
      await end()
    },
  }
}

async function openEngine(
  dataDir: string,
  { confines, endsWithProcess, lockedMsMax = 20_000, logger }: EmbeddedWarehouseOptions,
): Promise<{ readonly engine: Engine; readonly use: FolderUse }> {
  const folder = join(dataDir, 'engine')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (endsWithProcess) endWithoutDestructors()
  const unconfined = confines ? confineEngine(dataDir) : undefined
  if (unconfined !== undefined)
    logger.warn('the engine may open every file that this user may open', { reason: unconfined })
  // All statements, compression and name look-ups of the process run on libuv's pool, which reads this when it is first used.
  process.env.UV_THREADPOOL_SIZE ??= String(engineThreads(availableParallelism()))
  await roomOn(dataDir, logger)
  const opened = await openWhenFree(folder, lockedMsMax, logger)
  // Only whoever has the engine open owns the spool: before, its files may be those of a process that serves from them.
  const spoolDir = spoolOf(dataDir)
  rmSync(spoolDir, { recursive: true, force: true })
  mkdirSync(spoolDir, { mode: 0o700 })
  return opened
}

function spoolOf(dataDir: string): string {
  return join(dataDir, 'spool')
}

async function contextOf(engine: Engine, dataDir: string, options: EmbeddedWarehouseOptions): Promise<QueryContext> {
  const { logger } = options
  const spoolDir = spoolOf(dataDir)
  const threads = poolThreads(logger)
  const ownCount = Math.max(1, Math.min(limits.engineOwnPlacesMax, Math.floor(threads / 4)))
  const analystThreads = threads - 3 * ownCount - limits.engineSpareThreads
  const analystCount = Math.max(1, Math.min(analystThreads, engineAnalystPlaces(availableParallelism())))
  const facts = await engineFacts(engine)
  const disk = new DiskWatch({
    freeBytes: () => freeBytesOf(dataDir),
    clock: systemClock,
    logger,
    stopMerges: () => engine.stopMerges(),
    startMerges: () => engine.startMerges(),
    onExhausted: () => process.kill(process.pid, 'SIGKILL'),
  })
  const days = options.queryLogDays ?? 0
  return {
    engine,
    formatter: new Formatter(engine),
    ...facts,
    displayName: hostname(),
    spoolDir,
    ownNames: new OwnNames(dataDir),
    insertSpool: new InsertSpool(spoolDir),
    slots: {
      pipelineInserts: new Slots(ownCount, waitingMax),
      pipelineQuestions: new Slots(ownCount, waitingMax),
      operators: new Slots(ownCount, waitingMax),
      analysts: new Slots(analystCount, waitingMax),
    },
    ceilings: {
      default: new QueryCeilings('default', options.limits?.default),
      analyst: new QueryCeilings('analyst', options.limits?.analyst),
      readonly: new QueryCeilings('readonly', options.limits?.readonly),
    },
    sessions: new Sessions(systemClock),
    fifos: new ResultFifos(spoolDir, 2 * ownCount + analystCount),
    disk,
    queryLog: days > 0 ? new QueryLog({ engine, disk, days, clock: systemClock, logger }) : undefined,
    running: new Map(),
    closing: false,
    passwords: new PasswordGate(passwordsOf(options), systemClock, logger),
    logger,
  }
}

/** @param open holds what is under way */
function serverOf(context: QueryContext, callers: WebCallers, open: Set<Promise<void>>): Server {
  const server = createServer({ maxHeaderSize: headBytesMax }, (request, response) => {
    const target = `http://localhost${request.url ?? '/'}`
    const url = new URL(URL.canParse(target) ? target : 'http://localhost/bad-request')
    if (answered(request, response, url, callers)) return
    const handled = handleQuery(context, request, response)
    open.add(handled)
    handled.finally(() => open.delete(handled))
  })
  // Rows may take as long to arrive as they need, and a client's pool may keep a connection longer than Node's 5 s.
  server.requestTimeout = 0
  server.keepAliveTimeout = 65_000
  return server
}

/** An `analyst` without a password would bypass the passwords of the others. So this user exists without one only if they have none either. */
function passwordsOf(options: EmbeddedWarehouseOptions): ReadonlyMap<string, string> {
  const { password, analystPassword = '', readonlyPassword } = options
  const passwords = new Map([
    ['default', password],
    ['readonly', readonlyPassword],
  ])
  if (analystPassword !== '' || (password === '' && readonlyPassword === '')) passwords.set('analyst', analystPassword)
  return passwords
}

const lockedBackOff: BackOff = { firstMs: 200, factor: 1, maxMs: 200, jitter: 0 }

/** Waits for an engine that is ending, as after a supervisor was killed and started again. @throws WAREHOUSE_LOCKED */
function openWhenFree(
  path: string,
  lockedMsMax: number,
  logger: Logger,
): Promise<{ readonly engine: Engine; readonly use: FolderUse }> {
  const untilMs = systemClock.monotonicMs() + lockedMsMax
  return retry(() => openAlone(path, logger), {
    backOff: lockedBackOff,
    clock: systemClock,
    isRetryable: (error) => isPenstockError(error, 'WAREHOUSE_LOCKED') && systemClock.monotonicMs() < untilMs,
    onRetry: (error, { failures }) => {
      if (failures === 1) logger.warn('another process has the engine open; waiting for it to end', { error })
    },
  })
}

/** The engine's own lock tells that somebody has the folder. Its file names a process id, which may be one of another container. */
async function openAlone(path: string, logger: Logger): Promise<{ readonly engine: Engine; readonly use: FolderUse }> {
  const use = await claimFolder(`${path}.lock`, `${process.pid} of ${hostname()}`)
  if (typeof use === 'string')
    throw new PenstockError(
      'WAREHOUSE_LOCKED',
      `the embedded engine in ${path} is open in process ${use}: stop that process, use its port, or give this one another PENSTOCK_DATA_DIR`,
    )
  try {
    return { engine: await Engine.open(path, logger), use }
  } catch (error) {
    use.end()
    throw error
  }
}

const roomAskMs = 1_000

/** Opening the engine writes, too, and the engine does not notice if that fails. */
async function roomOn(folder: string, logger: Logger): Promise<void> {
  for (let asked = 0; freeBytesOf(folder) < limits.diskLowBytes; asked++) {
    if (asked % 60 === 0)
      logger.error('the embedded engine waits for room on the disk', { folder, wanted: limits.diskLowBytes })
    await sleep(systemClock, roomAskMs)
  }
}

/** The number of threads that libuv's pool really has. The variable has no effect if something used the pool before it was set. */
function poolThreads(logger: Logger): number {
  const wanted = Number(process.env.UV_THREADPOOL_SIZE) || 4
  const found = threadsNamed('libuv-worker')?.length ?? 0
  if (found === 0 || found >= wanted) return wanted
  logger.warn('the thread pool was in use before the engine opened; fewer statements run at once', { found, wanted })
  return found
}

/** Answers a request that is not a statement; false if it is one. */
function answered(request: IncomingMessage, response: ServerResponse, url: URL, callers: WebCallers): boolean {
  const say = (status: number, text: string): true => {
    response.writeHead(status, { 'Content-Type': 'text/html; charset=UTF-8' }).end(text)
    return true
  }
  const { method, headers } = request
  // A web page that a browser on this machine shows must not talk to the engine without its user's knowledge.
  const fault = callers.fault(headers.host ?? '', headers.origin ?? '', String(headers['sec-fetch-site'] ?? ''))
  if (fault !== undefined) return say(403, `${fault}\n`)
  if (method === 'OPTIONS') {
    response.writeHead(204, { Allow: 'GET, HEAD, OPTIONS, POST' }).end()
    return true
  }
  if (method !== 'GET' && method !== 'POST' && method !== 'HEAD')
    return say(501, 'Only GET, HEAD, OPTIONS and POST are served\n')
  if (url.pathname === '/ping' || url.pathname === '/replicas_status') return say(200, 'Ok.\n')
  if (url.pathname !== '/' && url.pathname !== '/query')
    return say(
      404,
      `There is no handle ${url.pathname}\n\nUse / or /ping for health checks.\nSend queries from your program with POST method or GET /?query=...\n`,
    )
  return method !== 'POST' && url.pathname === '/' && !url.search ? say(200, 'Ok.\n') : false
}

async function engineFacts(engine: Engine): Promise<{ version: string; timezone: string }> {
  const connection = engine.connect()
  try {
    const { bytes } = await connection.run('SELECT version(), timezone()', 'TabSeparated')
    const [version = '', timezone = ''] = bytes.toString().trim().split('\t')
    assert(/^\d+\.\d+/.test(version), `the engine has a version, not ${version}`)
    assert(timezone !== '', 'the engine has a time zone')
    return { version, timezone }
  } finally {
    connection.close()
  }
}

function listen(server: Server, options: EmbeddedWarehouseOptions): Promise<number> {
  return new Promise((done, failed) => {
    server.once('error', (cause) =>
      failed(new PenstockError('PORT_UNAVAILABLE', `cannot listen on ${options.bind}:${options.port}`, { cause })),
    )
    server.listen(options.port, options.bind, () => {
      const address = server.address()
      assert(typeof address === 'object' && address !== null, 'a server that listens has a port')
      done(address.port)
    })
  })
}
