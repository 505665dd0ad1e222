/** In each process that serves the control store: jobs that are due are claimed and run, those that ended long ago are forgotten, and all are counted. */
import { repeating } from '#runtime/repeating.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { JobTools } from './job-run.ts'
import { jobStatuses, type LeasedJob } from './jobs.ts'
import { runJob } from './run-job.ts'

/**
 * @param onActive called regularly while there are jobs that have not ended
 * @returns ends it; resolves when nothing is under way. Jobs that were run here are left to another process
 */
export function runJobs(tools: JobTools, onActive: () => void = () => {}): () => Promise<void> {
  const { work, metrics, clock, logger } = tools
  const runs = new Map<LeasedJob, Promise<void>>()
  let lookedAtMs = clock.monotonicMs()
  const endLooking = repeating(clock, async (signal) => {
    try {
      if (clock.monotonicMs() - lookedAtMs > limits.jobLeaseMs / 3) await renewAll()
      await claimAll(signal)
      lookedAtMs = clock.monotonicMs()
    } catch (error) {
      logger.warn('jobs that are due were not looked for; trying again', { error })
    }
    return limits.jobLookMs
  })
  // Apart from it: forgetting a job of a million devices takes minutes, in which others are due.
  const endTidying = repeating(clock, async (signal) => {
    try {
      for (let isMore = true; isMore && !signal.aborted; isMore = await work.sweep()) await countAll()
    } catch (error) {
      logger.warn('jobs were neither counted nor forgotten; trying again', { error })
    }
    return limits.jobsCountedMs
  })
  return async () => {
    await Promise.all([endLooking(), endTidying()])
    await Promise.all(runs.values())
  }

  /** The store was away for so long that the leases may have lapsed: a job that goes on here is not to be taken for one that nobody runs. */
  async function renewAll(): Promise<void> {
    for (const job of runs.keys())
      await work.renew(job).catch((error: unknown) => {
        if (!isPenstockError(error, 'JOB_LEASE_LOST')) throw error
      })
  }

  async function claimAll(signal: AbortSignal): Promise<void> {
    for (let job = await work.claim(); job !== undefined && !signal.aborted; job = await work.claim()) {
      logger.info('a job goes on here', { job: job.jobId, type: job.type })
      const leased = job
      runs.set(
        leased,
        runJob(leased, tools, signal).finally(() => runs.delete(leased)),
      )
    }
  }

  async function countAll(): Promise<void> {
    const counts = await work.count()
    for (const status of jobStatuses) metrics.series('penstock_jobs_kept', { status }).set(counts.get(status) ?? 0)
    if (['scheduled', 'queued', 'running'].some((status) => counts.has(status as never))) onActive()
  }
}
