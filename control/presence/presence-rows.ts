import type { Queries, SqlRow } from '#control/store/database.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import type { ActivityRecord, PresenceRecord } from './presence.ts'

/**
 * Connection states, many in one statement. An edge that lost a device to another edge's take-over reports its end late: only
 * the edge that holds the connection may say that it ended. Identities that are gone are left out.
 */
export async function recordPresence(queries: Queries, records: readonly PresenceRecord[]): Promise<void> {
  const last = new Map<string, PresenceRecord>()
  for (const record of records) last.set(identityText(record), record)
  const rows = [...last.values()].map(({ deviceId, moduleId, connected, edgeId, atMs, modelId }) => ({
    device_id: deviceId,
    module_id: moduleId ?? '',
    connected,
    edge_id: edgeId,
    model_id: modelId,
    at: new Date(atMs).toISOString(),
  }))
  if (rows.length === 0) return
  await queries.query(
    `INSERT INTO penstock.presence AS p (device_id, module_id, connected, edge_id, connection_updated_at, last_activity_at, model_id)
     SELECT i.device_id, i.module_id, r.connected, r.edge_id, r.at, r.at, r.model_id
     FROM jsonb_to_recordset($1::text::jsonb) AS r (device_id text, module_id text, connected boolean, edge_id text, at timestamptz, model_id text)
     JOIN penstock.identities i ON i.device_id = r.device_id AND i.module_id = r.module_id
     ORDER BY i.device_id, i.module_id
     ON CONFLICT (device_id, module_id) DO UPDATE SET connected = excluded.connected, edge_id = excluded.edge_id,
       connection_updated_at = excluded.connection_updated_at,
       last_activity_at = greatest(p.last_activity_at, excluded.last_activity_at),
       -- What it announced last; the end of a connection announces nothing.
       model_id = CASE WHEN excluded.connected THEN excluded.model_id ELSE p.model_id END
     WHERE (p.connection_updated_at IS NULL OR excluded.connection_updated_at >= p.connection_updated_at) AND (excluded.connected OR p.edge_id = excluded.edge_id)`,
    [JSON.stringify(rows)],
  )
}

/** Everything the edge held is disconnected. Cost: as many rows as it held. */
export async function resetPresence(queries: Queries, edgeId: string, atMs: number): Promise<IdentityId[]> {
  const rows = await queries.query<IdRow>(
    `WITH edge AS (${edgeHeard})
     UPDATE penstock.presence SET connected = false, connection_updated_at = $2 WHERE edge_id = $1 AND connected
     RETURNING device_id, module_id`,
    [edgeId, new Date(atMs)],
  )
  return rows.map(idFromRow)
}

/** A device that never connected, since it speaks HTTP, gets a row that says when it was heard of and no more. */
export async function recordBeat(queries: Queries, edgeId: string, heard: readonly ActivityRecord[]): Promise<void> {
  const rows = heard.map(({ deviceId, moduleId, atMs }) => ({
    device_id: deviceId,
    module_id: moduleId ?? '',
    at: new Date(atMs).toISOString(),
  }))
  await queries.query(
    `WITH edge AS (${edgeHeard})
     INSERT INTO penstock.presence AS p (device_id, module_id, connected, edge_id, last_activity_at)
     SELECT i.device_id, i.module_id, false, $1, r.at
     FROM jsonb_to_recordset($2::text::jsonb) AS r (device_id text, module_id text, at timestamptz)
     JOIN penstock.identities i ON i.device_id = r.device_id AND i.module_id = r.module_id
     ORDER BY i.device_id, i.module_id
     ON CONFLICT (device_id, module_id) DO UPDATE SET last_activity_at = excluded.last_activity_at
     WHERE p.last_activity_at IS NULL OR p.last_activity_at < excluded.last_activity_at`,
    [edgeId, JSON.stringify(rows)],
  )
}

/** Of several processes that call this at once, each device is told to one. */
export async function resetLostEdges(queries: Queries, silentMsMax: number, atMs: number): Promise<IdentityId[]> {
  const rows = await queries.query<IdRow>(
    `WITH lost AS (
       DELETE FROM penstock.edges WHERE heard_at <= now() - $1::float8 * interval '1 millisecond' RETURNING edge_id
     )
     UPDATE penstock.presence p SET connected = false, connection_updated_at = $2
     FROM lost WHERE p.edge_id = lost.edge_id AND p.connected
     RETURNING p.device_id, p.module_id`,
    [silentMsMax, new Date(atMs)],
  )
  return rows.map(idFromRow)
}

const edgeHeard = `INSERT INTO penstock.edges VALUES ($1, now()) ON CONFLICT (edge_id) DO UPDATE SET heard_at = now()`

interface IdRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
}

function idFromRow({ device_id, module_id }: IdRow): IdentityId {
  return { deviceId: device_id, moduleId: module_id === '' ? undefined : module_id }
}
