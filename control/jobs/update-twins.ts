import { limits } from '#schemas/limits.ts'
import { failed } from './device-result.ts'
import type { JobRun } from './job-run.ts'
import type { DeviceResult } from './jobs.ts'
import { readTwinUpdate } from './read-job.ts'

/** Writes the twins of devices that are pending, until none is, or the job is over. */
export async function updateTwins(run: JobRun): Promise<void> {
  const { tools, over } = run
  // What it has come past is not looked through again: of a million devices that would be most of the work.
  let after = ''
  while (!over.aborted) {
    await tools.pace.ready(over)
    // What a lost connection left in doubt is read again: it is pending still, or it was written.
    const results = await run.patiently(() => updateSome(run, after))
    if (results.length === 0 && after === '') return
    tools.pace.charge(results.length)
    run.count(results)
    after = results.at(-1)?.deviceId ?? ''
  }
}

async function updateSome({ job, tools }: JobRun, after: string): Promise<DeviceResult[]> {
  const { patch, ifMatch } = readTwinUpdate(job.content)
  const deviceIds = await tools.work.pending(job, after, Math.min(tools.pace.atOnce, limits.jobTwinsAtOnceMax))
  if (deviceIds.length === 0) return []
  let results: DeviceResult[] = []
  await tools.twins.updateAll(
    deviceIds.map((deviceId) => ({ id: { deviceId, moduleId: undefined }, patch, ifMatch })),
    async (queries, outcomes) => {
      results = deviceIds.map((deviceId, index) => {
        const fault = outcomes[index]
        return fault === undefined ? { deviceId, status: 'completed' } : failed(deviceId, fault)
      })
      await tools.work.settlePending(queries, job, results)
    },
  )
  return results
}
