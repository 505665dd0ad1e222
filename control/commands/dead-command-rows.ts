/** Commands that ended without success, as rows of the control store. */
import type { Database, Queries, SqlRow } from '#control/store/database.ts'
import type { DeadCommandReason } from '#schemas/commands.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { ackFromBits, idFromRow, propertiesFromText } from './command-rows.ts'
import type { DeadCommand, DeadCommandFilter } from './commands.ts'

interface DeadCommandRow extends SqlRow {
  readonly id: number
  readonly device_id: string
  readonly module_id: string
  readonly properties: string
  readonly ack: number
  readonly enqueued_at: Date
  readonly expires_at: Date
  readonly deliveries: number
  readonly reason: DeadCommandReason
  readonly at: Date
}

const columns = `id::float8 AS id, device_id, module_id, properties, ack, enqueued_at, expires_at, deliveries, reason, at`

export async function deadCommandRows(
  database: Pick<Database, 'query'>,
  { deviceId, after }: DeadCommandFilter,
  countMax: number,
): Promise<Omit<DeadCommand, 'body'>[]> {
  const rows = await database.query<DeadCommandRow>(
    `SELECT ${columns} FROM penstock.dead_commands WHERE id > $1::bigint ${deviceId === undefined ? '' : 'AND device_id = $3'}
     ORDER BY id LIMIT $2::integer`,
    deviceId === undefined ? [after, countMax] : [after, countMax, deviceId],
  )
  return rows.map(deadCommandFromRow)
}

/** @param lock true: nobody else resends it until the transaction ends. @throws COMMAND_UNKNOWN */
export async function deadCommandRow(queries: Queries, id: number, lock = false): Promise<DeadCommand> {
  const [row] = await queries.query<DeadCommandRow & { readonly body: Uint8Array }>(
    `SELECT ${columns}, body FROM penstock.dead_commands WHERE id = $1::bigint ${lock ? 'FOR UPDATE' : ''}`,
    [id],
  )
  if (row === undefined) throw deadCommandUnknown(id)
  return { ...deadCommandFromRow(row), body: row.body }
}

/** @returns how many there were */
export async function dropDeadCommandRows(
  queries: Queries,
  of: { id: number } | { deviceId: string },
): Promise<number> {
  const [condition, value] = 'id' in of ? ['id = $1::bigint', of.id] : ['device_id = $1', of.deviceId]
  const gone = await queries.query(`DELETE FROM penstock.dead_commands WHERE ${condition} RETURNING 1 AS one`, [value])
  return gone.length
}

/** Of the oldest what is too old, or is more than is kept. @returns how many */
export async function forgetDeadCommands(
  database: Pick<Database, 'query'>,
  keptMs: number,
  countMax: number,
): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `WITH gone AS (
       DELETE FROM penstock.dead_commands
       WHERE id IN (SELECT id FROM penstock.dead_commands ORDER BY id LIMIT $3::integer) AND (
         at <= now() - $1::float8 * interval '1 millisecond' OR id <= (SELECT max(id) FROM penstock.dead_commands) - $2::bigint)
       RETURNING 1
     )
     SELECT count(*)::integer AS count FROM gone`,
    [keptMs, limits.deadCommandsKeptMax, countMax],
  )
  return row?.count ?? 0
}

export function deadCommandUnknown(id: number): PenstockError {
  return new PenstockError('COMMAND_UNKNOWN', `there is no dead letter ${id}`)
}

function deadCommandFromRow(row: DeadCommandRow): Omit<DeadCommand, 'body'> {
  return {
    ...idFromRow(row),
    ...propertiesFromText(row.properties),
    id: row.id,
    reason: row.reason,
    ack: ackFromBits(row.ack),
    enqueuedAtMs: row.enqueued_at.getTime(),
    expiresAtMs: row.expires_at.getTime(),
    atMs: row.at.getTime(),
    deliveries: row.deliveries,
  }
}
