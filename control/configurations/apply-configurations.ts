/**
 * In each process that serves the control store: passes over all configurations.
 *
 *   a change, or a minute ──▶ each condition, page by page ──▶ targets ──▶ devices whose configuration is another now ──▶ their twins
 *
 * A pass is begun by one process. One that is killed is not gone on with: the next pass, a minute later, finds what it left. A twin is changed
 * in the transaction that says so, so a pass changes nothing that an earlier one changed.
 */
import type { Twins } from '#control/twins/twins.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { Pace } from '#runtime/pace.ts'
import { repeating } from '#runtime/repeating.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { type ConfigurationWork, type DeviceChange, Overtaken, type PassConfiguration } from './configurations.ts'
import { patchBetween } from './desired-content.ts'

/** What a process needs to apply configurations. */
export interface ConfigurationTools {
  readonly work: ConfigurationWork
  readonly twins: Pick<Twins, 'updateAll'>
  /** Ids behind `after` of devices that a condition picks. @throws REGISTRY_QUERY_INVALID */
  readonly devicesWhere: (condition: string, after: string, countMax: number) => Promise<string[]>
  /** How many results a query has. @throws REGISTRY_QUERY_INVALID */
  readonly count: (query: string) => Promise<number>
  readonly pace: Pace
  readonly metrics: Metrics<MetricName>
  readonly clock: Clock
  readonly logger: Logger
}

/** @returns ends it, and resolves when nothing is under way */
export function applyConfigurations(tools: ConfigurationTools): () => Promise<void> {
  return repeating(tools.clock, async (signal) => {
    try {
      if (await tools.work.beginPass()) await pass(tools, signal)
    } catch (error) {
      tools.logger.warn('configurations were not all applied; trying again', { error })
    }
    return limits.configurationLookMs
  })
}

/** One pass. Rejects where the store does not answer. */
export async function pass(tools: ConfigurationTools, signal: AbortSignal): Promise<void> {
  const configurations = await tools.work.all()
  for (const configuration of configurations) await findTargets(tools, configuration, signal)
  await settleDevices(tools, signal)
  for (const { number, metrics } of configurations) {
    if (signal.aborted) return
    await tools.work.endPass(number, await countAll(tools, metrics))
  }
}

/** A condition that cannot be answered, since it takes too long, leaves the targets as they were. */
async function findTargets(
  tools: ConfigurationTools,
  configuration: PassConfiguration,
  signal: AbortSignal,
): Promise<void> {
  const { number, condition, isDeleted } = configuration
  const isMet = !isDeleted && condition !== ''
  const page = limits.registryPageMax
  try {
    for (let after: string | undefined = ''; after !== undefined && !signal.aborted; ) {
      const deviceIds: string[] = isMet ? await tools.devicesWhere(condition, after, page) : []
      const upTo = deviceIds.length < page ? undefined : deviceIds.at(-1)
      await tools.work.setTargets(number, { after, upTo, deviceIds })
      after = upTo
    }
  } catch (error) {
    if (!isPenstockError(error, 'REGISTRY_QUERY_INVALID')) throw error
    tools.logger.warn('the target condition of a configuration cannot be answered', { error })
  }
}

async function settleDevices(tools: ConfigurationTools, signal: AbortSignal): Promise<void> {
  for (let after = ''; !signal.aborted; ) {
    const changes = await tools.work.unsettled(after, limits.registryPageMax)
    const last = changes.at(-1)
    if (last === undefined) return
    try {
      await settlePage(tools, changes, signal)
      after = last.deviceId
    } catch (error) {
      // It is read again.
      if (!(error instanceof Overtaken)) throw error
    }
  }
}

/** @throws Overtaken */
async function settlePage(
  tools: ConfigurationTools,
  changes: readonly DeviceChange[],
  signal: AbortSignal,
): Promise<void> {
  const atOnce = Math.min(tools.pace.atOnce, limits.jobTwinsAtOnceMax)
  for (let start = 0; start < changes.length; start += atOnce) {
    await tools.pace.ready(signal)
    if (signal.aborted) return
    await settleSome(tools, changes.slice(start, start + atOnce))
  }
}

async function settleSome(
  { work, twins, pace, metrics }: ConfigurationTools,
  changes: readonly DeviceChange[],
): Promise<void> {
  const updates = changes.map(({ deviceId, from, to }) => ({
    id: { deviceId, moduleId: undefined },
    patch: patchBetween(from, to?.desired),
    ifMatch: undefined,
  }))
  const outcomes = await twins.updateAll(updates, (queries, faults) => work.settle(queries, changes, faults))
  pace.charge(changes.length)
  for (const [index, { to }] of changes.entries()) {
    const outcome = outcomes[index] !== undefined ? 'refused' : to === undefined ? 'freed' : 'applied'
    metrics.series('penstock_configurations_devices_total', { outcome }).add(1)
  }
}

async function countAll(
  { count: countOf, logger }: ConfigurationTools,
  queries: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, number>>> {
  const results: [string, number][] = []
  for (const [name, query] of Object.entries(queries)) {
    try {
      results.push([name, await countOf(query)])
    } catch (error) {
      if (!isPenstockError(error, 'REGISTRY_QUERY_INVALID')) throw error
      logger.warn('a metric of a configuration cannot be answered', { metric: name, error })
    }
  }
  return Object.fromEntries(results)
}
