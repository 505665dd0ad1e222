import { identityText } from './identity.ts'
import type { PresenceRecord } from './registry.ts'
import type { Queries } from './sql/database.ts'

/**
 * Connection states, many in one statement. An edge that lost a device to another edge's take-over reports its end late: only
 * the edge that holds the connection may say that it ended. Identities that are gone are left out.
 */
export async function recordPresence(queries: Queries, records: readonly PresenceRecord[]): Promise<void> {
  const last = new Map<string, PresenceRecord>()
  for (const record of records) last.set(identityText(record), record)
  const rows = [...last.values()].map(({ deviceId, moduleId, connected, edgeId, atMs }) => ({
    device_id: deviceId,
    module_id: moduleId ?? '',
    connected,
    edge_id: edgeId,
    at: new Date(atMs).toISOString(),
  }))
  if (rows.length === 0) return
  await queries.query(
    `INSERT INTO penstock.presence AS p (device_id, module_id, connected, edge_id, connection_updated_at, last_activity_at)
     SELECT i.device_id, i.module_id, r.connected, r.edge_id, r.at, r.at
     FROM jsonb_to_recordset($1::text::jsonb) AS r (device_id text, module_id text, connected boolean, edge_id text, at timestamptz)
     JOIN penstock.identities i ON i.device_id = r.device_id AND i.module_id = r.module_id
     ORDER BY i.device_id, i.module_id
     ON CONFLICT (device_id, module_id) DO UPDATE SET connected = excluded.connected, edge_id = excluded.edge_id,
       connection_updated_at = excluded.connection_updated_at, last_activity_at = excluded.last_activity_at
     WHERE excluded.connection_updated_at >= p.connection_updated_at AND (excluded.connected OR p.edge_id = excluded.edge_id)`,
    [JSON.stringify(rows)],
  )
}

/** Everything the edge held is disconnected. Cost: as many rows as it held. */
export async function resetPresence(queries: Queries, edgeId: string, atMs: number): Promise<void> {
  await queries.query(
    'UPDATE penstock.presence SET connected = false, connection_updated_at = $2 WHERE edge_id = $1 AND connected',
    [edgeId, new Date(atMs)],
  )
}
