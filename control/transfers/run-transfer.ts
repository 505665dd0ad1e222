/** One export or import, while this process holds the lease of its job. */
import { randomUUID } from 'node:crypto'
import type { JobRun } from '#control/jobs/job-run.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { exportIdentities } from './export-identities.ts'
import { importIdentities } from './import-identities.ts'
import { transferFault } from './read-transfer.ts'
import type { TransferAttempt, TransferTools } from './transfer-run.ts'
import type { TransferContainer } from './transfers.ts'

const containerBackOff: BackOff = { firstMs: 500, factor: 2, maxMs: 30_000, jitter: 0.5 }

/** Until all is done, or the job is over. @throws JOB_INVALID where it cannot be done */
export async function runTransfer(run: JobRun, tools: TransferTools): Promise<void> {
  try {
    await run.patiently(() => attempt(run, tools))
  } catch (error) {
    // It was cancelled, or is another's: whoever finishes the job finds out which.
    if (!run.over.aborted && !isPenstockError(error, 'JOB_LEASE_LOST')) throw error
  }
}

/** What a commit did whose answer was lost is known by the store alone: each attempt asks it. */
async function attempt(run: JobRun, tools: TransferTools): Promise<void> {
  const state = await tools.work.read(run.job.jobId)
  if (state === undefined) return
  const open: TransferContainer[] = []
  const tried: TransferAttempt = {
    run,
    tools,
    state,
    writer: randomUUID(),
    container(address) {
      const container = tools.containers.open(address, run.over)
      open.push(container)
      return container
    },
    asking: (ask) => asking(run, tools, ask),
  }
  try {
    await (state.transfer.type === 'export' ? exportIdentities(tried) : importIdentities(tried))
  } finally {
    for (const container of open) await container.close()
  }
}

async function asking<T>(
  { tools: { clock, logger }, job, over }: JobRun,
  { work }: TransferTools,
  ask: () => Promise<T>,
): Promise<T> {
  const askAgain = async (failures: number): Promise<T> => {
    // Nobody waits ten minutes for a container of a job that was cancelled.
    if (failures > 0) await work.expectRunning(job)
    return await ask()
  }
  try {
    return await retry(askAgain, {
      backOff: containerBackOff,
      clock,
      until: over,
      isRetryable: (error, failures) =>
        isPenstockError(error, 'ENDPOINT_UNAVAILABLE') && failures < limits.transferTriesMax,
      onRetry: (error) => logger.warn('a container did not answer; trying again', { job: job.jobId, error }),
    })
  } catch (error) {
    // Whoever runs the job would try for ever what may pass by itself.
    throw isPenstockError(error) && error.code.startsWith('ENDPOINT_') ? transferFault(error.message, error) : error
  }
}
