import type { RestAccess } from '#control/client/client.ts'
import { registerDevices } from '#loadtest/generate/register-devices.ts'
import type { LoadOptions } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { LoadHooks } from './load-run.ts'
import { runWorkloads } from './run-load.ts'

/**
 * Runs workloads whose devices must be registered first, and deletes the devices at the end.
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
    await registered?.remove()
  }
}
