/** Reported properties as rows: many in one statement. */
import type { Queries, SqlRow } from '#control/store/database.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import type { KeptTwin } from './twin-cache.ts'
import { idColumns, reportedFromRow } from './twin-rows.ts'

interface ReportedRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
  readonly birth: string | null
  readonly reported: string | null
  readonly reported_marks: string | null
  readonly reported_version: number | null
}

/** What replaces the reported properties of one row, if they are still those of version `was`. */
export interface ReportedWrite {
  readonly id: IdentityId
  readonly birth: string
  readonly was: number
  readonly version: number
  readonly text: string
  readonly marks: string
  /** The patches that made it, as JSON, a line each: what listeners are told. */
  readonly patches: string
}

/** Reads them, by `identityText`, and makes the rows that are missing. Identities that are unknown are left out. */
export async function reportedTwins(queries: Queries, ids: readonly IdentityId[]): Promise<Map<string, KeptTwin>> {
  let rows = await selectReported(queries, ids)
  const rowless = rows.filter(({ birth }) => birth === null)
  if (rowless.length > 0) {
    // The lock leaves out identities that are being deleted.
    await queries.query(
      `INSERT INTO penstock.twins (device_id, module_id)
       SELECT i.device_id, i.module_id FROM penstock.identities i
       JOIN unnest($1::text[], $2::text[]) AS x (d, m) ON i.device_id = x.d AND i.module_id = x.m
       ORDER BY i.device_id, i.module_id FOR KEY SHARE OF i ON CONFLICT DO NOTHING`,
      [rowless.map(({ device_id }) => device_id), rowless.map(({ module_id }) => module_id)],
    )
    rows = await selectReported(queries, ids)
  }
  const found = new Map<string, KeptTwin>()
  for (const row of rows) {
    if (row.birth === null) continue
    const bytes = (row.reported?.length ?? 0) + (row.reported_marks?.length ?? 0)
    found.set(keyOf(row), { birth: row.birth, section: reportedFromRow(row), bytes })
  }
  return found
}

function selectReported(queries: Queries, ids: readonly IdentityId[]): Promise<ReportedRow[]> {
  return queries.query<ReportedRow>(
    `SELECT i.device_id, i.module_id, t.birth::text AS birth, t.reported::text AS reported, t.reported_marks,
       t.reported_version::float8 AS reported_version
     FROM unnest($1::text[], $2::text[]) AS x (d, m)
     JOIN penstock.identities i ON i.device_id = x.d AND i.module_id = x.m
     LEFT JOIN penstock.twins t ON t.device_id = i.device_id AND t.module_id = i.module_id`,
    idColumns(ids),
  )
}

/** `x`: what is written, by the parameters 1 to 7. */
const updateReported = `UPDATE penstock.twins t SET reported = x.r::jsonb, reported_marks = x.marks, reported_version = x.v,
    version = t.version + x.v - x.was`
const columns = 'd, m, r, marks, v, was, birth'
const lists =
  '$1::text[], $2::text[], $3::text[], $4::text[], $5::text[]::bigint[], $6::text[]::bigint[], $7::text[]::bigint[]'
const unchanged = 'WHERE t.device_id = x.d AND t.module_id = x.m AND t.reported_version = x.was AND t.birth = x.birth'

const writeStatement = `${updateReported} FROM unnest(${lists}) AS x (${columns}) ${unchanged} RETURNING t.device_id, t.module_id`

/** The events of a row get their number while the row is locked: those of one twin are in the order of its versions. */
const writeAndTellStatement = `WITH written AS (
    ${updateReported} FROM unnest(${lists}, $8::text[]) AS x (${columns}, patches) ${unchanged}
    RETURNING t.device_id, t.module_id, t.version, t.reported_version, x.patches
  ), told AS (
    INSERT INTO penstock.twin_events (device_id, module_id, kind, version, section_version, document, at_ms)
    SELECT device_id, module_id, 'reported', version, reported_version, patches, $9::text::bigint FROM written
  ) SELECT device_id, module_id FROM written`

/**
 * Compares and sets. Tags and desired properties are not touched: what is long in them is not written again.
 * @param writes in order of their ids, so that two processes wait for one another and not in a deadlock
 * @param toldAtMs when, as listeners are told of the changes in the same statement; `undefined`: they are not told
 * @returns those that were written, by `identityText`; the others were changed by another process
 */
export async function writeReported(
  queries: Queries,
  writes: readonly ReportedWrite[],
  toldAtMs?: number,
): Promise<Set<string>> {
  const parameters = [
    ...idColumns(writes.map(({ id }) => id)),
    writes.map(({ text }) => text),
    writes.map(({ marks }) => marks),
    writes.map(({ version }) => String(version)),
    writes.map(({ was }) => String(was)),
    writes.map(({ birth }) => birth),
  ]
  const rows = await (toldAtMs === undefined
    ? queries.query<WrittenRow>(writeStatement, parameters)
    : queries.query<WrittenRow>(writeAndTellStatement, [
        ...parameters,
        writes.map(({ patches }) => patches),
        String(toldAtMs),
      ]))
  return new Set(rows.map(keyOf))
}

interface WrittenRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
}

function keyOf({ device_id, module_id }: { readonly device_id: string; readonly module_id: string }): string {
  return identityText({ deviceId: device_id, moduleId: module_id === '' ? undefined : module_id })
}
