/** In each process that serves the control store: jobs that are due are claimed and run, those that ended long ago are forgotten, and all are counted. */
import { sleep } from '#runtime/clock.ts'
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
  const closed = new AbortController()
  const { signal } = closed
  const runs = new Map<LeasedJob, Promise<void>>()
  const looking = look()
  return async () => {
    closed.abort()
    await looking
    await Promise.all(runs.values())
  }

  async function look(): Promise<void> {
    let countAtMs = 0
    let lookedAtMs = clock.monotonicMs()
    while (!signal.aborted) {
      try {
        if (clock.monotonicMs() - lookedAtMs > limits.jobLeaseMs / 3) await renewAll()
        await claimAll()
        lookedAtMs = clock.monotonicMs()
        if (clock.monotonicMs() >= countAtMs) {
          await tidy()
          countAtMs = clock.monotonicMs() + limits.jobsCountedMs
        }
      } catch (error) {
        logger.warn('jobs that are due were not looked for; trying again', { error })
      }
      await sleep(clock, limits.jobLookMs, signal)
    }
  }

  /** The store was away for so long that the leases may have lapsed: a job that goes on here is not to be taken for one that nobody runs. */
  async function renewAll(): Promise<void> {
    for (const job of runs.keys())
      await work.renew(job).catch((error: unknown) => {
        if (!isPenstockError(error, 'JOB_LEASE_LOST')) throw error
      })
  }

  async function claimAll(): Promise<void> {
    for (let job = await work.claim(); job !== undefined && !signal.aborted; job = await work.claim()) {
      logger.info('a job goes on here', { job: job.jobId, type: job.type })
      const leased = job
      runs.set(
        leased,
        runJob(leased, tools, signal).finally(() => runs.delete(leased)),
      )
    }
  }

  async function tidy(): Promise<void> {
    while (!signal.aborted && (await work.sweep()));
    const counts = await work.count()
    for (const status of jobStatuses) metrics.series('penstock_jobs_kept', { status }).set(counts.get(status) ?? 0)
    if (['scheduled', 'queued', 'running'].some((status) => counts.has(status as never))) onActive()
  }
}
