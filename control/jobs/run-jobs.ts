/** In each process that serves the control store: jobs that are due are claimed and run, those that ended long ago are forgotten, and all are counted. */
import { sleep } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'
import type { JobTools } from './job-run.ts'
import { jobStatuses } from './jobs.ts'
import { runJob } from './run-job.ts'

/**
 * @param onActive called regularly while there are jobs that have not ended
 * @returns ends it; resolves when nothing is under way. Jobs that were run here are left to another process
 */
export function runJobs(tools: JobTools, onActive: () => void = () => {}): () => Promise<void> {
  const { work, metrics, clock, logger } = tools
  const closed = new AbortController()
  const { signal } = closed
  const runs = new Set<Promise<void>>()
  const looking = look()
  return async () => {
    closed.abort()
    await looking
    await Promise.all(runs)
  }

  async function look(): Promise<void> {
    let countAtMs = 0
    while (!signal.aborted) {
      try {
        await claimAll()
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

  async function claimAll(): Promise<void> {
    for (let job = await work.claim(); job !== undefined && !signal.aborted; job = await work.claim()) {
      logger.info('a job goes on here', { job: job.jobId, type: job.type })
      const run = runJob(job, tools, signal).finally(() => runs.delete(run))
      runs.add(run)
    }
  }

  async function tidy(): Promise<void> {
    while (!signal.aborted && (await work.sweep()));
    const counts = await work.count()
    for (const status of jobStatuses) metrics.series('penstock_jobs_kept', { status }).set(counts.get(status) ?? 0)
    if (['scheduled', 'queued', 'running'].some((status) => counts.has(status as never))) onActive()
  }
}
