import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Logger } from '#runtime/logger.ts'
import { type Engine, type EngineConnection, type EngineResult, sqlText } from './engine.ts'
import { EngineError, engineErrorFrom } from './engine-error.ts'
import { Reply } from './reply.ts'
import { type QueryRequest, queryRequestFrom } from './request.ts'
import { RequestBody } from './request-body.ts'
import type { ResultFifos } from './result-fifos.ts'
import type { Slots } from './slots.ts'
import type { InsertStatement, ReadStatement } from './statement.ts'

export interface QueryContext {
  readonly engine: Engine
  readonly version: string
  readonly timezone: string
  readonly displayName: string
  readonly spoolDir: string
  readonly insertSlots: Slots
  readonly querySlots: Slots
  readonly fifos: ResultFifos
  /** Query ids that are running. */
  readonly running: Set<string>
  readonly passwords: ReadonlyMap<string, string>
  readonly logger: Logger
}

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
    queryId = query.queryId ?? randomUUID()
    if (context.running.has(queryId)) {
      const id = queryId
      queryId = undefined
      throw new EngineError(216, 'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING', `Query with id = ${id} is already running`)
    }
    context.running.add(queryId)
    reply.start(query, queryId)
    const body = new RequestBody(request, query.query)
    const statement = await body.statement()
    switch (statement.kind) {
      case 'insert':
        await insert(context, query, queryId, body, statement, reply)
        break
      case 'read':
        await read(context, query, queryId, statement, reply)
        break
      case 'command': {
        const text = statement.isKill
          ? statement.text.replace(/\bquery_id\b/g, "Settings['log_comment']")
          : statement.text
        await withConnection(context.querySlots, context, query, queryId, reply, async (connection) => {
          const result = await connection.run(text, query.defaultFormat ?? 'TabSeparated')
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
    await withConnection(context.insertSlots, context, query, queryId, reply, async (connection) => {
      const result = await connection.run(statement.textFor(file), 'Null')
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
  await withConnection(context.querySlots, context, query, queryId, reply, async (connection) => {
    const fifo = context.fifos.open()
    const closed = new Promise<void>((resolve) => fifo.stream.once('close', () => resolve()))
    const sent = reply.stream(fifo.stream, format)
    let result: EngineResult | undefined
    try {
      const tail = statement.tail === '' ? `FORMAT ${format}` : statement.tail
      result = await connection.run(
        `${statement.text}\nINTO OUTFILE '${fifo.path}' APPEND COMPRESSION 'none' ${tail}`,
        format,
      )
      reply.finished(result)
    } catch (error) {
      reply.fail(engineErrorFrom(error))
    } finally {
      fifo.finish()
    }
    await sent
    await closed
    fifo.release()
  })
}

async function withConnection(
  slots: Slots,
  context: QueryContext,
  query: QueryRequest,
  queryId: string,
  reply: Reply,
  use: (connection: EngineConnection) => Promise<void>,
): Promise<void> {
  await slots.take()
  let connection: EngineConnection | undefined
  const stop = (): void => {
    context.engine.kill(queryId).catch((error) => context.logger.warn('a query was not stopped', { error }))
  }
  try {
    if (reply.gone) return
    connection = context.engine.connect()
    reply.onGone(stop)
    await connection.run(prologue(query, queryId), 'Null')
    if (query.database) await connection.run(`USE ${quotedName(query.database)}`, 'Null')
    await use(connection)
  } finally {
    reply.onGone(undefined)
    connection?.close()
    slots.give()
  }
}

function prologue(query: QueryRequest, queryId: string): string {
  const settings = [...query.settings, ...query.parameters].map(([name, value]) => `${name} = ${sqlText(value)}`)
  settings.push(`log_comment = ${sqlText(queryId)}`)
  const isReadonly = query.user === 'readonly'
  if (isReadonly) settings.push('readonly = 1')
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
