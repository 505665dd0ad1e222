/** How commands ended, for their senders, as rows of the control store. */
import type { Database, SqlRow } from '#control/store/database.ts'
import type { CommandEnd } from '#schemas/commands.ts'
import { limits } from '#schemas/limits.ts'
import { idFromRow } from './command-rows.ts'
import type { FeedbackBatch } from './commands.ts'

interface FeedbackRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
  readonly message_id: string
  readonly generation_id: string
  readonly status: CommandEnd
  readonly at: Date
  readonly seq: number
  readonly lock_token: string
}

/** Of receivers that ask at the same time each gets others. */
export async function takeFeedback(
  database: Pick<Database, 'query'>,
  countMax: number,
  lifeMs: number,
): Promise<FeedbackBatch | undefined> {
  const rows = await database.query<FeedbackRow>(
    `WITH batch AS (SELECT gen_random_uuid() AS token), chosen AS (
       SELECT seq FROM penstock.feedback
       WHERE (locked_until IS NULL OR locked_until <= now()) AND at > now() - $2::float8 * interval '1 millisecond'
       ORDER BY seq LIMIT $1::integer FOR UPDATE SKIP LOCKED
     )
     UPDATE penstock.feedback f SET lock_token = b.token, locked_until = now() + ${limits.feedbackLockMs} * interval '1 millisecond',
       deliveries = f.deliveries + 1
     FROM batch b, chosen c WHERE f.seq = c.seq
     RETURNING f.device_id, f.module_id, f.message_id, f.generation_id, f.status, f.at, f.seq::float8 AS seq, f.lock_token::text AS lock_token`,
    [countMax, lifeMs],
  )
  const [first] = rows
  if (first === undefined) return undefined
  const records = rows
    .toSorted((one, other) => one.seq - other.seq)
    .map((row) => ({
      ...idFromRow(row),
      messageId: row.message_id,
      generationId: row.generation_id,
      status: row.status,
      atMs: row.at.getTime(),
    }))
  return { lockToken: first.lock_token, records }
}

/** @returns false if the lock is over */
export async function settleFeedback(
  database: Pick<Database, 'query'>,
  lockToken: string,
  kind: 'complete' | 'abandon',
): Promise<boolean> {
  const held = 'lock_token = $1::uuid AND locked_until > now()'
  const statement =
    kind === 'complete'
      ? `DELETE FROM penstock.feedback WHERE ${held}`
      : `UPDATE penstock.feedback SET lock_token = NULL, locked_until = NULL WHERE ${held}`
  return (await database.query(`${statement} RETURNING 1 AS one`, [lockToken])).length > 0
}

/** Of the oldest records what is too old, was given back too often, or is more than is kept. @returns how many */
export async function forgetFeedback(
  database: Pick<Database, 'query'>,
  lifeMs: number,
  countMax: number,
): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `WITH gone AS (
       DELETE FROM penstock.feedback
       WHERE seq IN (SELECT seq FROM penstock.feedback ORDER BY seq LIMIT $4::integer) AND (
         at <= now() - $1::float8 * interval '1 millisecond' OR seq <= (SELECT max(seq) FROM penstock.feedback) - $3::bigint
         OR (deliveries >= $2::integer AND (locked_until IS NULL OR locked_until <= now())))
       RETURNING 1
     )
     SELECT count(*)::integer AS count FROM gone`,
    [lifeMs, limits.feedbackDeliveriesMax, limits.feedbackKeptMax, countMax],
  )
  return row?.count ?? 0
}
