/** No fault at all: a steady load for long, in which memory stays flat and latency does not drift. */

import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { TimelinePoint } from '#loadtest/result/timeline.ts'
import { anonymousBytesOf } from '#runtime/processes.ts'
import { openInstallation, urlsOf } from './installation.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

export const soak: Scenario = {
  name: 'soak',
  summary: 'no fault: memory and PUBACK p99 of the last quarter ÷ those of the second',
  usual: { faults: 0, messages: 24_000_000, rate: 20_000, connections: 100 },
  small: { faults: 0, messages: 12_000, rate: 2_000, connections: 20 },
  log: 'any',
  prepare,
}

/** Progress reports, two a second, between two looks at memory. */
const memoryReports = 4

async function prepare(stage: Stage): Promise<Site> {
  const installation = await openInstallation(stage)
  const samples: MemorySample[] = []
  return {
    ...urlsOf(installation),
    factsOf: (load) => factsOf(load, samples),
    inject: async (load) => {
      const beganMs = performance.now()
      while (load.acknowledged < stage.options.messages) {
        const due = load.reports + memoryReports
        await load.until('progress reports', () => load.reports >= due)
        const atS = (performance.now() - beganMs) / 1000
        for (const role of roles)
          for (const pid of installation.pidsOf(role)) samples.push({ atS, role, bytes: anonymousBytesOf(pid) })
      }
    },
  }
}

const roles = ['edge', 'worker', 'warehouse'] as const

interface MemorySample {
  readonly atS: number
  readonly role: (typeof roles)[number]
  readonly bytes: number
}

/** The first quarter warms up: buffers, compiled code, the engine's caches. */
function factsOf({ timeline, sendMs }: LoadResult, samples: readonly MemorySample[]): Record<string, number> {
  const seconds = sendMs / 1000
  const facts: Record<string, number> = {}
  const quarter = <T extends { readonly atS: number }>(points: readonly T[], index: number): T[] =>
    points.filter(({ atS }) => atS >= (seconds * index) / 4 && atS < (seconds * (index + 1)) / 4)
  const latencyOf = (index: number, value: (point: TimelinePoint) => number) =>
    median(quarter(timeline, index).map(value))
  for (const [name, value] of [
    ['p50', ({ p50Ms }: TimelinePoint) => p50Ms],
    ['p99', ({ p99Ms }: TimelinePoint) => p99Ms],
  ] as const) {
    facts[`PUBACK ${name} ms, median interval of the second quarter`] = latencyOf(1, value)
    facts[`PUBACK ${name} ms, median interval of the last quarter`] = latencyOf(3, value)
  }
  for (const role of roles) {
    const own = samples.filter((sample) => sample.role === role)
    const megabytes = (index: number) => median(quarter(own, index).map(({ bytes }) => bytes)) / 1_000_000
    facts[`${role}: anonymous MB, second quarter`] = megabytes(1)
    facts[`${role}: anonymous MB, last quarter`] = megabytes(3)
  }
  return facts
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
