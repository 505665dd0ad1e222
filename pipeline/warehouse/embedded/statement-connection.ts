import { totalmem } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { type EngineConnection, sqlText } from './engine.ts'
import { EngineError } from './engine-error.ts'
import type { QueryContext } from './query-context.ts'
import type { Reply } from './reply.ts'
import type { QueryRequest } from './request.ts'
import type { Slots } from './slots.ts'
import type { Statement } from './statement.ts'

/** One statement may take half of the machine's memory: it fails then, not the process with everybody's statements. */
const queryBytesMax = Math.floor(totalmem() / 2)

const stopAgainMs = 100

/** One statement of one request. */
export interface StatementRun {
  readonly kind: Statement['kind']
  readonly query: QueryRequest
  readonly queryId: string
  readonly reply: Reply
}

/**
 * Waits for a place, then calls `use` with a connection on which the request's database, settings and parameters are set. If the
 * client goes away, or the server stops, a statement that only reads is ended: `use` rejects.
 * @throws EngineError
 */
export async function withConnection(
  context: QueryContext,
  { kind, query, queryId, reply }: StatementRun,
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
