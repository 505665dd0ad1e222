/** Twins as rows of the control store. A twin without a row is an empty one. */
import type { Queries, SqlRow } from '#control/store/database.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { emptyObject, type JsonObject, patched, type Section } from './section.ts'
import type { Twin, TwinPatch } from './twins.ts'

export interface TwinRow extends SqlRow {
  readonly twin_version: number | null
  readonly twin_etag: number | null
  readonly tags: string | null
  readonly desired: string | null
  readonly desired_marks: string | null
  readonly desired_version: number | null
  readonly desired_floor: number | null
  readonly reported: string | null
  readonly reported_marks: string | null
  readonly reported_version: number | null
  readonly configurations: string | null
}

/** Of `penstock.twins t` of identities `i`. Documents are read as text, so that their objects are made here. */
export const twinColumns = `t.version::float8 AS twin_version, t.etag::float8 AS twin_etag, t.tags::text AS tags, t.desired::text AS desired,
  t.desired_marks, t.desired_version::float8 AS desired_version, t.desired_floor::float8 AS desired_floor, t.reported::text AS reported,
  t.reported_marks, t.reported_version::float8 AS reported_version, (
    SELECT jsonb_object_agg(c.id, jsonb_build_object('status', CASE WHEN d.number IS NULL THEN 'Targeted' ELSE 'Applied' END))::text
    FROM penstock.configuration_targets ct JOIN penstock.configurations c ON c.number = ct.number AND NOT c.is_deleted
      LEFT JOIN penstock.configuration_devices d ON d.device_id = ct.device_id AND d.number = ct.number AND NOT d.is_refused
    WHERE ct.device_id = i.device_id AND i.module_id = ''
  ) AS configurations`

/** Behind identities `i`. */
export const joinTwins = 'LEFT JOIN penstock.twins t ON t.device_id = i.device_id AND t.module_id = i.module_id'

export function twinFromRow(row: TwinRow): Twin {
  return {
    version: row.twin_version ?? 2,
    etag: row.twin_etag ?? 1,
    tags: objectFrom(row.tags),
    desired: sectionFrom(row.desired, row.desired_marks, row.desired_version, row.desired_floor),
    reported: reportedFromRow(row),
    configurations: objectFrom(row.configurations),
  }
}

export function desiredFromRow(
  row: Pick<TwinRow, 'desired' | 'desired_marks' | 'desired_version' | 'desired_floor'>,
): Section {
  return sectionFrom(row.desired, row.desired_marks, row.desired_version, row.desired_floor)
}

export function reportedFromRow(row: Pick<TwinRow, 'reported' | 'reported_marks' | 'reported_version'>): Section {
  return sectionFrom(row.reported, row.reported_marks, row.reported_version, 0)
}

function sectionFrom(
  value: string | null,
  marks: string | null,
  version: number | null,
  floor: number | null,
): Section {
  return {
    value: objectFrom(value),
    marks: marks === null ? {} : JSON.parse(marks),
    version: version ?? 1,
    floor: floor ?? 0,
  }
}

function objectFrom(text: string | null): JsonObject {
  return text === null || text === '{}' ? emptyObject : JSON.parse(text)
}

/** For statements that take lists. */
export function idColumns(ids: readonly { deviceId: string; moduleId: string | undefined }[]): [string[], string[]] {
  return [ids.map(({ deviceId }) => deviceId), ids.map(({ moduleId }) => moduleId ?? '')]
}

/** The twins that identities begin with which were just made, in one statement; those that have one already keep it. */
export async function insertTwins(
  queries: Queries,
  twins: readonly (IdentityId & { readonly patch: TwinPatch })[],
  nowMs: number,
): Promise<void> {
  if (twins.length === 0) return
  const first: Section = { value: emptyObject, marks: {}, version: 1, floor: 0 }
  const records = twins.map(({ deviceId, moduleId, patch }) => {
    const desired = patch.desired === undefined ? first : patched(first, patch.desired, nowMs)
    return {
      device_id: deviceId,
      module_id: moduleId ?? '',
      tags: JSON.stringify(patched(first, patch.tags ?? {}, nowMs).value),
      desired: JSON.stringify(desired.value),
      desired_marks: JSON.stringify(desired.marks),
      desired_version: desired.version,
    }
  })
  await queries.query(
    `INSERT INTO penstock.twins (device_id, module_id, version, etag, tags, desired, desired_marks, desired_version)
     SELECT device_id, module_id, 3, 2, tags::jsonb, desired::jsonb, desired_marks, desired_version
     FROM jsonb_to_recordset($1::text::jsonb) AS r (device_id text, module_id text, tags text, desired text, desired_marks text,
       desired_version bigint)
     ORDER BY device_id COLLATE "C", module_id COLLATE "C" ON CONFLICT DO NOTHING`,
    [JSON.stringify(records)],
  )
}
