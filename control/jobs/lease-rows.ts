/** The lease on a job, as its row has it. Time is the store's own: processes of several machines agree on it. */
import { randomUUID } from 'node:crypto'
import type { Database, Queries } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type JobLease, type JobType, type LeasedJob, transferTypes } from './jobs.ts'

/** Any number, the same in every process: the key of the advisory lock under which one process at a time looks for a place. */
const claimLock = 7_403_118

const isFree = '(leased_until IS NULL OR leased_until <= now())'

const transfers = `(${transferTypes.map((type) => `'${type}'`).join(', ')})`

const isDue = `${isFree} AND (ended_at IS NULL AND start_at <= now() OR running > 0) AND (
  type NOT IN ${transfers} OR NOT EXISTS (SELECT FROM penstock.jobs o WHERE o.type IN ${transfers} AND o.leased_until > now())
)`

interface LeasedRow {
  readonly id: string
  readonly type: JobType
  readonly condition: string
  readonly content: string
  readonly reached: string
  readonly is_whole: boolean
  readonly has_ended: boolean
  readonly left_ms: number
  readonly [column: string]: unknown
}

export async function claimJob(database: Database, leaseMs: number): Promise<LeasedJob | undefined> {
  // Most of the time none is, which costs no transaction and no lock.
  const due = await database.query(`SELECT 1 FROM penstock.jobs WHERE ${isDue} LIMIT 1`)
  if (due.length === 0) return undefined
  return database.transaction(async (queries) => {
    await queries.query('SELECT pg_advisory_xact_lock($1)', [claimLock])
    const token = randomUUID()
    const [row] = await queries.query<LeasedRow>(
      `UPDATE penstock.jobs SET status = CASE WHEN ended_at IS NULL THEN 'running' ELSE status END, lease = $1,
         leased_until = now() + $2::float8 * interval '1 millisecond', begun_at = coalesce(begun_at, now())
       WHERE id = (
         SELECT id FROM penstock.jobs WHERE ${isDue}
         ORDER BY begun_at NULLS LAST, start_at, id LIMIT 1 FOR UPDATE
       ) AND (SELECT count(*) FROM penstock.jobs WHERE NOT ${isFree}) < $3
       RETURNING id, type, condition, content, reached, is_whole, ended_at IS NOT NULL AS has_ended,
         extract(epoch FROM begun_at + execution_seconds * interval '1 second' - now())::float8 * 1000 AS left_ms`,
      [token, leaseMs, limits.jobsAtOnceMax],
    )
    if (row === undefined) return undefined
    await failRunning(queries, row.id)
    return {
      jobId: row.id,
      token,
      type: row.type,
      condition: row.condition,
      content: row.content,
      reached: row.reached,
      isWhole: row.is_whole,
      hasEnded: row.has_ended,
      leftMs: Math.max(0, row.left_ms),
    }
  })
}

/** Devices whose method was called, or was about to be, by a process that does not wait for it any more. */
export async function failRunning(queries: Queries, jobId: string): Promise<void> {
  await queries.query(
    `WITH lost AS (
       UPDATE penstock.job_devices SET status = 'failed', ended_at = now(), updated_at = now(), error_code = 'Unknown', error_text = $2
       WHERE job_id = $1 AND status = 'running' RETURNING 1
     )
     UPDATE penstock.jobs SET running = 0, failed = failed + (SELECT count(*)::integer FROM lost) WHERE id = $1 AND running > 0`,
    [jobId, 'the process that called the device ended before it knew the answer; the device may have been called'],
  )
}

export async function renewLease(queries: Queries, lease: JobLease, leaseMs: number): Promise<void> {
  const until = `now() + $3::float8 * interval '1 millisecond'`
  await changeLeased(queries, lease, `leased_until = ${until}`, 'true', [leaseMs])
}

export async function releaseLease(queries: Queries, { jobId, token }: JobLease): Promise<void> {
  await queries.query('UPDATE penstock.jobs SET lease = NULL, leased_until = NULL WHERE id = $1 AND lease = $2', [
    jobId,
    token,
  ])
}

/** Locks the job until the transaction ends. @throws JOB_LEASE_LOST */
export async function lockLeased(queries: Queries, { jobId, token }: JobLease): Promise<void> {
  const held = await queries.query('SELECT 1 FROM penstock.jobs WHERE id = $1 AND lease = $2 FOR UPDATE', [
    jobId,
    token,
  ])
  if (held.length === 0) throw leaseLost(jobId)
}

/** @param changes SQL of our own @throws JOB_LEASE_LOST where `condition` does not hold of the job, or the lease is another's */
export async function changeLeased(
  queries: Queries,
  { jobId, token }: JobLease,
  changes: string,
  condition: string,
  parameters: readonly (string | number | boolean)[] = [],
): Promise<void> {
  const changed = await queries.query(
    `UPDATE penstock.jobs SET ${changes} WHERE id = $1 AND lease = $2 AND ${condition} RETURNING 1`,
    [jobId, token, ...parameters],
  )
  if (changed.length === 0) throw leaseLost(jobId)
}

export function leaseLost(jobId: string): PenstockError {
  return new PenstockError('JOB_LEASE_LOST', `job ${jobId} has ended, or another process runs it`)
}
