/** The points of the sweep: one kind of work is varied at a time, around a load that a machine of two cores carries with ease. */
import { openFilesLimit } from '#runtime/proc.ts'
import type { PointLoad, Sweep } from './scaling-point.ts'

export interface PlannedPoint {
  readonly sweep: Sweep
  readonly load: PointLoad
}

const usualRate = 20_000
const usual: PointLoad = {
  connections: 100,
  rate: usualRate,
  burst: 1,
  bodyBytes: 48,
  partitions: 4,
  edges: 1,
  workers: 1,
}

/** Most bytes of bodies a second: the generator's share of a small machine. */
const bodyBytesPerSecondMax = 50_000_000
const burstRateMax = 200_000

/** Open files that a process needs beside its connections. */
const filesBeside = 500
/** The kernel spreads connections over the edges by chance, so one gets a few more than another. */
const unevenShare = 0.05

/** @param filesMax open files a process may have, which bounds the connections of an edge and of a generator */
export function sweepPoints(filesMax: number): readonly PlannedPoint[] {
  const point = (sweep: Sweep, load: Partial<PointLoad>): PlannedPoint => {
    const connections = load.connections ?? usual.connections
    const edges = Math.max(load.edges ?? 1, processesFor(connections * (1 + unevenShare), filesMax))
    return { sweep, load: { ...usual, ...load, edges } }
  }
  const byConnections = (connections: number) => [
    point('idle', { connections, rate: 0 }),
    point('connections', { connections }),
  ]
  return [
    ...[1_000, 10_000].flatMap(byConnections),
    ...[1, 2, 4, 16, 64].map((burst) =>
      point('messages a read', { burst, rate: Math.min(burstRateMax, usualRate * burst) }),
    ),
    ...[48, 256, 1_024, 4_096, 16_384, 65_536].map((bodyBytes) =>
      point('body size', { bodyBytes, rate: Math.min(usualRate, Math.floor(bodyBytesPerSecondMax / bodyBytes)) }),
    ),
    ...[1, 16, 64].map((partitions) => point('partitions', { partitions, burst: 4 })),
    point('partitions', { partitions: 64, rate: 2_000 }),
    // Other combinations than above, so that they test the sum and not one of its terms.
    point('held out', { connections: 3_000, rate: 30_000, burst: 3, bodyBytes: 200, partitions: 8 }),
    point('held out', { connections: 500, rate: 100_000, burst: 10, bodyBytes: 100 }),
    point('held out', { connections: 15_000, rate: 10_000, bodyBytes: 512, partitions: 2, edges: 2 }),
    point('held out', { connections: 300, rate: 8_000, burst: 2, bodyBytes: 3_000, partitions: 32, workers: 2 }),
    ...[{}, { edges: 2 }, { workers: 2 }].flatMap((processes) => [
      point('processes', { ...processes, burst: 16, rate: 100_000 }),
      point('processes', { ...processes, rate: 'saturate' }),
    ]),
    // Last, since connecting so many takes longest: where time is short, everything else is there.
    ...[50_000, 100_000].flatMap(byConnections),
  ]
}

/** Processes among which so many connections are spread. */
export function processesFor(connections: number, filesMax: number): number {
  return Math.max(1, Math.ceil(connections / Math.max(1, filesMax - filesBeside)))
}

/** Node raises its soft limit to the hard one by itself, and so do the processes it starts. */
export function openFilesMax(): number {
  const limit = openFilesLimit()
  return limit === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(limit ?? 0)
}
