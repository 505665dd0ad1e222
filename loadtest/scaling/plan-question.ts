/** What a plan is asked, and the assumptions that an operator may change. */
import { limits } from '#schemas/limits.ts'

export interface PlanOption {
  readonly standard: number
  readonly min: number
  readonly max: number
  /** Where the number comes from, if it is no wish. */
  readonly meaning: string
}

/** Questions and assumptions; the name is the flag. */
export const planOptions = {
  rate: { standard: 1e6, min: 0, max: 1e10, meaning: 'messages a second' },
  devices: { standard: 1e5, min: 1, max: 1e10, meaning: 'devices, all connected' },
  body: { standard: 200, min: 0, max: limits.bodyBytesMax, meaning: 'bytes of a body' },
  'messages-per-read': { standard: 1, min: 1, max: 1e4, meaning: 'messages a device sends together' },
  'keep-alive-seconds': { standard: 240, min: 1, max: 65_535, meaning: 'between PINGREQs of a device; each is a read' },
  'batch-delay-ms': { standard: 10, min: 1, max: 1_000, meaning: 'PENSTOCK_BATCH_DELAY_MS' },
  'insert-delay-ms': { standard: 250, min: 1, max: 60_000, meaning: 'PENSTOCK_INSERT_DELAY_MS' },
  'compressed-share': {
    standard: 0.25,
    min: 0,
    max: 1,
    meaning: 'what compression leaves of a body; the load test’s own bodies shrink further than a device’s',
  },
  'retention-hours': { standard: 24, min: 0, max: 87_600, meaning: 'how long the log keeps batches' },
  'table-days': { standard: 30, min: 0, max: 36_500, meaning: 'how long ClickHouse keeps rows' },
  headroom: { standard: 0.5, min: 0, max: 0.95, meaning: 'share of every core, disk and link that stays free' },
  'core-speed': { standard: 1, min: 0.01, max: 100, meaning: 'a core of the cluster ÷ a core of the measured machine' },
  'log-replicas': { standard: 3, min: 1, max: 7, meaning: 'copies of a batch on Kafka' },
  'table-replicas': { standard: 2, min: 1, max: 7, meaning: 'copies of a ClickHouse shard' },
  'node-cores': { standard: 16, min: 1, max: 1_024, meaning: 'cores of a machine' },
  'node-gigabytes': { standard: 64, min: 1, max: 65_536, meaning: 'its memory' },
  'node-terabytes': { standard: 30, min: 0.01, max: 10_000, meaning: 'its disk' },
  'edge-connections': { standard: 50_000, min: 1, max: 1e7, meaning: 'connections an edge process is given' },
  'partition-rate': {
    standard: 100_000,
    min: 1,
    max: 1e7,
    meaning: 'messages a second a partition is given: one insert of it runs at a time (not measured by the sweep)',
  },
  'broker-megabytes': { standard: 200, min: 1, max: 1e5, meaning: 'MB/s a broker writes (not measured)' },
  'broker-batches': { standard: 50_000, min: 1, max: 1e7, meaning: 'records a second a broker takes (not measured)' },
  'shard-inserts': {
    standard: limits.insertsPerSecondMax,
    min: 1,
    max: 1_000,
    meaning: 'inserts a second into one table, at which deduplication still holds',
  },
  'device-bytes': {
    standard: 500,
    min: 1,
    max: 1e6,
    meaning: 'control store: a device with its keys and index (docs/benchmarks/registry.md), its presence, and room',
  },
} as const satisfies Record<string, PlanOption>

export type PlanFlag = keyof typeof planOptions
export type PlanQuestion = Readonly<Record<PlanFlag, number>>

export const planFlags = Object.keys(planOptions) as readonly PlanFlag[]

export function planQuestion(asked: Partial<PlanQuestion> = {}): PlanQuestion {
  const standards = planFlags.map((flag): [PlanFlag, number] => [flag, planOptions[flag].standard])
  return { ...(Object.fromEntries(standards) as Record<PlanFlag, number>), ...asked }
}
