import type { AuditEntry, AuditKind } from '#control/rest/audited.ts'
import type { Database, SqlRow, SqlValue } from '#control/store/database.ts'
import { limits } from '#schemas/limits.ts'
import type { AuditFilter, AuditRow, AuditTrail } from './audit.ts'

interface Row extends SqlRow {
  readonly id: number
  readonly at_ms: number
  readonly kind: AuditKind
  readonly method: string
  readonly path: string
  readonly policy: string | null
  readonly client: string
  readonly status: number
  readonly fault: string | null
  readonly warning: string | null
  readonly count: number
}

/** The audit in the control store, which belongs to the caller: a row for each entry. */
export class SqlAudit implements AuditTrail {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async write(entries: readonly AuditEntry[]): Promise<void> {
    const rows = entries.map(({ atMs, from, ...entry }) => ({ ...entry, at_ms: atMs, client: from }))
    await this.#database.query(
      `INSERT INTO penstock.audit (at, kind, method, path, policy, client, status, fault, warning, count)
       SELECT to_timestamp(at_ms / 1000.0), kind, method, path, policy, client, status, fault, warning, count
       FROM jsonb_to_recordset($1::text::jsonb) AS r
         (at_ms bigint, kind text, method text, path text, policy text, client text, status smallint, fault text, warning text, count integer)`,
      // A text of PostgreSQL holds every character but this one.
      [JSON.stringify(rows).replaceAll('\\u0000', '\\ufffd')],
    )
  }

  async list(filter: AuditFilter, countMax: number): Promise<readonly AuditRow[]> {
    const parameters: SqlValue[] = [countMax]
    const conditions = conditionsOf(filter).map(([sql, value]) => {
      parameters.push(value)
      return sql.replace('$', `$${parameters.length}`)
    })
    const rows = await this.#database.query<Row>(
      `SELECT id::float8 AS id, (extract(epoch FROM at) * 1000)::float8 AS at_ms, kind, method, path, policy, client, status, fault, warning, count
       FROM penstock.audit ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`} ORDER BY id DESC LIMIT $1`,
      parameters,
    )
    return rows.map(({ id, at_ms, kind, method, path, policy, client, status, fault, warning, count }) => ({
      ...{ id, kind, method, path, status, count },
      atMs: Math.round(at_ms),
      from: client,
      policy: policy ?? undefined,
      fault: fault ?? undefined,
      warning: warning ?? undefined,
    }))
  }

  async forget(beforeMs: number): Promise<number> {
    const [row] = await this.#database.query<{ count: number }>(
      `WITH gone AS (
         DELETE FROM penstock.audit
         WHERE at < $1 OR id <= (SELECT coalesce(max(id), 0) FROM penstock.audit) - $2::bigint RETURNING 1
       ) SELECT count(*)::int AS count FROM gone`,
      [new Date(beforeMs), limits.auditRowsMax],
    )
    return row?.count ?? 0
  }
}

/** Each with `$` where its value goes. */
function conditionsOf(filter: AuditFilter): (readonly [sql: string, value: SqlValue])[] {
  const { kind, policy, from, pathPart, sinceMs, untilMs, before } = filter
  const all: (readonly [sql: string, value: SqlValue | undefined])[] = [
    ['kind = $', kind],
    ['policy = $', policy],
    ['client = $', from],
    ['strpos(lower(path), lower($)) > 0', pathPart],
    ['at >= $', sinceMs === undefined ? undefined : new Date(sinceMs)],
    ['at < $', untilMs === undefined ? undefined : new Date(untilMs)],
    ['id < $::bigint', before],
  ]
  return all.flatMap(([sql, value]) => (value === undefined ? [] : [[sql, value] as const]))
}
