/** Quotas of single devices as rows of the control store. */

import { argumentFault, unknownFault } from '#control/identities/identity.ts'
import type { Queries, SqlRow } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { checkIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { QuotaOverride } from './quotas.ts'

interface QuotaRow extends SqlRow {
  readonly device_id: string
  readonly messages: number | null
  readonly bytes: number | null
  readonly connections: number | null
}

export async function quotaRows(queries: Queries): Promise<QuotaOverride[]> {
  const rows = await queries.query<QuotaRow>(
    `SELECT device_id, messages_per_second::float8 AS messages, bytes_per_second::float8 AS bytes,
       connections_per_minute::float8 AS connections
     FROM penstock.quotas ORDER BY device_id`,
  )
  return rows.map(({ device_id, messages, bytes, connections }) => ({
    deviceId: device_id,
    messagesPerSecond: messages ?? undefined,
    bytesPerSecond: bytes ?? undefined,
    connectionsPerMinute: connections ?? undefined,
  }))
}

export async function putQuotaRow(queries: Queries, quota: QuotaOverride): Promise<void> {
  const { deviceId, messagesPerSecond, bytesPerSecond, connectionsPerMinute } = quota
  const id = { deviceId, moduleId: undefined }
  checkIdentityId(id)
  const others = await queries.query<{ count: number }>(
    'SELECT count(*)::integer AS count FROM penstock.quotas WHERE device_id <> $1',
    [deviceId],
  )
  if ((others[0]?.count ?? 0) >= limits.deviceQuotasMax)
    throw argumentFault(`at most ${limits.deviceQuotasMax} devices have quotas of their own`)
  const put = await queries.query(
    `INSERT INTO penstock.quotas (device_id, messages_per_second, bytes_per_second, connections_per_minute)
     SELECT device_id, $2::bigint, $3::bigint, $4::bigint FROM penstock.identities WHERE device_id = $1 AND module_id = ''
     ON CONFLICT (device_id) DO UPDATE SET messages_per_second = excluded.messages_per_second,
       bytes_per_second = excluded.bytes_per_second, connections_per_minute = excluded.connections_per_minute
     RETURNING 1 AS one`,
    [deviceId, messagesPerSecond ?? null, bytesPerSecond ?? null, connectionsPerMinute ?? null],
  )
  if (put.length === 0) throw unknownFault(id)
}

export async function deleteQuotaRow(queries: Queries, deviceId: string): Promise<void> {
  const deleted = await queries.query('DELETE FROM penstock.quotas WHERE device_id = $1 RETURNING 1 AS one', [deviceId])
  if (deleted.length === 0) throw quotaUnknown(deviceId)
}

export function quotaUnknown(deviceId: string): PenstockError {
  return new PenstockError('REGISTRY_QUOTA_UNKNOWN', `device ${deviceId} has no quota of its own`)
}
