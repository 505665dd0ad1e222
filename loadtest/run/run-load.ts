import { AgentFleet, spreadOver } from '#loadtest/agents/agent-fleet.ts'
import { faultsOf, type LoadOptions } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type LoadHooks, LoadRun, runStopped } from './load-run.ts'

/**
 * Runs a load from forked processes and reconciles it. Survives a target that dies and comes back while it runs.
 * @throws LOADTEST_OPTIONS_INVALID, LOADTEST_TARGET_UNREACHABLE, LOADTEST_GENERATOR_FAILED, LOADTEST_AGENT_FAILED, LOADTEST_STOPPED,
 *   WAREHOUSE_REFUSED, WAREHOUSE_UNAVAILABLE (when reconciling). Losses are not thrown but told: see `assertClean`.
 */
export function runLoad(options: LoadOptions, hooks: LoadHooks = {}): Promise<LoadResult> {
  return runWorkloads([options], hooks)
}

/**
 * Several workloads side by side, each from processes of its own, with one ledger. They share the run's name and the warehouse of
 * the first of telemetry, and their device numbers don't overlap (`firstDevice`). Throws as `runLoad` does.
 */
export async function runWorkloads(given: readonly LoadOptions[], hooks: LoadHooks = {}): Promise<LoadResult> {
  const addresses = hooks.agents ?? []
  // The first names the run, and of telemetry it says where the rows are.
  const workloads = given
    .map((options) => spreadOver(options, addresses.length))
    .toSorted((one, other) => Number(one.kind !== 'telemetry') - Number(other.kind !== 'telemetry'))
  const faults = workloads.flatMap(faultsOf)
  if (workloads.reduce((sum, { processes }) => sum + processes, 0) < addresses.length)
    faults.push('--agents: there are fewer connections than agents')
  const [main] = workloads
  if (faults.length > 0 || main === undefined)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n') || 'there is no workload')
  const run = new LoadRun(workloads, main, await AgentFleet.open(addresses), hooks)
  try {
    return await unlessLeft(hooks.leave, stepsOf(run))
  } finally {
    await run.end()
  }
}

async function stepsOf(run: LoadRun): Promise<LoadResult> {
  await run.connect()
  await run.begin()
  return await run.finish(await run.generated())
}

/** @throws LOADTEST_STOPPED once it is to be left, whatever becomes of what runs */
async function unlessLeft<T>(leave: AbortSignal | undefined, running: Promise<T>): Promise<T> {
  if (leave === undefined) return running
  let stop = (): void => {}
  const left = new Promise<never>((_, reject) => {
    stop = () => reject(runStopped())
  })
  // What runs may end by a fault of its own while it is taken away.
  running.catch(() => {})
  leave.addEventListener('abort', stop)
  if (leave.aborted) stop()
  return Promise.race([running, left]).finally(() => leave.removeEventListener('abort', stop))
}
