import { readMethodRequest } from '#control/methods/method-request.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import { limits } from '#schemas/limits.ts'
import { CallsUnderWay } from './calls-under-way.ts'
import { failed, resultOf } from './device-result.ts'
import type { JobRun } from './job-run.ts'
import type { DeviceResult } from './jobs.ts'

/**
 * Calls devices that are pending, until none is, or the job is over. Calls that are under way then are waited for. Devices that found no place
 * are pending again; they come after all others, so that they hold nobody up.
 */
export async function callDevices(run: JobRun): Promise<void> {
  const { job, tools, over } = run
  const call = callerOf(run)
  const calls = new CallsUnderWay(run.stop, tools.clock)
  let after = ''
  try {
    while (!over.aborted) {
      await tools.pace.ready(over)
      await calls.fewerThan(limits.jobMethodsAtOnceMax)
      if (over.aborted) break
      const countMax = Math.min(tools.pace.atOnce, limits.jobMethodsAtOnceMax - calls.count)
      const deviceIds = await run.patiently(() => tools.work.take(job, after, countMax))
      tools.pace.charge(deviceIds.length)
      for (const deviceId of deviceIds) calls.add(call(deviceId))
      const isAround = after === ''
      after = deviceIds.at(-1) ?? ''
      if (deviceIds.length > 0 || !isAround) continue
      if (calls.count === 0) break
      await calls.fewerThan(1)
    }
    await calls.fewerThan(1)
  } finally {
    calls.close()
  }
}

/** Never rejects. */
function callerOf(run: JobRun): (deviceId: string) => Promise<void> {
  const { job, tools } = run
  const request = readMethodRequest(Buffer.from(job.content))
  const results = new CallBatches<DeviceResult, undefined>({
    async run(batch) {
      await run.patiently(() => tools.work.settleTaken(job, batch))
      run.count(batch)
      return batch.map(() => undefined)
    },
    countMax: limits.jobMethodsAtOnceMax,
  })
  return async (deviceId) => {
    const id = { deviceId, moduleId: undefined }
    const result = await tools.methods.call(id, request).then(
      (outcome) => resultOf(deviceId, outcome),
      (fault: Error) => failed(deviceId, fault),
    )
    await results.call(result).catch((error: unknown) => {
      tools.logger.warn('what became of a device of a job cannot be kept', { job: job.jobId, error })
    })
  }
}
