/**
 * The port of jobs: one twin update, or one direct method, for each device that a condition picks once the job starts. (Transfers of all
 * identities are jobs too, with rows of their own instead of devices: `transfers/transfers.ts`.)
 *
 *   job      scheduled ── its time ──▶ queued ── a place ──▶ running ── all devices ended ──▶ completed
 *                └──────────────────────┴─────────────────────┴─▶ cancelled   └── time is over ──▶ failed
 *   device   pending ── a method is about to be called ──▶ running ─▶ completed, failed
 *               └── a twin is written ──▶ completed, failed     └── whoever called it is gone ──▶ failed: it may have been called
 *
 * Whoever runs a job holds a lease on it, and names the lease in all that it does; of two that believe they run it, the store lets one.
 * Devices that are pending when their job ends are told as canceled. Faults of all calls: STORE_UNAVAILABLE (retry).
 */
import type { Queries } from '#control/store/database.ts'

export const deviceJobTypes = ['scheduleUpdateTwin', 'scheduleDeviceMethod'] as const

/** Of all identities at once. One of these runs at a time. */
export const transferTypes = ['export', 'import'] as const

export type DeviceJobType = (typeof deviceJobTypes)[number]

export type TransferType = (typeof transferTypes)[number]

export type JobType = DeviceJobType | TransferType

export const jobStatuses = ['scheduled', 'queued', 'running', 'completed', 'failed', 'cancelled'] as const

export type JobStatus = (typeof jobStatuses)[number]

export interface NewJob {
  readonly id: string
  readonly type: DeviceJobType
  /** What stands behind WHERE in a query of devices, or `*`. */
  readonly condition: string
  /** JSON: the `updateTwin` or the `cloudToDeviceMethod` that was sent. */
  readonly content: string
  /** `undefined`: at once. */
  readonly startAtMs: number | undefined
  readonly executionSeconds: number
}

export interface Job extends Omit<NewJob, 'type'> {
  readonly type: JobType
  readonly startAtMs: number
  readonly status: JobStatus
  readonly createdAtMs: number
  readonly endedAtMs: number | undefined
  /** Why it failed. */
  readonly failure: string | undefined
  readonly statistics: JobStatistics
}

/** Devices, by how far they are. */
export interface JobStatistics {
  readonly devices: number
  readonly pending: number
  readonly running: number
  readonly succeeded: number
  readonly failed: number
}

export interface JobFilter {
  readonly type: DeviceJobType | undefined
  readonly status: JobStatus | undefined
  /** Jobs behind this id. */
  readonly after: string
}

/** What services do with jobs of devices. */
export interface Jobs {
  /** @throws JOB_EXISTS, JOBS_FULL */
  create(job: NewJob): Promise<Job>
  /** @throws JOB_UNKNOWN */
  get(id: string): Promise<Job>
  /** Devices that were not begun are left out; one that ended already stays as it is. @throws JOB_UNKNOWN */
  cancel(id: string): Promise<Job>
  /** By id. */
  list(filter: JobFilter, countMax: number): Promise<Job[]>
}

export interface JobLease {
  readonly jobId: string
  readonly token: string
}

export interface LeasedJob extends JobLease, Pick<Job, 'type' | 'condition' | 'content'> {
  /** The last device that was added; empty: none. */
  readonly reached: string
  /** All devices were added. */
  readonly isWhole: boolean
  /** It ended, and left devices of which nobody knows: there is nothing to do but to finish it. */
  readonly hasEnded: boolean
  /** Until its time is over. */
  readonly leftMs: number
}

/** Some of the devices of a job. */
export interface DevicePage {
  /** The last one of the page before; empty: this is the first. */
  readonly after: string
  /** In order. */
  readonly deviceIds: readonly string[]
  readonly isLast: boolean
}

/** What became of one device. */
export interface DeviceResult {
  readonly deviceId: string
  /** `pending`: nothing was done, and it may be done again. */
  readonly status: 'completed' | 'failed' | 'pending'
  readonly response?: MethodResponse
  readonly error?: DeviceError
}

export interface MethodResponse {
  readonly status: number
  /** JSON text; `undefined`: longer than is kept. */
  readonly payload: string | undefined
}

export interface DeviceError {
  readonly code: string
  readonly description: string
}

/** What whoever runs jobs does. Calls that name a lease throw JOB_LEASE_LOST once it is another's, or the job has ended. */
export interface JobWork {
  /** A job that is due and nobody's, if there is a place for one more. Devices that were running are failed from then on. */
  claim(): Promise<LeasedJob | undefined>
  /** Keeps the lease for `limits.jobLeaseMs` more, also of a job that has ended. */
  renew(lease: JobLease): Promise<void>
  addDevices(lease: JobLease, page: DevicePage): Promise<void>
  /** Those behind `after`, by id. */
  pending(lease: JobLease, after: string, countMax: number): Promise<string[]>
  /** Those behind `after`, by id, which are running from then on: nobody gets them a second time. */
  take(lease: JobLease, after: string, countMax: number): Promise<string[]>
  /** What became of devices that were taken, also of a job that has ended. */
  settleTaken(lease: JobLease, results: readonly DeviceResult[]): Promise<void>
  /** What became of pending devices, inside the transaction that did it. */
  settlePending(queries: Queries, lease: JobLease, results: readonly DeviceResult[]): Promise<void>
  /** Ends it once none of its devices is pending; those that are running are failed, since nobody waits for them. @returns false: some are pending */
  finish(lease: JobLease): Promise<boolean>
  /** Ends it before its devices are done. */
  fail(lease: JobLease, reason: string): Promise<void>
  /** Lets another process go on with it at once. */
  release(lease: JobLease): Promise<void>
  /** Forgets jobs that ended long ago, or beyond what is kept, some of their devices at a time. @returns whether there may be more */
  sweep(): Promise<boolean>
  count(): Promise<ReadonlyMap<JobStatus, number>>
}
