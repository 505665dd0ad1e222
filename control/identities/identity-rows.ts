/** Identities as rows of the control store. */

import type { Queries, SqlRow } from '#control/store/database.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { AuthenticationKind, Identity, IdentityContent, IdentityStatus } from './identity.ts'
import { newEtag, newGenerationId } from './identity.ts'

export interface IdentityRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
  readonly generation_id: string
  readonly etag: string
  readonly status: IdentityStatus
  readonly status_reason: string | null
  readonly status_updated_at: Date | null
  readonly authentication: AuthenticationKind
  readonly primary_key: string | null
  readonly secondary_key: string | null
  readonly primary_thumbprint: string | null
  readonly secondary_thumbprint: string | null
  readonly iot_edge: boolean
  readonly device_scope: string | null
  readonly parent_scope: string | null
  readonly managed_by: string | null
  readonly created_at: Date
  readonly connected: boolean | null
  readonly connection_updated_at: Date | null
  readonly last_activity_at: Date | null
  readonly model_id: string | null
  readonly waiting: number | null
}

/**
 * The presence `p` of identities `i`, looked up by its ids: joined, the planner may read all presences for every page, or compare each of a
 * page with each behind it where its statistics are old.
 */
export const joinPresence = `LEFT JOIN LATERAL (
    SELECT * FROM penstock.presence WHERE device_id = i.device_id AND module_id = i.module_id LIMIT 1
  ) p ON true`

/** Whole identities, with further columns (`, expression AS name`) behind them, of tables joined to `i`. */
export function selectIdentitiesWith(columns: string, joins = ''): string {
  return `SELECT i.*, p.connected, p.connection_updated_at, p.last_activity_at, p.model_id,
      (SELECT waiting FROM penstock.queues WHERE device_id = i.device_id AND module_id = i.module_id) AS waiting${columns}
    FROM penstock.identities i ${joinPresence} ${joins}`
}

export const selectIdentities = selectIdentitiesWith('')

export function identityFromRow(row: IdentityRow): Identity {
  return {
    deviceId: row.device_id,
    moduleId: row.module_id === '' ? undefined : row.module_id,
    generationId: row.generation_id,
    etag: row.etag,
    status: row.status,
    statusReason: row.status_reason ?? undefined,
    statusUpdatedAtMs: row.status_updated_at?.getTime(),
    authentication: {
      kind: row.authentication,
      primaryKey: row.primary_key ?? undefined,
      secondaryKey: row.secondary_key ?? undefined,
      primaryThumbprint: row.primary_thumbprint ?? undefined,
      secondaryThumbprint: row.secondary_thumbprint ?? undefined,
    },
    iotEdge: row.iot_edge,
    deviceScope: row.device_scope ?? undefined,
    parentScope: row.parent_scope ?? undefined,
    managedBy: row.managed_by ?? undefined,
    createdAtMs: row.created_at.getTime(),
    connected: row.connected ?? false,
    connectionUpdatedAtMs: row.connection_updated_at?.getTime(),
    lastActivityAtMs: row.last_activity_at?.getTime(),
    modelId: row.model_id ?? undefined,
    commandsWaiting: row.waiting ?? 0,
  }
}

/** A new identity with its stamps; `content.authentication` is complete. */
export function newIdentity(content: IdentityContent, nowMs: number): Identity {
  return {
    ...content,
    generationId: newGenerationId(nowMs),
    etag: newEtag(),
    createdAtMs: nowMs,
    statusUpdatedAtMs: undefined,
    connected: false,
    connectionUpdatedAtMs: undefined,
    lastActivityAtMs: undefined,
    modelId: undefined,
    commandsWaiting: 0,
  }
}

const columns = `device_id, module_id, generation_id, etag, status, status_reason, authentication, primary_key, secondary_key,
  primary_thumbprint, secondary_thumbprint, iot_edge, device_scope, parent_scope, managed_by, created_at`

/**
 * Inserts all identities whose id is free, in one statement, and returns the ids that were. Ids are in order, so that two writers
 * of the same ids wait for one another and not in a deadlock.
 */
export async function insertIdentities(queries: Queries, identities: readonly Identity[]): Promise<IdentityId[]> {
  const records = identities.map((identity) => ({
    device_id: identity.deviceId,
    module_id: identity.moduleId ?? '',
    generation_id: identity.generationId,
    etag: identity.etag,
    status: identity.status,
    status_reason: identity.statusReason,
    authentication: identity.authentication.kind,
    primary_key: identity.authentication.primaryKey,
    secondary_key: identity.authentication.secondaryKey,
    primary_thumbprint: identity.authentication.primaryThumbprint,
    secondary_thumbprint: identity.authentication.secondaryThumbprint,
    iot_edge: identity.iotEdge,
    device_scope: identity.deviceScope,
    parent_scope: identity.parentScope,
    managed_by: identity.managedBy,
    created_at: new Date(identity.createdAtMs).toISOString(),
  }))
  const inserted = await queries.query<{ device_id: string; module_id: string }>(
    `INSERT INTO penstock.identities (${columns})
     SELECT ${columns} FROM jsonb_to_recordset($1::text::jsonb) AS r (device_id text, module_id text, generation_id text,
       etag text, status text, status_reason text, authentication text, primary_key text, secondary_key text,
       primary_thumbprint text, secondary_thumbprint text, iot_edge boolean, device_scope text, parent_scope text, managed_by text,
       created_at timestamptz)
     ORDER BY device_id COLLATE "C", module_id COLLATE "C"
     ON CONFLICT DO NOTHING RETURNING device_id, module_id`,
    [JSON.stringify(records)],
  )
  return inserted.map((row) => ({ deviceId: row.device_id, moduleId: row.module_id || undefined }))
}

/** Writes what a caller may change, with a new etag. The row is locked by the caller. */
export async function updateIdentity(queries: Queries, identity: Identity): Promise<void> {
  const { authentication, statusUpdatedAtMs } = identity
  await queries.query(
    `UPDATE penstock.identities SET etag = $3, status = $4, status_reason = $5, status_updated_at = $6, authentication = $7,
       primary_key = $8, secondary_key = $9, primary_thumbprint = $10, secondary_thumbprint = $11, iot_edge = $12,
       device_scope = $13, managed_by = $14, parent_scope = $15
     WHERE device_id = $1 AND module_id = $2`,
    [
      identity.deviceId,
      identity.moduleId ?? '',
      identity.etag,
      identity.status,
      identity.statusReason ?? null,
      statusUpdatedAtMs === undefined ? null : new Date(statusUpdatedAtMs),
      authentication.kind,
      authentication.primaryKey ?? null,
      authentication.secondaryKey ?? null,
      authentication.primaryThumbprint ?? null,
      authentication.secondaryThumbprint ?? null,
      identity.iotEdge,
      identity.deviceScope ?? null,
      identity.managedBy ?? null,
      identity.parentScope ?? null,
    ],
  )
}
