import { randomUUID } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { assert } from '#runtime/assert.ts'
import { systemClock } from '#runtime/clock.ts'
import { pipelineApplication } from '../warehouse.ts'
import { type CanonicalToken, isWord } from './canonical-tokens.ts'
import { sqlText } from './engine.ts'
import { EngineError, engineErrorFrom } from './engine-error.ts'
import { type EngineUser, isEngineUser, withoutExpressions } from './engine-rights.ts'
import {
  type ExternalTable,
  externalTablesOf,
  type Form,
  formBoundaryOf,
  readForm,
  tableStatements,
} from './form-body.ts'
import { nativeAtRevision } from './native-revision.ts'
import { refuseForbidden, refuseSettings } from './permissions.ts'
import { arePlainValues, plainValuesBytesMax } from './plain-values.ts'
import { processListSql } from './process-list.ts'
import type { QueryContext } from './query-context.ts'
import { Reply } from './reply.ts'
import { type QueryRequest, queryRequestFrom } from './request.ts'
import { decodedBody, RequestBody } from './request-body.ts'
import { untilWhole } from './result-spool.ts'
import type { Slots } from './slots.ts'
import {
  type CommandStatement,
  type InsertStatement,
  type ReadStatement,
  type Statement,
  statementFrom,
} from './statement.ts'
import { columnTypes, type StatementRun, withConnection } from './statement-connection.ts'
import type { StatementText } from './statement-text.ts'
import { urlParameters } from './url-parameters.ts'

/** Answers one request for a statement, errors included. Never rejects. */
export async function handleQuery(
  context: QueryContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const reply = new Reply(context, request, response)
  let queryId: string | undefined
  let give: (() => void) | undefined
  let form: Form | undefined
  let logged: (() => void) | undefined
  try {
    const parameters = urlParameters(request.url ?? '')
    const asked = queryRequestFrom(request, parameters)
    const user = await authenticate(context, asked, request)
    form = await formOf(context, request, asked)
    const { tables, rest } = externalTablesOf(form?.files ?? [], [...(form?.fields ?? []), ...parameters])
    const query = form ? queryRequestFrom(request, rest) : asked
    const id = query.queryId ?? randomUUID()
    // From here on errors are sent like results, compressed if the client asked for that.
    const ceilings = context.ceilings[user]
    reply.start(query, id, ceilings)
    refuseSettings(query, user)
    if (context.running.has(id))
      throw new EngineError(216, 'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING', `Query with id = ${id} is already running`)
    ceilings.admit(statementsOf(context, user))
    queryId = id
    context.running.set(id, { user, kind: undefined, stop: undefined })
    const body = new RequestBody(form ? Readable.from([]) : decodedBody(request, query), query)
    const text = await body.statement()
    logged = loggedOnceEnded(context, request, query, { id, user, query: text.text, reply })
    const taken = query.session && (await context.sessions.take(user, query.session, () => response.writableEnded))
    give = taken?.give
    // `readonly` may not change anything that a session keeps.
    const session = user === 'readonly' ? undefined : taken?.session
    await runText(context, { query, user, ceilings, queryId: id, session, reply }, tables, body, text)
  } catch (error) {
    reply.fail(engineErrorFrom(error))
  } finally {
    logged?.()
    if (queryId !== undefined) assert(context.running.delete(queryId), 'a query that was entered has run until now')
    for (const { path } of form?.files ?? []) context.insertSpool.give(path)
    give?.()
  }
}

/** Begins to watch a statement of a client. @returns to be called when it has ended; `undefined`: it is Penstock's own */
function loggedOnceEnded(
  { queryLog }: QueryContext,
  { socket }: IncomingMessage,
  { application }: QueryRequest,
  { id, user, query, reply }: { id: string; user: EngineUser; query: Buffer; reply: Reply },
): (() => void) | undefined {
  if (queryLog === undefined) return undefined
  // A user for analysts calls itself what it likes.
  if (user === 'default' && application.startsWith(pipelineApplication)) return undefined
  const [atMs, begunMs] = [systemClock.nowMs(), systemClock.monotonicMs()]
  queryLog.begin(id)
  return () => {
    const { failure, result } = reply.outcome
    queryLog.end({
      ...{ query_id: id, user, client: socket.remoteAddress ?? '', application, query, atMs },
      seconds: (systemClock.monotonicMs() - begunMs) / 1_000,
      result_rows: result?.rowsWritten ? 0 : (result?.rowsRead ?? 0),
      result_bytes: result?.rowsWritten ? 0 : (result?.bytesRead ?? 0),
      written_rows: result?.rowsWritten ?? 0,
      code: failure?.number ?? 0,
      error: failure?.message ?? '',
    })
  }
}

/** How many of this user run or wait. */
function statementsOf({ running }: QueryContext, user: EngineUser): number {
  let count = 0
  for (const statement of running.values()) if (statement.user === user) count++
  return count
}

/** The form in a request's body. The user is known already; fields of the form cannot change it. */
async function formOf(context: QueryContext, request: IncomingMessage, query: QueryRequest): Promise<Form | undefined> {
  const boundary = formBoundaryOf(request.headers['content-type'])
  if (boundary === undefined) return undefined
  const { fields, files } = await readForm(decodedBody(request, query), boundary, context.insertSpool)
  return { fields: fields.filter(([name]) => name !== 'user' && name !== 'password'), files }
}

/** What is known of a request before its statement is read. */
type RequestRun = Omit<StatementRun, 'statement' | 'tables'>

/** Waits for a place, lets the engine read the statement, judges what it read, and runs that. */
async function runText(
  context: QueryContext,
  run: RequestRun,
  external: readonly ExternalTable[],
  body: RequestBody,
  text: StatementText,
): Promise<void> {
  // The engine starts once all rows have come. So a client that dies half-way leaves nothing, whatever byte it dies at.
  const rows = text.rowsAt === undefined ? undefined : await context.insertSpool.write(body.rest(text.rowsAt))
  const slots = slotsFor(context.slots, run, rows !== undefined)
  try {
    await slots.take()
    try {
      if (run.reply.gone) return
      const statement = statementFrom(await context.formatter.canonical(text.text), rows !== undefined)
      refuseForbidden(statement.tokens, run.user, run.ceilings)
      refuseWritesInSession(run.query, statement)
      const tables = await Promise.all(external.map((table) => tableStatements(context.formatter, table)))
      await runStatement(context, { ...run, statement, tables }, rows)
    } finally {
      slots.give()
    }
  } finally {
    if (rows !== undefined) context.insertSpool.give(rows)
  }
}

function slotsFor(slots: QueryContext['slots'], { query, user }: RequestRun, hasRows: boolean): Slots {
  if (user !== 'default') return slots.analysts
  if (!query.isPipeline) return slots.operators
  return hasRows ? slots.pipelineInserts : slots.pipelineQuestions
}

/** The engine's own readonly mode cannot be used on a session's connection, since the connection could not leave it again. */
function refuseWritesInSession(query: QueryRequest, statement: Statement): void {
  const isReading = query.isGet || /^[12]$/.test(query.settings.get('readonly') ?? '')
  if (query.session && isReading && statement.kind !== 'read')
    throw new EngineError(164, 'READONLY', 'Cannot execute query in readonly mode')
}

/** @param rows file of the rows that follow an INSERT */
async function runStatement(context: QueryContext, run: StatementRun, rows: string | undefined): Promise<void> {
  const { statement } = run
  switch (statement.kind) {
    case 'insert':
      assert(rows !== undefined, 'an insert of rows has them in a file')
      return insert(context, run, statement, rows)
    case 'read':
      return read(context, run, statement)
    case 'command':
      return command(context, run, statement)
  }
}

async function command(context: QueryContext, run: StatementRun, statement: CommandStatement): Promise<void> {
  const { text, tokens } = statement
  const format = run.query.defaultFormat ?? 'TabSeparated'
  const isInsert = isWord(tokens[0], 'INSERT')
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
  statement: InsertStatement,
  rows: string,
): Promise<void> {
  const hasExpressions =
    statement.format === 'Values' &&
    statSync(rows).size <= plainValuesBytesMax &&
    arePlainValues(readFileSync(rows, 'utf8'))
  await withConnection(context, run, async (connection) => {
    // The prologue of every request turns it off again.
    if (hasExpressions)
      await connection.run(`SET ${withoutExpressions.map((name) => `${name} = 1`).join(', ')}`, 'Null')
    const result = await context.disk.writing(() => connection.runInsert(statement.textFor(rows)))
    await run.reply.whole(Buffer.alloc(0), undefined, result)
  })
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
      result = nativeAtRevision(result, query.clientRevision, () => columnTypes(context, run, statement), breakOff)
    if (query.waitEndOfQuery) {
      const file = join(context.spoolDir, `result-${randomUUID()}`)
      result = untilWhole(result, file, () => context.disk.assertRoom(), breakOff)
    }
    const sent = reply.stream(result, format).catch((error: unknown) => reply.fail(engineErrorFrom(error)))
    try {
      const tail = statement.tail === '' ? `FORMAT ${format}` : statement.tail
      const sql = `${textToRun(context, queryId, statement)}\nINTO OUTFILE ${sqlText(fifo.path)} APPEND COMPRESSION 'none' ${tail}`
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

function textToRun(context: QueryContext, queryId: string, { tokens, text }: ReadStatement): string {
  const [first, second] = tokens
  if (!second || !isWord(first, 'SHOW') || !isWord(second, 'PROCESSLIST')) return text
  return processListSql(context, queryId) + text.slice(second.end)
}

function makesTables(tokens: readonly CanonicalToken[]): boolean {
  return isWord(tokens[0], 'CREATE') || isWord(tokens[0], 'REPLACE')
}

/** Commands that run even if the disk is nearly full. */
const roomMakers = ['DROP', 'TRUNCATE', 'DETACH', 'KILL', 'SYSTEM', 'SET', 'USE']

function makesRoom(tokens: readonly CanonicalToken[]): boolean {
  const isAlterDrop = isWord(tokens[0], 'ALTER') && tokens.some((token) => isWord(token, 'DROP'))
  return isAlterDrop || roomMakers.some((word) => isWord(tokens[0], word))
}

/** @throws EngineError AUTHENTICATION_FAILED */
async function authenticate(
  { passwords }: QueryContext,
  query: QueryRequest,
  { socket }: IncomingMessage,
): Promise<EngineUser> {
  if ((await passwords.admits(socket, query.user, query.password)) && isEngineUser(query.user)) return query.user
  throw new EngineError(
    516,
    'AUTHENTICATION_FAILED',
    `${query.user}: Authentication failed: password is incorrect, or there is no user with such name`,
  )
}
