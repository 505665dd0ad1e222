import type { PartitionReport, RouterReport } from '#control/routes/routes.ts'
import type { EndpointRun } from '#pipeline/workers/routed/endpoint-run.ts'
import type { RoutedLog } from '#pipeline/workers/routed/routed-log.ts'
import type { Router } from '#pipeline/workers/routed/router.ts'
import { systemClock } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'

/** How the endpoints of a router do, and how far each is. A log that does not answer leaves its partitions out. */
export async function reportOf(name: string, router: Router, logs: readonly RoutedLog[]): Promise<RouterReport> {
  const endpoints = router.runs.map(async (run) => ({
    ...run.health(),
    partitions: (await Promise.all(logs.map((log) => partitionsOf(run, log, router)))).flat(),
  }))
  const { revision } = router
  return { router: name, atMs: systemClock.nowMs(), revision, endpoints: await Promise.all(endpoints) }
}

async function partitionsOf(run: EndpointRun, routed: RoutedLog, router: Router): Promise<PartitionReport[]> {
  const { log } = routed
  try {
    const [positions, ranges] = await Promise.all([log.positions(run.groupOf(routed)), log.ranges()])
    return await Promise.all(
      ranges.map(async ({ next }, partition) => {
        const position = positions[partition]?.offset ?? next
        const behind = Math.max(0, next - position)
        const ageMs = behind === 0 ? 0 : await ageOf(routed, partition, position)
        return { topic: log.topic, partition, revisionFrom: router.revision, position, behind, ageMs }
      }),
    )
  } catch (error) {
    if (!isPenstockError(error)) throw error
    return []
  }
}

/** Of the oldest record that is not delivered. */
async function ageOf({ log }: RoutedLog, partition: number, offset: number): Promise<number> {
  const [record] = await log.read(partition, offset, 1)
  return record === undefined ? 0 : Math.max(0, systemClock.nowMs() - record.stamp.enqueuedAtMsFirst)
}
