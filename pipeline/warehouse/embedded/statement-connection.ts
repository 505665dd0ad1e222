import { totalmem } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { assert } from '#runtime/assert.ts'
import { isWord } from './canonical-tokens.ts'
import { type EngineConnection, sqlText } from './engine.ts'
import { EngineError } from './engine-error.ts'
import { type EngineUser, spoolRoleOf, withoutExpressions } from './engine-rights.ts'
import { engineRows } from './engine-rows.ts'
import type { TableStatements } from './form-body.ts'
import { sendProgress } from './progress.ts'
import type { QueryCeilings } from './query-ceilings.ts'
import type { QueryContext } from './query-context.ts'
import type { Reply } from './reply.ts'
import type { QueryRequest } from './request.ts'
import { statementBytesPreset } from './request-body.ts'
import type { Session } from './sessions.ts'
import { quotedName, type ReadStatement, type Statement } from './statement.ts'

/** One statement may take half of the machine's memory. Beyond that the statement fails, not the process with all statements. */
const queryBytesMax = Math.floor(totalmem() / 2)

const stopAgainMs = 100

/** One statement of one request. */
export interface StatementRun {
  readonly statement: Statement
  readonly query: QueryRequest
  readonly user: EngineUser
  readonly ceilings: QueryCeilings
  readonly queryId: string
  /** Tables that are created before the statement, for it alone. */
  readonly tables: readonly TableStatements[]
  /** The session whose connection is used. It keeps what the statement sets. */
  readonly session: Session | undefined
  readonly reply: Reply
}

/**
 * Calls `use` with a connection on which the request's user, database, settings and parameters are set. If the client goes away or the
 * server stops, a statement that only reads is ended, and `use` rejects.
 * @throws EngineError
 */
export async function withConnection(
  context: QueryContext,
  run: StatementRun,
  use: (connection: EngineConnection) => Promise<void>,
): Promise<void> {
  const { statement, query, user, queryId, session, reply } = run
  const { kind } = statement
  let connection: EngineConnection | undefined
  let restore: string[] = []
  let progress: Promise<void> | undefined
  const aborted = new AbortController()
  let ended = false
  let stopped: Promise<void> | undefined
  // Repeated until it succeeds, since a statement that is about to begin is not in the engine's list yet.
  const stop = async (): Promise<void> => {
    while (!ended) {
      await context.engine.kill(queryId)
      await setTimeout(stopAgainMs)
    }
  }
  const stopRead = (): void => {
    stopped ??= stop().catch((error) => context.logger.warn('a query was not stopped', { error }))
  }
  try {
    if (reply.gone) return
    if (context.closing) throw new EngineError(236, 'ABORTED', 'Server is shutting down')
    connection = session?.connection ?? context.engine.connect()
    if (session && !session.connection) {
      session.connection = connection
      await connection.run(`SET max_memory_usage = ${queryBytesMax}`, 'Null')
    }
    // A statement that writes goes on when its client is gone, as on a ClickHouse server.
    if (kind === 'read') reply.onGone(stopRead)
    context.running.set(queryId, { user, kind, stop: kind === 'read' ? stopRead : undefined })
    if (session) restore = await statementsToRestore(connection, query, statement)
    await prepare(connection, run, restore)
    if (query.sendProgress)
      progress = sendProgress(context.engine, queryId, reply, query.progressDelayMs, aborted.signal).catch((error) =>
        context.logger.warn('no progress can be sent of a statement', { error }),
      )
    await use(connection)
  } finally {
    ended = true
    aborted.abort()
    await progress
    reply.onGone(undefined)
    if (restore.length > 0) await stopped // Otherwise it would end these statements too.
    try {
      for (const each of restore) await connection?.run(each, 'Null')
    } finally {
      if (!session) connection?.close()
    }
  }
}

/** @param restore receives the statements that remove the request's tables from a session */
async function prepare(connection: EngineConnection, run: StatementRun, restore: string[]): Promise<void> {
  const { query, tables, session } = run
  await connection.run(`SET ROLE ${quotedName(roleOf(run))}`, 'Null')
  await runOfAnyLength(connection, prologue(run))
  if (query.database) await connection.run(`USE ${quotedName(query.database)}`, 'Null')
  for (const { name, create, fill } of tables) {
    await connection.run(create, 'Null')
    if (session) restore.push(`DROP TEMPORARY TABLE ${quotedName(name)}`)
    await connection.runInsert(fill)
  }
  const readonly = readonlyOf(run)
  if (readonly !== undefined) await connection.run(`SET readonly = ${sqlText(readonly)}`, 'Null')
}

/**
 * The types of a SELECT's columns, asked by another statement while it runs. Undefined for other statements, and if the engine finds no
 * answer, as with temporary tables of a session.
 */
export async function columnTypes(
  context: QueryContext,
  run: StatementRun,
  { tokens, text }: ReadStatement,
): Promise<readonly string[] | undefined> {
  if (!isWord(tokens[0], 'SELECT') && !isWord(tokens[0], 'WITH')) return undefined
  const connection = context.engine.connect()
  try {
    await prepare(connection, { ...run, session: undefined }, [])
    const { bytes } = await connection.run(`DESCRIBE TABLE (${text})`, 'JSONEachRow')
    return engineRows(bytes, 'columns', isColumn).map(({ type }) => type)
  } catch (error) {
    if (error instanceof EngineError) return undefined
    throw error
  } finally {
    connection.close()
  }
}

function isColumn(row: unknown): row is { readonly type: string } {
  return typeof row === 'object' && row !== null && 'type' in row && typeof row.type === 'string'
}

/** The name is quoted: a bare `default` would mean all roles. */
function roleOf({ statement, user }: StatementRun): string {
  return statement.kind === 'insert' && statement.selects ? spoolRoleOf(user) : user
}

/** Parameters may be longer than a statement may be by itself. */
async function runOfAnyLength(connection: EngineConnection, sql: string): Promise<void> {
  if (sql.length > statementBytesPreset) await connection.run('SET max_query_size = 0', 'Null')
  await connection.run(sql, 'Null')
}

/** Settings that a request may name but that are always set to these values. The length of statements is bounded before they are formatted. */
const ownSettings: ReadonlySet<string> = new Set(['log_comment', 'readonly', 'max_query_size'])

function prologue({ query, user, ceilings, queryId, session }: StatementRun): string {
  /** The connection serves other requests afterwards. */
  const isKept = session !== undefined
  const given = user === 'default' ? query.settings : ceilings.below(query.settings)
  const settings = [...given, ...query.parameters]
    .filter(([name]) => !ownSettings.has(name))
    .map(([name, value]) => `${name} = ${sqlText(value)}`)
  settings.push(`log_comment = ${sqlText(queryId)}`, 'max_query_size = 0')
  if (isKept) settings.push(...withoutExpressions.map((name) => `${name} = 0`))
  if (isKept) return `SET ${settings.join(', ')}`
  if (!given.has('max_memory_usage')) settings.push(`max_memory_usage = ${queryBytesMax}`)
  return `SET ${settings.join(', ')}`
}

/**
 * In this mode the engine itself refuses writes, table functions that reach other servers, and further settings. As on a ClickHouse server,
 * GET only reads. A session's connection could not leave this mode again.
 */
function readonlyOf({ query, user, session }: StatementRun): string | undefined {
  if (session) return undefined
  if (user === 'readonly') return '1'
  const given = query.settings.get('readonly')
  return query.isGet && given !== '1' ? '2' : given
}

/**
 * Statements that undo what the URL of a request set on a session's connection, since the URL holds for that request only. What the
 * statement itself sets stays.
 */
async function statementsToRestore(
  connection: EngineConnection,
  query: QueryRequest,
  statement: Statement,
): Promise<string[]> {
  const tokens = statement.kind === 'command' ? statement.tokens : []
  const isSet = isWord(tokens[0], 'SET')
  const named = [...query.settings.keys()].filter((name) => !(isSet && tokens.some((token) => isWord(token, name))))
  if (named.length === 0 && !query.database) return []
  const names = ['', ...named].map(sqlText).join(', ')
  const { bytes } = await connection.run(
    `SELECT name, value, toBool(changed) FROM system.settings WHERE name IN (${names}) ` +
      "UNION ALL SELECT '', currentDatabase(), true SETTINGS limit = 0, offset = 0, max_result_rows = 0, max_rows_to_read = 0",
    'JSONCompactEachRow',
  )
  const rows = engineRows(bytes, 'settings', isSetting)
  assert(rows.length > 0, 'a connection has a database')
  return rows.flatMap(([name, value, isChanged]) => {
    if (name === '') return isWord(tokens[0], 'USE') ? [] : [`USE ${quotedName(value)}`]
    return name === 'readonly' ? [] : [`SET ${name} = ${isChanged ? sqlText(value) : 'DEFAULT'}`]
  })
}

function isSetting(row: unknown): row is readonly [name: string, value: string, isChanged: boolean] {
  if (!Array.isArray(row)) return false
  const [name, value, isChanged]: unknown[] = row
  return typeof name === 'string' && typeof value === 'string' && typeof isChanged === 'boolean'
}
