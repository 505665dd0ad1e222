import { randomUUID } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { sqlText } from './engine.ts'
import { EngineError, engineErrorFrom } from './engine-error.ts'
import { nativeAtRevision } from './native-revision.ts'
import { isWord, refuseSettings, refuseUnlessReading } from './permissions.ts'
import { arePlainValues, plainValuesBytesMax } from './plain-values.ts'
import type { QueryContext, Running } from './query-context.ts'
import { Reply } from './reply.ts'
import { type QueryRequest, queryRequestFrom } from './request.ts'
import { RequestBody } from './request-body.ts'
import { untilWhole } from './result-spool.ts'
import type { SqlToken } from './sql-tokens.ts'
import type { CommandStatement, InsertStatement, ReadStatement, Statement } from './statement.ts'
import { type StatementRun, withConnection } from './statement-connection.ts'

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
  let give: (() => void) | undefined
  try {
    const query = queryRequestFrom(request, url)
    await authenticate(context, query, request)
    refuseSettings(query)
    queryId = query.queryId ?? randomUUID()
    if (context.running.has(queryId)) {
      const id = queryId
      queryId = undefined
      throw new EngineError(216, 'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING', `Query with id = ${id} is already running`)
    }
    context.running.set(queryId, notStarted)
    reply.start(query, queryId)
    const body = new RequestBody(request, query.query, query.decompress)
    const statement = await body.statement()
    const taken =
      query.session && (await context.sessions.take(query.user, query.session, () => response.writableEnded))
    give = taken?.give
    refuseWrites(query, statement)
    // `readonly` may change nothing that a session keeps.
    const session = query.user === 'readonly' ? undefined : taken?.session
    await runStatement(context, { statement, query, queryId, session, reply }, body)
  } catch (error) {
    reply.fail(engineErrorFrom(error))
  } finally {
    if (queryId !== undefined) context.running.delete(queryId)
    give?.()
  }
}

/** @throws EngineError READONLY for what only the handler, and not the engine, can refuse */
function refuseWrites(query: QueryRequest, statement: Statement): void {
  // A session's connection could not leave the engine's readonly mode again.
  const isReadInSession = query.session && (query.isGet || /^[12]$/.test(query.settings.get('readonly') ?? ''))
  if (query.user !== 'readonly' && !isReadInSession) return
  if (statement.kind === 'insert') throw new EngineError(164, 'READONLY', 'Cannot execute query in readonly mode')
  refuseUnlessReading(statement.tokens)
}

async function runStatement(context: QueryContext, run: StatementRun, body: RequestBody): Promise<void> {
  const { statement } = run
  switch (statement.kind) {
    case 'insert':
      return insert(context, run, body, statement)
    case 'read':
      return read(context, run, statement)
    case 'command':
      return command(context, run, statement)
  }
}

async function command(context: QueryContext, run: StatementRun, statement: CommandStatement): Promise<void> {
  const { text, tokens } = statement
  const format = run.query.defaultFormat ?? 'TabSeparated'
  // INSERT … SELECT, also behind WITH.
  const isInsert = isWord(tokens[0], 'INSERT') || isWord(tokens[0], 'WITH')
  await withConnection(context, run, async (connection) => {
    const begin = () => (isInsert ? connection.runInsert(text) : connection.run(text, format))
    const result = await (makesRoom(tokens) ? begin() : context.disk.writing(begin))
    if (makesTables(tokens)) context.engine.tablesMade()
    await run.reply.whole(result.bytes, format, result)
  })
}

async function insert(
  context: QueryContext,
  run: StatementRun,
  body: RequestBody,
  statement: InsertStatement,
): Promise<void> {
  // The engine starts once the body is whole: a client that dies half-way leaves nothing, at whatever byte it dies.
  const file = await context.insertSpool.write(body.rest(statement.dataAt))
  try {
    const hasExpressions =
      statement.format === 'Values' &&
      statSync(file).size <= plainValuesBytesMax &&
      arePlainValues(readFileSync(file, 'utf8'))
    await withConnection(context, run, async (connection) => {
      // The prologue of every request turns it off again.
      if (hasExpressions) await connection.run('SET input_format_values_interpret_expressions = 1', 'Null')
      const result = await context.disk.writing(() => connection.runInsert(statement.textFor(file)))
      await run.reply.whole(Buffer.alloc(0), undefined, result)
    })
  } finally {
    context.insertSpool.give(file)
  }
}

async function read(context: QueryContext, run: StatementRun, statement: ReadStatement): Promise<void> {
  const { query, queryId, reply } = run
  const format = statement.format ?? query.defaultFormat ?? 'TabSeparated'
  await withConnection(context, run, async (connection) => {
    const fifo = context.fifos.open()
    const closed = new Promise<void>((resolve) => fifo.stream.once('close', () => resolve()))
    const breakOff = (fault: unknown): void => {
      reply.fail(engineErrorFrom(fault))
      context.running.get(queryId)?.stop?.()
    }
    let result: AsyncIterable<Buffer> = fifo.stream
    if (format === 'Native' && query.clientRevision > 0)
      result = nativeAtRevision(result, query.clientRevision, breakOff)
    if (query.waitEndOfQuery) {
      const file = join(context.spoolDir, `result-${randomUUID()}`)
      result = untilWhole(result, file, () => context.disk.assertRoom(), breakOff)
    }
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

function makesTables(tokens: readonly SqlToken[]): boolean {
  return isWord(tokens[0], 'CREATE') || isWord(tokens[0], 'REPLACE')
}

/** Commands that a nearly full disk does not keep from running. */
const roomMakers = ['DROP', 'TRUNCATE', 'DETACH', 'KILL', 'SYSTEM', 'SET', 'USE']

function makesRoom(tokens: readonly SqlToken[]): boolean {
  const isAlterDrop = isWord(tokens[0], 'ALTER') && tokens.some((token) => isWord(token, 'DROP'))
  return isAlterDrop || roomMakers.some((word) => isWord(tokens[0], word))
}

async function authenticate(
  { passwords }: QueryContext,
  query: QueryRequest,
  { socket }: IncomingMessage,
): Promise<void> {
  if (await passwords.admits(socket, query.user, query.password)) return
  throw new EngineError(
    516,
    'AUTHENTICATION_FAILED',
    `${query.user}: Authentication failed: password is incorrect, or there is no user with such name`,
  )
}
