import { setTimeout as wait } from 'node:timers/promises'
import type { RestAccess } from '#control/client/client.ts'
import { registerDevices } from '#loadtest/generate/register-devices.ts'
import { type LoadOptions, removeMsMax, runPrefix } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { LoadHooks } from './load-run.ts'
import { runWorkloads } from './run-load.ts'

/**
 * Runs workloads whose devices must be registered first, and deletes the devices at the end, also of a run that was left. What could not be
 * deleted in time is told.
 * @param registry `undefined`: devices need not be known
 * @throws CONTROL_UNREACHABLE, CONTROL_REFUSED, and as `runWorkloads`
 */
export async function runRegistered(
  workloads: readonly LoadOptions[],
  registry: RestAccess | undefined,
  hooks: LoadHooks,
): Promise<LoadResult> {
  const registered = registry && (await registerDevices(workloads, registry))
  try {
    return await runWorkloads(
      workloads.map((options) => ({ ...options, deviceKeySecret: registered?.secret })),
      hooks,
    )
  } finally {
    if (registered !== undefined && !(await isDoneInTime(registered.remove()))) {
      const text = `devices ${runPrefix(workloads[0]?.run ?? '')}… may still be registered: they could not be deleted`
      hooks.onLeftBehind?.(text)
    }
  }
}

async function isDoneInTime(removing: Promise<boolean>): Promise<boolean> {
  const timeOver = new AbortController()
  const late = wait(removeMsMax, false, { signal: timeOver.signal }).catch(() => false)
  return Promise.race([removing, late]).finally(() => timeOver.abort())
}
