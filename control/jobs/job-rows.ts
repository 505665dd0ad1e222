/** Jobs as rows of the control store. */
import type { Queries, SqlRow } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { deviceJobTypes, type Job, type JobFilter, type JobStatus, type JobType, type NewJob } from './jobs.ts'

export interface JobRow extends SqlRow {
  readonly id: string
  readonly type: JobType
  readonly condition: string
  readonly content: string
  readonly shown_status: JobStatus
  readonly created_at: Date
  readonly start_at: Date
  readonly execution_seconds: number
  readonly ended_at: Date | null
  readonly failure: string | null
  readonly devices: number
  readonly pending: number
  readonly running: number
  readonly succeeded: number
  readonly failed: number
}

/** A job whose time has come waits for a place. */
const shownStatus = `CASE WHEN status = 'scheduled' AND start_at <= now() THEN 'queued' ELSE status END`

export const shownColumns = `*, ${shownStatus} AS shown_status`

/** `undefined`: there is one of this id. */
export async function insertJob(
  queries: Queries,
  job: Omit<NewJob, 'type'> & { readonly type: JobType },
): Promise<Job | undefined> {
  const [row] = await queries.query<JobRow>(
    `INSERT INTO penstock.jobs (id, type, condition, content, created_at, start_at, execution_seconds)
     VALUES ($1, $2, $3, $4, now(), coalesce($5::timestamptz, now()), $6) ON CONFLICT DO NOTHING RETURNING ${shownColumns}`,
    [
      job.id,
      job.type,
      job.condition,
      job.content,
      job.startAtMs === undefined ? null : new Date(job.startAtMs),
      job.executionSeconds,
    ],
  )
  return row && jobFromRow(row)
}

/**
 * Two at the same moment may both find the last place: the bound is one of cost, not of meaning.
 * @throws JOBS_FULL where as many as may have not ended
 */
export async function expectPlace(queries: Queries): Promise<void> {
  const [row] = await queries.query<{ count: number }>(
    'SELECT count(*)::integer AS count FROM penstock.jobs WHERE ended_at IS NULL',
  )
  if ((row?.count ?? 0) < limits.jobsActiveMax) return
  throw new PenstockError('JOBS_FULL', `${limits.jobsActiveMax} jobs wait or run, as many as may: cancel one, or wait`)
}

/** Of a job of devices. @throws JOB_UNKNOWN */
export async function jobRow(queries: Queries, id: string): Promise<Job> {
  const [row] = await queries.query<JobRow>(
    `SELECT ${shownColumns} FROM penstock.jobs WHERE id = $1 AND type = ANY($2::text[])`,
    [id, deviceJobTypes],
  )
  if (row === undefined) throw unknownJob(id)
  return jobFromRow(row)
}

/** Does nothing to one of another type, or that ended already. */
export async function cancelJobRow(queries: Queries, id: string, types: readonly JobType[]): Promise<void> {
  await queries.query(
    `UPDATE penstock.jobs SET status = 'cancelled', ended_at = now()
     WHERE id = $1 AND type = ANY($2::text[]) AND ended_at IS NULL`,
    [id, types],
  )
}

export function unknownJob(id: string): PenstockError {
  return new PenstockError('JOB_UNKNOWN', `there is no job ${id}`)
}

export async function jobRows(queries: Queries, filter: JobFilter, countMax: number): Promise<Job[]> {
  const rows = await queries.query<JobRow>(
    `SELECT ${shownColumns} FROM penstock.jobs
     WHERE id > $1 AND type = ANY($2::text[]) AND ($3::text IS NULL OR ${shownStatus} = $3) ORDER BY id LIMIT $4`,
    [filter.after, filter.type === undefined ? deviceJobTypes : [filter.type], filter.status ?? null, countMax],
  )
  return rows.map(jobFromRow)
}

export async function jobCounts(queries: Queries): Promise<ReadonlyMap<JobStatus, number>> {
  const rows = await queries.query<{ status: JobStatus; count: number }>(
    `SELECT ${shownStatus} AS status, count(*)::integer AS count FROM penstock.jobs GROUP BY 1`,
  )
  return new Map(rows.map(({ status, count }) => [status, count]))
}

/**
 * The job that is forgotten next: it ended too long ago, or is one of the oldest beyond what is kept, however many devices the newest has. Its
 * devices go first, so many at a time, by one process at a time: whoever finds few of them left while another deletes the others would leave
 * those for ever.
 * @returns whether there may be more
 */
export async function forgetJob(queries: Queries): Promise<boolean> {
  const [job] = await queries.query<{ id: string }>(
    `SELECT id FROM (
       SELECT id, ended_at, count(*) OVER newest AS jobs, sum(devices) OVER newest AS devices
       FROM penstock.jobs WHERE ended_at IS NOT NULL WINDOW newest AS (ORDER BY ended_at DESC, id)
     ) ended
     WHERE ended_at < now() - $1::float8 * interval '1 millisecond' OR jobs > $2 OR jobs > 1 AND devices > $3 ORDER BY ended_at LIMIT 1`,
    [limits.jobKeptMs, limits.jobsKeptMax, limits.jobDevicesKeptMax],
  )
  if (job === undefined) return false
  const locked = await queries.query('SELECT 1 FROM penstock.jobs WHERE id = $1 FOR UPDATE SKIP LOCKED', [job.id])
  if (locked.length === 0) return false
  // Up to the last of them, which an index knows. A list of them is compared with every device of the job, where nothing is known of the table.
  const [last] = await queries.query<{ device_id: string }>(
    'SELECT device_id FROM penstock.job_devices WHERE job_id = $1 ORDER BY device_id OFFSET $2 LIMIT 1',
    [job.id, limits.jobDevicesSweptAtOnceMax - 1],
  )
  const isRest = last === undefined
  await queries.query(
    `DELETE FROM penstock.job_devices WHERE job_id = $1 ${isRest ? '' : 'AND device_id <= $2'}`,
    isRest ? [job.id] : [job.id, last.device_id],
  )
  if (isRest) await queries.query('DELETE FROM penstock.jobs WHERE id = $1', [job.id])
  return true
}

export function jobFromRow(row: JobRow): Job {
  return {
    id: row.id,
    type: row.type,
    condition: row.condition,
    content: row.content,
    status: row.shown_status,
    createdAtMs: row.created_at.getTime(),
    startAtMs: row.start_at.getTime(),
    executionSeconds: row.execution_seconds,
    endedAtMs: row.ended_at?.getTime(),
    failure: row.failure ?? undefined,
    statistics: {
      devices: row.devices,
      pending: row.ended_at === null ? row.pending : 0,
      running: row.running,
      succeeded: row.succeeded,
      failed: row.failed,
    },
  }
}
