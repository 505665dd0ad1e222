/**
 * Devices of a job as rows of the control store. Each statement first locks the row of the job, whose counts it changes: so they come one after
 * the other, and none of them counts a device twice.
 */
import type { Queries } from '#control/store/database.ts'
import type { DevicePage, DeviceResult, JobLease } from './jobs.ts'
import { changeLeased, leaseLost } from './lease-rows.ts'

const leased = 'SELECT id FROM penstock.jobs WHERE id = $1 AND lease = $2'

export async function addDevices(
  queries: Queries,
  lease: JobLease,
  { after, deviceIds, isLast }: DevicePage,
): Promise<void> {
  await changeLeased(
    queries,
    lease,
    'devices = devices + $3::integer, pending = pending + $3::integer, reached = $4, is_whole = $5',
    'ended_at IS NULL AND NOT is_whole AND reached = $6',
    [deviceIds.length, deviceIds.at(-1) ?? after, isLast, after],
  )
  await queries.query(
    `INSERT INTO penstock.job_devices (job_id, device_id, status, created_at, updated_at)
     SELECT $1, device_id, 'pending', now(), now() FROM unnest($2::text[]) AS device_id`,
    [lease.jobId, deviceIds],
  )
}

export async function pendingDevices(
  queries: Queries,
  { jobId, token }: JobLease,
  after: string,
  countMax: number,
): Promise<string[]> {
  const rows = await queries.query<{ device_id: string }>(
    `SELECT device_id FROM penstock.job_devices
     WHERE job_id = (${leased} AND ended_at IS NULL) AND status = 'pending' AND device_id > $3 ORDER BY device_id LIMIT $4`,
    [jobId, token, after, countMax],
  )
  return rows.map(({ device_id }) => device_id)
}

export async function takeDevices(
  queries: Queries,
  { jobId, token }: JobLease,
  after: string,
  countMax: number,
): Promise<string[]> {
  const rows = await queries.query<{ device_id: string }>(
    `WITH job AS (${leased} AND ended_at IS NULL FOR UPDATE), chosen AS (
       SELECT device_id FROM penstock.job_devices
       WHERE job_id = (SELECT id FROM job) AND status = 'pending' AND device_id > $3 ORDER BY device_id LIMIT $4
     ), taken AS (
       UPDATE penstock.job_devices d SET status = 'running', started_at = now(), updated_at = now() FROM chosen c
       WHERE d.job_id = $1 AND d.device_id = c.device_id AND d.status = 'pending' RETURNING d.device_id
     ), counted AS (
       UPDATE penstock.jobs SET pending = pending - count, running = running + count
       FROM (SELECT count(*)::integer AS count FROM taken) t WHERE id = $1 AND count > 0
     )
     SELECT device_id FROM taken ORDER BY device_id`,
    [jobId, token, after, countMax],
  )
  return rows.map(({ device_id }) => device_id)
}

/**
 * @param from what they must be, under this lease
 * @throws JOB_LEASE_LOST where one of them is not
 */
export async function settleDevices(
  queries: Queries,
  { jobId, token }: JobLease,
  from: 'pending' | 'running',
  results: readonly DeviceResult[],
): Promise<void> {
  const [row] = await queries.query<{ count: number }>(
    `WITH job AS (${leased} ${from === 'pending' ? 'AND ended_at IS NULL' : ''} FOR UPDATE), settled AS (
       UPDATE penstock.job_devices d SET status = g.status, started_at = coalesce(d.started_at, now()), updated_at = now(),
         ended_at = CASE WHEN g.status <> 'pending' THEN now() END, method_status = g.method_status, method_payload = g.method_payload,
         error_code = g.error_code, error_text = g.error_text
       FROM unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[])
         AS g (device_id, status, method_status, method_payload, error_code, error_text)
       WHERE d.job_id = (SELECT id FROM job) AND d.device_id = g.device_id AND d.status = $9 RETURNING d.status
     ), counted AS (
       UPDATE penstock.jobs SET ${from} = ${from} - count, succeeded = jobs.succeeded + s.succeeded, failed = jobs.failed + s.failed
         ${from === 'running' ? ', pending = pending + s.released' : ''}
       FROM (
         SELECT count(*)::integer AS count, count(*) FILTER (WHERE status = 'completed')::integer AS succeeded,
           count(*) FILTER (WHERE status = 'failed')::integer AS failed, count(*) FILTER (WHERE status = 'pending')::integer AS released
         FROM settled
       ) s WHERE id = $1 AND count > 0
     )
     SELECT count(*)::integer AS count FROM settled`,
    [
      jobId,
      token,
      results.map(({ deviceId }) => deviceId),
      results.map(({ status }) => status),
      results.map(({ response }) => response?.status ?? null),
      results.map(({ response }) => response?.payload ?? null),
      results.map(({ error }) => error?.code ?? null),
      results.map(({ error }) => error?.description ?? null),
      from,
    ],
  )
  if (row?.count !== results.length) throw leaseLost(jobId)
}
