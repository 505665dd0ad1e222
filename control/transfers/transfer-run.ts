import type { Identities, UpdateTwins } from '#control/identities/identities.ts'
import type { JobRun } from '#control/jobs/job-run.ts'
import type { TwinQueries } from '#control/query/query.ts'
import type {
  ContainerAddress,
  TransferContainer,
  TransferContainers,
  TransferState,
  TransferWork,
} from './transfers.ts'

/** What a process needs to run transfers, beside what it needs for jobs. */
export interface TransferTools {
  readonly work: TransferWork
  readonly identities: Pick<Identities, 'bulk'>
  readonly updateTwins: UpdateTwins
  readonly queries: Pick<TwinQueries, 'query'>
  readonly containers: TransferContainers
}

/** An attempt at what is left of a transfer. It ends with the first fault of the store; the next attempt begins where the store says. */
export interface TransferAttempt {
  readonly run: JobRun
  readonly tools: TransferTools
  readonly state: TransferState
  /** Under which it puts blocks. No other attempt has this name, at any process. */
  readonly writer: string
  /** Opens a container, which is closed with the attempt. */
  container(address: ContainerAddress): TransferContainer
  /** Asks a container until it answers, for some minutes. @throws JOB_INVALID with what it said */
  asking<T>(ask: () => Promise<T>): Promise<T>
}
