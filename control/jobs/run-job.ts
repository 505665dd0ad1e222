/**
 * One job, from the moment that this process holds its lease until it is finished, or another's.
 *
 *   condition ── pages of ids ──▶ pending rows ── a few at a time, as fast as the pace lets ──▶ results in their rows ──▶ finish
 *
 * A twin is written in the transaction in which its device stops being pending: whatever is killed, it is written once. A method is called after
 * the commit that took its device: whatever is killed, it is called at most once, and where nobody knows whether it was, the row says so.
 * While the store is away all of it waits, and calls that are under way wait with their results.
 */
import { sleep } from '#runtime/clock.ts'
import { type BackOff, isTransient, retry } from '#runtime/retry.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { callDevices } from './call-devices.ts'
import type { JobRun, JobTools } from './job-run.ts'
import type { LeasedJob } from './jobs.ts'
import { updateTwins } from './update-twins.ts'

const storeBackOff: BackOff = { firstMs: 250, factor: 2, maxMs: 5_000, jitter: 0.5 }

const timeIsUp = 'not all devices were done within maxExecutionTimeInSeconds'

/** Never rejects. */
export async function runJob(job: LeasedJob, tools: JobTools, stop: AbortSignal): Promise<void> {
  const { work, clock, logger } = tools
  const over = new AbortController()
  const end = (): void => over.abort()
  stop.addEventListener('abort', end)
  const run = runOf(job, tools, over.signal, stop)
  let failing = Promise.resolve()
  const fail = (reason: string): void => {
    failing = run.patiently(() => work.fail(job, reason)).catch((error) => leave(run, error))
    void failing.then(end)
  }
  const cancelTimeUp = job.hasEnded ? () => {} : clock.after(job.leftMs, () => fail(timeIsUp))
  const done = new AbortController()
  const renewing = keepLease(run, done.signal, end)
  try {
    if (job.hasEnded) end()
    await workUntilFinished(run)
  } catch (error) {
    if (isPenstockError(error, 'JOB_LEASE_LOST') || stop.aborted) leave(run, error)
    else {
      logger.error('a job failed', { job: job.jobId, error })
      fail(isPenstockError(error) ? error.message : 'the job could not be carried out')
      await failing
      await run.patiently(() => work.finish(job)).catch((fault) => leave(run, fault))
    }
  } finally {
    cancelTimeUp()
    stop.removeEventListener('abort', end)
    done.abort()
    await renewing
  }
}

async function workUntilFinished(run: JobRun): Promise<void> {
  const { job, tools, over, stop } = run
  const isTransfer = job.type === 'export' || job.type === 'import'
  if (!isTransfer) await addAllDevices(run)
  for (let isFinished = false; !isFinished; ) {
    if (!over.aborted) await (isTransfer ? tools.transfer(run) : toDevices(run))
    if (stop.aborted) return tools.work.release(job)
    isFinished = await run.patiently(() => tools.work.finish(job))
  }
}

async function toDevices(run: JobRun): Promise<void> {
  await (run.job.type === 'scheduleUpdateTwin' ? updateTwins(run) : callDevices(run))
}

async function addAllDevices({ job, tools, over, patiently }: JobRun): Promise<void> {
  let { reached: after, isWhole } = job
  while (!isWhole && !over.aborted) {
    const page = limits.registryPageMax
    const deviceIds = await patiently(() => tools.devicesWhere(job.condition, after, page))
    isWhole = deviceIds.length < page
    await patiently(() => tools.work.addDevices(job, { after, deviceIds, isLast: isWhole }))
    after = deviceIds.at(-1) ?? after
  }
}

/** @param onLost called once the job is another's */
async function keepLease({ job, tools }: JobRun, done: AbortSignal, onLost: () => void): Promise<void> {
  for (;;) {
    await sleep(tools.clock, limits.jobLeaseMs / 3, done)
    if (done.aborted) return
    try {
      await tools.work.renew(job)
    } catch (error) {
      if (!isPenstockError(error, 'JOB_LEASE_LOST')) continue
      onLost()
      return
    }
  }
}

function leave({ job, tools }: JobRun, error: unknown): void {
  tools.logger.info('a job is left to whoever runs it next', { job: job.jobId, error })
}

function runOf(job: LeasedJob, tools: JobTools, over: AbortSignal, stop: AbortSignal): JobRun {
  return {
    job,
    tools,
    over,
    stop,
    patiently: (attempt) =>
      retry(attempt, { backOff: storeBackOff, clock: tools.clock, until: stop, isRetryable: isTransient }),
    count(results) {
      for (const { status: outcome } of results)
        tools.metrics.series('penstock_jobs_devices_total', { type: job.type, outcome }).add(1)
    },
  }
}
