import type { Database, Queries } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { addDevices, pendingDevices, settleDevices, takeDevices } from './device-rows.ts'
import { cancelJobRow, expectPlace, forgetJob, insertJob, jobCounts, jobRow, jobRows } from './job-rows.ts'
import {
  type DevicePage,
  type DeviceResult,
  deviceJobTypes,
  type Job,
  type JobFilter,
  type JobLease,
  type JobStatus,
  type Jobs,
  type JobWork,
  type LeasedJob,
  type NewJob,
} from './jobs.ts'
import { changeLeased, claimJob, failRunning, lockLeased, releaseLease, renewLease } from './lease-rows.ts'

/** Jobs over the control store, which belongs to the caller. */
export class SqlJobs implements Jobs, JobWork {
  readonly #database: Database
  readonly #leaseMs: number

  constructor(database: Database, leaseMs: number = limits.jobLeaseMs) {
    this.#database = database
    this.#leaseMs = leaseMs
  }

  async create(job: NewJob): Promise<Job> {
    await expectPlace(this.#database)
    const made = await insertJob(this.#database, job)
    if (made === undefined) throw new PenstockError('JOB_EXISTS', `there is a job ${job.id} already`)
    return made
  }

  get(id: string): Promise<Job> {
    return jobRow(this.#database, id)
  }

  async cancel(id: string): Promise<Job> {
    await cancelJobRow(this.#database, id, deviceJobTypes)
    return jobRow(this.#database, id)
  }

  list(filter: JobFilter, countMax: number): Promise<Job[]> {
    return jobRows(this.#database, filter, countMax)
  }

  claim(): Promise<LeasedJob | undefined> {
    return claimJob(this.#database, this.#leaseMs)
  }

  renew(lease: JobLease): Promise<void> {
    return renewLease(this.#database, lease, this.#leaseMs)
  }

  addDevices(lease: JobLease, page: DevicePage): Promise<void> {
    return this.#database.transaction((queries) => addDevices(queries, lease, page))
  }

  pending(lease: JobLease, after: string, countMax: number): Promise<string[]> {
    return pendingDevices(this.#database, lease, after, countMax)
  }

  take(lease: JobLease, after: string, countMax: number): Promise<string[]> {
    return takeDevices(this.#database, lease, after, countMax)
  }

  settleTaken(lease: JobLease, results: readonly DeviceResult[]): Promise<void> {
    return this.#database.transaction((queries) => settleDevices(queries, lease, 'running', results))
  }

  settlePending(queries: Queries, lease: JobLease, results: readonly DeviceResult[]): Promise<void> {
    return settleDevices(queries, lease, 'pending', results)
  }

  finish(lease: JobLease): Promise<boolean> {
    return this.#database.transaction(async (queries) => {
      await lockLeased(queries, lease)
      await failRunning(queries, lease.jobId)
      const ended = await queries.query(
        `UPDATE penstock.jobs SET status = CASE WHEN ended_at IS NULL THEN 'completed' ELSE status END,
           ended_at = coalesce(ended_at, now()), lease = NULL, leased_until = NULL
         WHERE id = $1 AND (ended_at IS NOT NULL OR is_whole AND pending = 0) RETURNING 1`,
        [lease.jobId],
      )
      return ended.length > 0
    })
  }

  fail(lease: JobLease, reason: string): Promise<void> {
    return changeLeased(
      this.#database,
      lease,
      `status = 'failed', ended_at = now(), failure = $3`,
      'ended_at IS NULL',
      // It may be what a container said, and the store takes no zero character.
      [reason.replaceAll('\0', '')],
    )
  }

  release(lease: JobLease): Promise<void> {
    return releaseLease(this.#database, lease)
  }

  sweep(): Promise<boolean> {
    return this.#database.transaction((queries) => forgetJob(queries))
  }

  count(): Promise<ReadonlyMap<JobStatus, number>> {
    return jobCounts(this.#database)
  }
}
