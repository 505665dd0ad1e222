import type { Database, SqlRow } from '#control/store/database.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import type { KeptSession, KeptSessions } from './sessions.ts'

interface Row extends SqlRow {
  readonly device_id: string
  readonly module_id: string
  readonly subscriptions: number
  readonly kept_seconds: number | null
}

/** Kept sessions over the control store, which belongs to the caller: a row for each device that listens. */
export class SqlSessions implements KeptSessions {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async sessions(ids: readonly IdentityId[]): Promise<readonly KeptSession[]> {
    const rows = await this.#database.query<Row>(
      `SELECT s.device_id, s.module_id, s.subscriptions, s.kept_seconds::float8 AS kept_seconds
       FROM unnest($1::text[], $2::text[]) AS asked (device_id, module_id)
       JOIN penstock.sessions s USING (device_id, module_id)
       LEFT JOIN penstock.presence p USING (device_id, module_id)
       WHERE s.kept_seconds IS NULL OR p.connected OR p.connection_updated_at + s.kept_seconds * interval '1 second' > now()`,
      [ids.map(({ deviceId }) => deviceId), ids.map(({ moduleId }) => moduleId ?? '')],
    )
    return rows.map(({ device_id, module_id, subscriptions, kept_seconds }) => ({
      deviceId: device_id,
      moduleId: module_id === '' ? undefined : module_id,
      subscriptions,
      keptSeconds: kept_seconds ?? undefined,
    }))
  }

  async keepSessions(sessions: readonly KeptSession[]): Promise<void> {
    const last = new Map<string, KeptSession>()
    for (const session of sessions) last.set(identityText(session), session)
    if (last.size === 0) return
    const rows = [...last.values()].map(({ deviceId, moduleId, subscriptions, keptSeconds }) => ({
      device_id: deviceId,
      module_id: moduleId ?? '',
      subscriptions,
      kept_seconds: keptSeconds,
    }))
    await this.#database.query(
      `WITH told AS (
         SELECT * FROM jsonb_to_recordset($1::text::jsonb)
           AS r (device_id text, module_id text, subscriptions integer, kept_seconds bigint)
       ), forgotten AS (
         DELETE FROM penstock.sessions s USING told r
         WHERE r.subscriptions = 0 AND s.device_id = r.device_id AND s.module_id = r.module_id
       )
       INSERT INTO penstock.sessions (device_id, module_id, subscriptions, kept_seconds)
       SELECT i.device_id, i.module_id, r.subscriptions, r.kept_seconds
       FROM told r JOIN penstock.identities i ON i.device_id = r.device_id AND i.module_id = r.module_id
       WHERE r.subscriptions > 0
       ORDER BY i.device_id, i.module_id
       ON CONFLICT (device_id, module_id)
       DO UPDATE SET subscriptions = excluded.subscriptions, kept_seconds = excluded.kept_seconds`,
      [JSON.stringify(rows)],
    )
  }
}
