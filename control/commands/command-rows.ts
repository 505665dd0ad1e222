/** Commands as rows of the control store. */
import type { Database, SqlRow } from '#control/store/database.ts'
import { type AckRequest, ackRequests, type CommandContent, type TakenCommand } from '#schemas/commands.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import {
  ackBits,
  expireStatement,
  purgeStatement,
  sendStatement,
  settleStatement,
  takeStatement,
} from './command-sql.ts'
import type { CommandRules, CommandsTaken, CommandsWanted, SentCommand, Settlement } from './commands.ts'

/** What became of a command that was sent. */
export type Sent = 'accepted' | 'full' | 'unaddressed'

/** A command with its properties as the row has them. */
export interface ReadyCommand extends SentCommand {
  readonly properties: string
}

/** One statement; the commands of a queue keep their order. */
export async function sendCommands(
  database: Pick<Database, 'query'>,
  commands: readonly ReadyCommand[],
  { lifeMs, isDeduplicated }: Pick<CommandRules, 'lifeMs' | 'isDeduplicated'>,
): Promise<Sent[]> {
  const rows = await database.query<{ n: number; accepted: boolean | null; addressed: boolean }>(sendStatement, [
    commands.map(({ deviceId }) => deviceId),
    commands.map(moduleText),
    commands.map(messageIdOf),
    commands.map(({ properties }) => properties),
    commands.map(({ body }) => Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64')),
    commands.map(({ ack }) => ackBits[ack]),
    commands.map(({ expiresAtMs }) => expiresAtMs ?? null),
    limits.commandsWaitingMax,
    lifeMs,
    isDeduplicated,
  ])
  const sent: Sent[] = []
  for (const { n, accepted, addressed } of rows)
    sent[n - 1] = accepted === true ? 'accepted' : addressed ? 'full' : 'unaddressed'
  return sent
}

interface TakenRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
  readonly waiting: number
  readonly seq: number
  readonly lock_token: string
  readonly properties: string
  readonly body: Uint8Array
  readonly ack: number
  readonly enqueued_at: Date
  readonly expires_at: Date
  readonly deliveries: number
}

export async function takeCommands(
  database: Pick<Database, 'query'>,
  wanted: readonly CommandsWanted[],
  deliveriesMax: number,
): Promise<CommandsTaken[]> {
  const rows = await database.query<TakenRow>(takeStatement, [
    wanted.map(({ deviceId }) => deviceId),
    wanted.map(moduleText),
    wanted.map(({ countMax }) => countMax),
    wanted.map(({ forSession }) => forSession),
    deliveriesMax,
  ])
  const queues: { id: IdentityId; waiting: number; commands: TakenCommand[] }[] = []
  for (const row of rows) {
    const id = idFromRow(row)
    let queue = queues.at(-1)
    if (queue?.id.deviceId !== id.deviceId || queue.id.moduleId !== id.moduleId) {
      queue = { id, waiting: row.waiting, commands: [] }
      queues.push(queue)
    }
    queue.commands.push(takenFromRow(row))
  }
  return queues.map(({ id, waiting, commands }) => ({ ...id, commands, hasMore: waiting > commands.length }))
}

/** @returns of each whether it was done */
export async function settleCommands(
  database: Pick<Database, 'query'>,
  settlements: readonly Settlement[],
  deliveriesMax: number,
): Promise<boolean[]> {
  const settled = settlements.map(() => false)
  const rows = await database.query<{ n: number }>(settleStatement, [
    settlements.map(({ deviceId }) => deviceId),
    settlements.map(moduleText),
    settlements.map(({ lockToken }) => lockToken),
    settlements.map(({ kind }) => kind),
    deliveriesMax,
  ])
  for (const { n } of rows) settled[n - 1] = true
  return settled
}

/** @returns `undefined`: there is no such device or module */
export async function purgeCommands(database: Pick<Database, 'query'>, id: IdentityId): Promise<number | undefined> {
  const [row] = await database.query<{ count: number; addressed: boolean }>(purgeStatement, [
    id.deviceId,
    moduleText(id),
  ])
  return row?.addressed ? row.count : undefined
}

/** @returns how many ended */
export async function expireCommands(database: Pick<Database, 'query'>, countMax: number): Promise<number> {
  const [row] = await database.query<{ count: number }>(expireStatement, [countMax])
  return row?.count ?? 0
}

/** `[[key, value]…]` of system and of application properties: their order stays, and any name is a name. */
export function propertiesText({ systemProperties, applicationProperties }: CommandContent): string {
  return JSON.stringify([[...systemProperties], [...applicationProperties]])
}

export function propertiesFromText(text: string): Pick<CommandContent, 'systemProperties' | 'applicationProperties'> {
  const [system, application] = JSON.parse(text) as [[string, string][], [string, string][]]
  return { systemProperties: new Map(system), applicationProperties: new Map(application) }
}

export function ackFromBits(bits: number): AckRequest {
  return ackRequests.find((ack) => ackBits[ack] === bits) ?? 'none'
}

export function moduleText({ moduleId }: IdentityId): string {
  return moduleId ?? ''
}

export function messageIdOf({ systemProperties }: Pick<CommandContent, 'systemProperties'>): string {
  return systemProperties.get('mid') ?? ''
}

export function idFromRow(row: { readonly device_id: string; readonly module_id: string }): IdentityId {
  return { deviceId: row.device_id, moduleId: row.module_id === '' ? undefined : row.module_id }
}

function takenFromRow(row: TakenRow): TakenCommand {
  return {
    ...idFromRow(row),
    ...propertiesFromText(row.properties),
    lockToken: row.lock_token,
    sequenceNumber: row.seq,
    body: row.body,
    ack: ackFromBits(row.ack),
    enqueuedAtMs: row.enqueued_at.getTime(),
    expiresAtMs: row.expires_at.getTime(),
    deliveries: row.deliveries,
  }
}
