import { clickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { runRegistered } from '#loadtest/run/run-registered.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { workloadsOf } from '../workload/workload-file.ts'
import { LoadView } from './load-view.ts'
import { type Scenario, type ScenarioOptions, type Site, Stage } from './scenario.ts'
import { type ScenarioVerdict, verdictOf } from './verdict.ts'

export interface ScenarioHooks {
  /** Ends the scenario early; what was sent is still reconciled. */
  readonly signal?: AbortSignal
  /** About twice a second. */
  readonly onProgress?: (text: string) => void
}

/** Longer than an insert of unknown outcome is waited for before its rows are given up (`limits.insert…MsMax`). */
const quietMsMax = 200_000
/** Longest load; a scenario ends it when its faults are done. */
const secondsMax = 6 * 3_600

/**
 * Starts what the scenario needs, injects its faults into a running load, reconciles, and stops everything.
 * @throws LOADTEST_TARGET_UNREACHABLE, LOADTEST_SCENARIO_IMPOSSIBLE, LOADTEST_GENERATOR_FAILED, WAREHOUSE_*. What the ledger
 *   says, and that something never came back, is told in the verdict.
 */
export async function runScenario(
  scenario: Scenario,
  options: ScenarioOptions,
  hooks: ScenarioHooks = {},
): Promise<ScenarioVerdict> {
  const stage = new Stage(options)
  try {
    const site = await scenario.prepare(stage)
    const { failure, result } = await runFaultyLoad(stage, site, hooks)
    return verdictOf(scenario, stage, result, failure)
  } finally {
    await stage.close()
  }
}

async function runFaultyLoad(
  stage: Stage,
  site: Site,
  hooks: ScenarioHooks,
): Promise<{ readonly failure: string | undefined; readonly result: LoadResult }> {
  const { messages } = stage.options
  const load = new LoadView(clickhouseRows(site.clickhouseUrl, loadDefaults.table))
  const stop = new AbortController()
  const faultsTotal = () => Object.values(stage.faults).reduce((sum, count) => sum + count, 0)
  stage.begin()
  const injecting = (async () => {
    try {
      await site.inject(load)
      await load.untilAcknowledged(messages)
      return undefined
    } catch (error) {
      if (!isPenstockError(error)) throw error
      return `${error.code}: ${error.message}`
    } finally {
      stop.abort()
    }
  })()
  // Awaited below; a rejection meanwhile is not lost.
  injecting.catch(() => {})
  hooks.signal?.addEventListener('abort', () => load.end())
  try {
    const { workload, thresholds = [] } = stage.options
    const options = loadOptionsOf(stage.options, site)
    const workloads = workload ? workloadsOf(workload, options) : [options]
    const result = await runRegistered(workloads, site.registry, {
      thresholds,
      agents: site.agents ?? [],
      signal: stop.signal,
      onProgress: (progress) => {
        load.update(progress)
        hooks.onProgress?.(
          `${progress.settled.toLocaleString('en')} acknowledged · ${faultsTotal()} faults · ${progress.open} connections`,
        )
      },
      onRows: (rows) => hooks.onProgress?.(`waiting for rows: ${rows.toLocaleString('en')} stored`),
    })
    Object.assign(stage.facts, site.factsOf?.(result))
    return { result, failure: (await injecting) ?? (await site.faultOf?.()) }
  } finally {
    load.end()
    await injecting.catch(() => {})
  }
}

function loadOptionsOf({ seed, rate, connections, connectMsMax }: ScenarioOptions, site: Site): LoadOptions {
  return {
    ...loadDefaults,
    url: site.mqttUrl,
    clickhouse: site.clickhouseUrl,
    connections,
    rate,
    seed,
    seconds: secondsMax,
    run: `faults${seed}`,
    connectMsMax: connectMsMax ?? loadDefaults.connectMsMax,
    drainMsMax: 120_000,
    quietMsMax,
    ...site.load,
  }
}
