/**
 * Records that wait in a table for a receiver, who has them locked until they are settled, or for `limits.feedbackLockMs`:
 *
 *   waiting ── take ──▶ locked ── complete ──▶ gone
 *      ▲                  │
 *      └─ abandon, or the lock is over; after `limits.feedbackDeliveriesMax` times, or too old: gone
 *
 * The table has, besides its own columns: seq, at, lock_token, locked_until, deliveries, told. A record is told once to whoever in this
 * process makes rows for analysts of it: a moment after it was made, or when it goes.
 */
import { limits } from '#schemas/limits.ts'
import type { Database, SqlRow } from './database.ts'
import { isLockToken } from './lock-token.ts'

type Queries = Pick<Database, 'query'>

/** A table of records. Both are constants of this program. */
export interface RecordTable {
  /** With its schema. */
  readonly name: string
  /** Its own columns, and how they are selected. */
  readonly columns: string
}

export interface LockedRows<Row> {
  readonly lockToken: string
  /** The oldest first. */
  readonly rows: readonly Row[]
}

/** Of receivers that ask at the same time each gets others. @returns `undefined`: there are none */
export async function takeRecords<Row extends SqlRow>(
  database: Queries,
  { name, columns }: RecordTable,
  countMax: number,
  lifeMs: number,
): Promise<LockedRows<Row> | undefined> {
  const rows = await database.query<Row & { seq: number; lock_token: string }>(
    `WITH batch AS (SELECT gen_random_uuid() AS token), chosen AS (
       SELECT seq FROM ${name}
       WHERE (locked_until IS NULL OR locked_until <= now()) AND at > now() - $2::float8 * interval '1 millisecond'
       ORDER BY seq LIMIT $1::integer FOR UPDATE SKIP LOCKED
     )
     UPDATE ${name} r SET lock_token = b.token, locked_until = now() + ${limits.feedbackLockMs} * interval '1 millisecond',
       deliveries = r.deliveries + 1
     FROM batch b, chosen c WHERE r.seq = c.seq
     RETURNING ${columns}, r.seq::float8 AS seq, r.lock_token::text AS lock_token`,
    [countMax, lifeMs],
  )
  const [first] = rows
  if (first === undefined) return undefined
  return { lockToken: first.lock_token, rows: rows.toSorted((one, other) => one.seq - other.seq) }
}

/** @returns those that are gone and were not told of before; `undefined`: the lock is over */
export async function settleRecords<Row extends SqlRow>(
  database: Queries,
  { name, columns }: RecordTable,
  lockToken: string,
  kind: 'complete' | 'abandon',
): Promise<readonly Row[] | undefined> {
  if (!isLockToken(lockToken)) return undefined
  const held = 'r.lock_token = $1::uuid AND r.locked_until > now()'
  const statement =
    kind === 'complete'
      ? `DELETE FROM ${name} r WHERE ${held}`
      : `UPDATE ${name} r SET lock_token = NULL, locked_until = NULL WHERE ${held}`
  const rows = await database.query<Row & { told: boolean }>(`${statement} RETURNING ${columns}, r.told`, [lockToken])
  if (rows.length === 0) return undefined
  return kind === 'complete' ? rows.filter(({ told }) => !told) : []
}

/** @returns the oldest that were not told of, which count as told from now on; none is given to two processes */
export async function recordsToTell<Row extends SqlRow>(
  database: Queries,
  { name, columns }: RecordTable,
  countMax: number,
): Promise<readonly Row[]> {
  const rows = await database.query<Row & { seq: number }>(
    `WITH chosen AS (SELECT seq FROM ${name} WHERE NOT told ORDER BY seq LIMIT $1::integer FOR UPDATE SKIP LOCKED)
     UPDATE ${name} r SET told = true FROM chosen c WHERE r.seq = c.seq RETURNING ${columns}, r.seq::float8 AS seq`,
    [countMax],
  )
  return rows.toSorted((one, other) => one.seq - other.seq)
}

/**
 * Of the oldest records what is too old, was given back too often, or is more than is kept.
 * @param toldOnly what was not told of stays
 * @returns how many
 */
export async function forgetRecords(
  database: Queries,
  { name }: RecordTable,
  { lifeMs, countMax, toldOnly }: { lifeMs: number; countMax: number; toldOnly: boolean },
): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `WITH gone AS (
       DELETE FROM ${name}
       WHERE seq IN (SELECT seq FROM ${name} ORDER BY seq LIMIT $4::integer) AND (told OR NOT $5::boolean) AND (
         at <= now() - $1::float8 * interval '1 millisecond' OR seq <= (SELECT max(seq) FROM ${name}) - $3::bigint
         OR (deliveries >= $2::integer AND (locked_until IS NULL OR locked_until <= now())))
       RETURNING 1
     )
     SELECT count(*)::integer AS count FROM gone`,
    [lifeMs, limits.feedbackDeliveriesMax, limits.feedbackKeptMax, countMax, toldOnly],
  )
  return row?.count ?? 0
}
