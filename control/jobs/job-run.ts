import type { Methods } from '#control/methods/methods.ts'
import type { Twins } from '#control/twins/twins.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { Pace } from '#runtime/pace.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { DeviceResult, JobWork, LeasedJob } from './jobs.ts'

/** What a process needs to run jobs. */
export interface JobTools {
  readonly work: JobWork
  readonly twins: Pick<Twins, 'updateAll'>
  readonly methods: Methods
  /** Ids behind `after` of devices that a condition picks. @throws REGISTRY_QUERY_INVALID */
  readonly devicesWhere: (condition: string, after: string, countMax: number) => Promise<string[]>
  /** Carries identities in or out, until all are, or the job is over. */
  readonly transfer: (run: JobRun) => Promise<void>
  readonly pace: Pace
  readonly metrics: Metrics<MetricName>
  readonly clock: Clock
  readonly logger: Logger
}

/** A job that this process runs. */
export interface JobRun {
  readonly job: LeasedJob
  readonly tools: JobTools
  /** Nothing of it is begun any more. */
  readonly over: AbortSignal
  /** The process ends. */
  readonly stop: AbortSignal
  /** Tries until the store answers. */
  patiently<T>(attempt: () => Promise<T>): Promise<T>
  count(results: readonly DeviceResult[]): void
}
