/** What devices and routers are told of twins, many in one statement. */
import type { Queries, SqlRow } from '#control/store/database.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { changesSince } from './section.ts'
import { deviceTwinText, withVersion } from './twin-document.ts'
import { desiredFromRow, idColumns, reportedFromRow, type TwinRow } from './twin-rows.ts'
import type { DesiredChange, DesiredSeen, DeviceTwin, WholeTwin } from './twins.ts'

interface IdRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
}

export interface FoundTwin extends IdentityId, DeviceTwin {}

/** Identities that are unknown are left out. */
export async function readDeviceTwins(queries: Queries, ids: readonly IdentityId[]): Promise<FoundTwin[]> {
  const rows = await queries.query<IdRow & TwinRow>(
    `SELECT i.device_id, i.module_id, t.desired::text AS desired, t.desired_version::float8 AS desired_version,
       t.reported::text AS reported, t.reported_version::float8 AS reported_version
     FROM unnest($1::text[], $2::text[]) AS x (d, m)
     JOIN penstock.identities i ON i.device_id = x.d AND i.module_id = x.m
     LEFT JOIN penstock.twins t ON t.device_id = i.device_id AND t.module_id = i.module_id`,
    idColumns(ids),
  )
  return rows.map((row) => {
    const desired = desiredFromRow({ ...row, desired_marks: null, desired_floor: null })
    const reported = reportedFromRow({ ...row, reported_marks: null })
    return { ...idOf(row), text: deviceTwinText(desired, reported), desiredVersion: desired.version }
  })
}

export async function readWholeTwins(queries: Queries, ids: readonly IdentityId[]): Promise<WholeTwin[]> {
  const rows = await queries.query<IdRow & { readonly text: string }>(
    `SELECT t.device_id, t.module_id, 
       '{"tags":' || t.tags::text || ',"properties":{"desired":' || t.desired::text || ',"reported":' || t.reported::text || '}}' AS text
     FROM unnest($1::text[], $2::text[]) AS x (d, m)
     JOIN penstock.twins t ON t.device_id = x.d AND t.module_id = x.m`,
    idColumns(ids),
  )
  return rows.map((row) => ({ ...idOf(row), text: row.text }))
}

export async function readDesiredSince(queries: Queries, seen: readonly DesiredSeen[]): Promise<DesiredChange[]> {
  const rows = await queries.query<IdRow & TwinRow & { readonly seen: number }>(
    `SELECT t.device_id, t.module_id, t.desired::text AS desired, t.desired_marks, t.desired_version::float8 AS desired_version,
       t.desired_floor::float8 AS desired_floor, x.seen::float8 AS seen
     FROM unnest($1::text[], $2::text[], $3::text[]::bigint[]) AS x (d, m, seen)
     JOIN penstock.twins t ON t.device_id = x.d AND t.module_id = x.m
     WHERE t.desired_version > x.seen`,
    [...idColumns(seen), seen.map(({ version }) => String(version))],
  )
  return rows.map((row) => {
    const desired = desiredFromRow(row)
    const text = withVersion(changesSince(desired, row.seen), desired.version)
    return { ...idOf(row), version: desired.version, text }
  })
}

export async function readSeen(queries: Queries, ids: readonly IdentityId[]): Promise<DesiredSeen[]> {
  const rows = await queries.query<IdRow & { readonly version: number }>(
    `SELECT p.device_id, p.module_id, p.desired_seen::float8 AS version
     FROM unnest($1::text[], $2::text[]) AS x (d, m) JOIN penstock.presence p ON p.device_id = x.d AND p.module_id = x.m
     WHERE p.desired_seen IS NOT NULL`,
    idColumns(ids),
  )
  return rows.map((row) => ({ ...idOf(row), version: row.version }))
}

/** In order of ids. A device may be told of before its presence is recorded. */
export async function recordSeen(queries: Queries, seen: readonly DesiredSeen[]): Promise<void> {
  await queries.query(
    `INSERT INTO penstock.presence AS p (device_id, module_id, connected, edge_id, desired_seen)
     SELECT i.device_id, i.module_id, false, '', x.seen
     FROM unnest($1::text[], $2::text[], $3::text[]::bigint[]) AS x (d, m, seen)
     JOIN penstock.identities i ON i.device_id = x.d AND i.module_id = x.m
     ORDER BY i.device_id, i.module_id FOR KEY SHARE OF i
     ON CONFLICT (device_id, module_id) DO UPDATE SET desired_seen = excluded.desired_seen`,
    [...idColumns(seen), seen.map(({ version }) => String(version))],
  )
}

function idOf({ device_id, module_id }: IdRow): IdentityId {
  return { deviceId: device_id, moduleId: module_id === '' ? undefined : module_id }
}
