import type { PartitionReport, RouterReport } from '#control/routes/routes.ts'
import { enqueuedAtMsOf } from '#pipeline/workers/lag.ts'
import type { EndpointRun } from '#pipeline/workers/routed/endpoint-run.ts'
import type { RoutedLog } from '#pipeline/workers/routed/routed-log.ts'
import type { Router } from '#pipeline/workers/routed/router.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { MetricName } from '#schemas/metrics.ts'

/** Below it, what retention by size may remove soon is next to nothing. */
const behindRecordsMin = 100

/**
 * How the endpoints of a router do, and how far each is. A log that does not answer leaves its partitions out.
 * @param keptMs how long the log keeps what is delivered
 */
export async function reportOf(
  name: string,
  router: Router,
  logs: readonly RoutedLog[],
  keptMs: number,
): Promise<RouterReport> {
  const endpoints = router.runs.map(async (run) => ({
    ...run.health(),
    partitions: (await Promise.all(logs.map((log) => partitionsOf(run, log, router, keptMs)))).flat(),
  }))
  const { revision } = router
  return { router: name, atMs: systemClock.nowMs(), revision, endpoints: await Promise.all(endpoints) }
}

async function partitionsOf(
  run: EndpointRun,
  routed: RoutedLog,
  router: Router,
  keptMs: number,
): Promise<PartitionReport[]> {
  const { log } = routed
  try {
    const [positions, ranges] = await Promise.all([log.positions(run.groupOf(routed)), log.ranges()])
    return await Promise.all(
      ranges.map(async ({ first, next }, partition) => {
        const position = positions[partition]?.offset ?? next
        const behind = Math.max(0, next - position)
        const ageMs = behind === 0 ? 0 : await ageOf(routed, partition, Math.max(first, position))
        // Retention by size does not wait until something is old.
        const isHalf = first > 0 && behind >= behindRecordsMin && behind > (next - first) / 2
        const isFallingBehind = run.endpoint.whenBehind === 'expire' && (isHalf || ageMs > keptMs / 2)
        const place = { topic: log.topic, partition, revisionFrom: router.revision, position }
        return { ...place, behind, ageMs, isFallingBehind }
      }),
    )
  } catch (error) {
    if (!isPenstockError(error)) throw error
    return []
  }
}

/** How old what endpoints lack is, and which of them fall behind, as metrics. */
export function lagSamples({ endpoints }: RouterReport, logs: readonly RoutedLog[]): readonly MetricSample[] {
  const kindOf = (topic: string) => logs.find(({ log }) => log.topic === topic)?.kind ?? ''
  const ages: MetricName = 'penstock_endpoint_lag_seconds'
  const falling: MetricName = 'penstock_endpoint_falling_behind'
  return endpoints.flatMap(({ endpointId, partitions }) =>
    partitions.flatMap(({ topic, partition, ageMs, isFallingBehind }): MetricSample[] => {
      const labels = `endpoint="${endpointId}",log="${kindOf(topic)}"`
      return [
        [ages, `${labels},partition="${partition}"`, ageMs / 1_000],
        // Partitions of one log are added up.
        [falling, labels, isFallingBehind ? 1 : 0],
      ]
    }),
  )
}

/** Says which endpoints begin to fall behind, and which have caught up. */
export class FallingBehind {
  readonly #logger: Logger
  #falling: ReadonlySet<string> = new Set()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  look({ endpoints }: RouterReport): void {
    const falling = new Set<string>()
    for (const { endpointId: endpoint, partitions } of endpoints) {
      const late = partitions.filter(({ isFallingBehind }) => isFallingBehind)
      const wasFalling = this.#falling.has(endpoint)
      if (late.length === 0 && wasFalling) this.#logger.info('an endpoint has caught up', { endpoint })
      if (late.length === 0) continue
      falling.add(endpoint)
      const oldestSeconds = Math.round(Math.max(...late.map(({ ageMs }) => ageMs)) / 1_000)
      if (!wasFalling)
        this.#logger.error('an endpoint falls behind, and will lose what retention removes before it gets it', {
          endpoint,
          partitions: late.length,
          oldestSeconds,
        })
    }
    this.#falling = falling
  }
}

/** Of the oldest record that is not delivered. */
async function ageOf({ log }: RoutedLog, partition: number, offset: number): Promise<number> {
  const enqueuedAtMs = await enqueuedAtMsOf(log, partition, offset)
  return enqueuedAtMs === undefined ? 0 : Math.max(0, systemClock.nowMs() - enqueuedAtMs)
}
