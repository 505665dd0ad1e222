import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Logger } from '#runtime/logger.ts'
import type { DiskWatch } from './disk-watch.ts'
import { type Engine, type EngineConnection, sqlText } from './engine.ts'
import { EngineError, engineErrorFrom } from './engine-error.ts'
import { nativeAtRevision } from './native-revision.ts'
import { isWord, refuseSettings, refuseUnlessReading } from './permissions.ts'
import { Reply } from './reply.ts'
import { type QueryRequest, queryRequestFrom } from './request.ts'
import { RequestBody } from './request-body.ts'
import type { ResultFifos } from './result-fifos.ts'
import type { Slots } from './slots.ts'
import type { SqlToken } from './sql-tokens.ts'
import type { InsertStatement, ReadStatement, Statement } from './statement.ts'

/** One statement may take half of the machine's memory: it fails then, not the process with everybody's statements. */
const queryBytesMax = Math.floor(totalmem() / 2)

const stopAgainMs = 100

export interface QueryContext {
  readonly engine: Engine
  readonly version: string
  readonly timezone: string
  readonly displayName: string
  readonly spoolDir: string
  /**
   * The pipeline's statements have places that nobody else takes, since delivery stands still while they wait. Its client is known
   * by its User-Agent: a person at `curl` can't take these places by accident, and `default` could stop the engine anyway.
   */
  readonly slots: {
    readonly pipelineInserts: Slots
    readonly pipelineQuestions: Slots
    /** Of `default`, for instance to stop what fills the places of analysts. */
    readonly operators: Slots
    readonly analysts: Slots
  }
  readonly fifos: ResultFifos
  readonly disk: DiskWatch
  /** Statements that are running or wait for a place, by query id. */
  readonly running: Map<string, Running>
  /** Set when the server stops: nothing new is begun. */
  closing: boolean
  readonly passwords: ReadonlyMap<string, string>
  readonly logger: Logger
}

export interface Running {
  readonly kind: Statement['kind'] | undefined
  /** Ends a statement that only reads. */
  readonly stop: (() => void) | undefined
}

const notStarted: Running = { kind: undefined, stop: undefined }

/** Answers one request for a statement, errors included. Never rejects. */
export async function handleQuery(
  context: QueryContext,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const reply = new Reply(context, request, response)
  let queryId: string | undefined
  try {
    const query = queryRequestFrom(request, url)
    authenticate(context, query)
    refuseSettings(query)
    queryId = query.queryId ?? randomUUID()
    if (context.running.has(queryId)) {
      const id = queryId
      queryId = undefined
      throw new EngineError(216, 'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING', `Query with id = ${id} is already running`)
    }
    context.running.set(queryId, notStarted)
    reply.start(query, queryId)
    const body = new RequestBody(request, query.query)
    const statement = await body.statement()
    if (query.user === 'readonly') {
      if (statement.kind === 'insert') throw new EngineError(164, 'READONLY', 'Cannot execute query in readonly mode')
      refuseUnlessReading(statement.tokens)
    }
    switch (statement.kind) {
      case 'insert':
        await insert(context, query, queryId, body, statement, reply)
        break
      case 'read':
        await read(context, query, queryId, statement, reply)
        break
      case 'command': {
        await withConnection(context, statement.kind, query, queryId, reply, async (connection) => {
          // INSERT … SELECT, also behind WITH.
          const inserts = isWord(statement.tokens[0], 'INSERT') || isWord(statement.tokens[0], 'WITH')
          const run = () =>
            inserts
              ? connection.runInsert(statement.text)
              : connection.run(statement.text, query.defaultFormat ?? 'TabSeparated')
          const result = await (makesRoom(statement.tokens) ? run() : context.disk.writing(run))
          await reply.whole(result.bytes, query.defaultFormat ?? 'TabSeparated', result)
        })
      }
    }
  } catch (error) {
    reply.fail(engineErrorFrom(error))
  } finally {
    if (queryId !== undefined) context.running.delete(queryId)
  }
}

async function insert(
  context: QueryContext,
  query: QueryRequest,
  queryId: string,
  body: RequestBody,
  statement: InsertStatement,
  reply: Reply,
): Promise<void> {
  const file = join(context.spoolDir, `insert-${randomUUID()}`)
  try {
    // The engine starts once the body is whole: a client that dies half-way leaves nothing, at whatever byte it dies.
    const descriptor = openSync(file, 'wx', 0o600)
    try {
      for await (const chunk of body.rest(statement.dataAt)) writeWhole(descriptor, chunk)
    } finally {
      closeSync(descriptor)
    }
    await withConnection(context, statement.kind, query, queryId, reply, async (connection) => {
      const result = await context.disk.writing(() => connection.runInsert(statement.textFor(file)))
      await reply.whole(Buffer.alloc(0), undefined, result)
    })
  } finally {
    rmSync(file, { force: true })
  }
}

async function read(
  context: QueryContext,
  query: QueryRequest,
  queryId: string,
  statement: ReadStatement,
  reply: Reply,
): Promise<void> {
  const format = statement.format ?? query.defaultFormat ?? 'TabSeparated'
  await withConnection(context, statement.kind, query, queryId, reply, async (connection) => {
    const fifo = context.fifos.open()
    const closed = new Promise<void>((resolve) => fifo.stream.once('close', () => resolve()))
    const isRevised = format === 'Native' && query.clientRevision > 0
    const stop = (): void => context.running.get(queryId)?.stop?.()
    const result = isRevised ? nativeAtRevision(fifo.stream, query.clientRevision, stop) : fifo.stream
    const sent = reply.stream(result, format).catch((error: unknown) => reply.fail(engineErrorFrom(error)))
    try {
      const tail = statement.tail === '' ? `FORMAT ${format}` : statement.tail
      const sql = `${statement.text}\nINTO OUTFILE ${sqlText(fifo.path)} APPEND COMPRESSION 'none' ${tail}`
      reply.finished(await connection.run(sql, format))
    } catch (error) {
      reply.fail(engineErrorFrom(error))
    } finally {
      fifo.finish()
      await sent
      await closed
      fifo.release()
    }
  })
}

async function withConnection(
  context: QueryContext,
  kind: Statement['kind'],
  query: QueryRequest,
  queryId: string,
  reply: Reply,
  use: (connection: EngineConnection) => Promise<void>,
): Promise<void> {
  const slots = slotsFor(context.slots, query, kind)
  await slots.take()
  let connection: EngineConnection | undefined
  let ended = false
  let stopping = false
  // Said again until it is so: a statement that is just about to begin is not in the engine's list yet.
  const stop = async (): Promise<void> => {
    if (stopping) return
    stopping = true
    while (!ended) {
      await context.engine.kill(queryId)
      await setTimeout(stopAgainMs)
    }
  }
  const stopRead = (): void => {
    stop().catch((error) => context.logger.warn('a query was not stopped', { error }))
  }
  try {
    if (reply.gone) return
    if (context.closing) throw new EngineError(236, 'ABORTED', 'Server is shutting down')
    connection = context.engine.connect()
    // What writes goes on when its client is gone, as on a ClickHouse server.
    if (kind === 'read') reply.onGone(stopRead)
    context.running.set(queryId, { kind, stop: kind === 'read' ? stopRead : undefined })
    await connection.run(prologue(query, queryId), 'Null')
    if (query.database) await connection.run(`USE ${quotedName(query.database)}`, 'Null')
    await use(connection)
  } finally {
    ended = true
    reply.onGone(undefined)
    connection?.close()
    slots.give()
  }
}

function slotsFor(slots: QueryContext['slots'], query: QueryRequest, kind: Statement['kind']): Slots {
  if (query.user === 'readonly') return slots.analysts
  if (!query.isPipeline) return slots.operators
  return kind === 'insert' ? slots.pipelineInserts : slots.pipelineQuestions
}

/** Commands that a nearly full disk does not keep from running. */
const roomMakers = ['DROP', 'TRUNCATE', 'DETACH', 'KILL', 'SYSTEM', 'SET', 'USE']

function makesRoom(tokens: readonly SqlToken[]): boolean {
  const isAlterDrop = isWord(tokens[0], 'ALTER') && tokens.some((token) => isWord(token, 'DROP'))
  return isAlterDrop || roomMakers.some((word) => isWord(tokens[0], word))
}

function prologue(query: QueryRequest, queryId: string): string {
  const settings = [...query.settings, ...query.parameters]
    .filter(([name]) => name !== 'log_comment' && (name !== 'readonly' || query.user !== 'readonly'))
    .map(([name, value]) => `${name} = ${sqlText(value)}`)
  if (!query.settings.has('max_memory_usage')) settings.push(`max_memory_usage = ${queryBytesMax}`)
  settings.push(`log_comment = ${sqlText(queryId)}`)
  // The engine itself then refuses writes, table functions that reach out, and further settings. As on a ClickHouse server,
  // GET only reads.
  if (query.user === 'readonly') settings.push('readonly = 1')
  else if (query.isGet) settings.push('readonly = 2')
  return `SET ${settings.join(', ')}`
}

function quotedName(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}

function writeWhole(descriptor: number, chunk: Uint8Array): void {
  for (let written = 0; written < chunk.length; ) written += writeSync(descriptor, chunk, written)
}

function authenticate(context: QueryContext, query: QueryRequest): void {
  const expected = context.passwords.get(query.user)
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  if (expected !== undefined && timingSafeEqual(digest(expected), digest(query.password))) return
  throw new EngineError(
    516,
    'AUTHENTICATION_FAILED',
    `${query.user}: Authentication failed: password is incorrect, or there is no user with such name`,
  )
}
