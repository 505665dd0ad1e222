import { readMethodRequest } from '#control/methods/method-request.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'
import { failed, resultOf } from './device-result.ts'
import type { JobRun } from './job-run.ts'
import type { DeviceResult } from './jobs.ts'

/** Calls devices that are pending, until none is, or the job is over. Calls that are under way then are waited for, but not long where the process ends. */
export async function callDevices(run: JobRun): Promise<void> {
  const { job, tools, over } = run
  const call = callerOf(run)
  const stopped = stoppedLongAgo(run.stop, tools.clock)
  const underWay = new Set<Promise<void>>()
  const all = (): Promise<unknown> => Promise.race([Promise.all(underWay), stopped.promise])
  while (!over.aborted) {
    await tools.pace.ready(over)
    if (underWay.size >= limits.jobMethodsAtOnceMax) {
      await Promise.race([...underWay, stopped.promise])
      continue
    }
    const places = limits.jobMethodsAtOnceMax - underWay.size
    const deviceIds = over.aborted ? [] : await run.patiently(() => tools.work.take(job, places))
    tools.pace.charge(deviceIds.length)
    for (const deviceId of deviceIds) {
      const calling = call(deviceId).finally(() => underWay.delete(calling))
      underWay.add(calling)
    }
    if (deviceIds.length > 0) continue
    if (underWay.size === 0) break
    // Those that found no place may be pending again.
    await all()
  }
  await all()
  stopped.cancel()
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

/** Resolves some time after the process was told to end. */
function stoppedLongAgo(stop: AbortSignal, clock: Clock): { readonly promise: Promise<void>; cancel(): void } {
  let cancel = (): void => {}
  const promise = new Promise<void>((resolve) => {
    const begin = (): void => {
      cancel = clock.after(limits.jobStopMsMax, resolve)
    }
    if (stop.aborted) begin()
    else {
      stop.addEventListener('abort', begin, { once: true })
      cancel = () => stop.removeEventListener('abort', begin)
    }
  })
  return { promise, cancel: () => cancel() }
}
