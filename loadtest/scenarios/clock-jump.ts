/**
 * The clock of Penstock's own processes jumps, by milliseconds or days, forth and back, while ClickHouse's does not: batches over
 * midnight, inserts that seem to begin too late, stamps that run backwards. The machine's clock is left alone: a preloaded module
 * (`jumping-clock.ts`) moves what the processes see.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { dayMs } from '#schemas/time.ts'
import { openInstallation, urlsOf } from './installation.ts'
import type { Scenario, Site, Stage } from './scenario.ts'

export const clockJump: Scenario = {
  name: 'clock-jump',
  summary: "the clock of edge and worker jumps forth and back, by milliseconds to days; ClickHouse's does not",
  usual: { faults: 30, messages: 1_500_000, rate: 20_000, connections: 100 },
  small: { faults: 5, messages: 15_000, rate: 3_000, connections: 20 },
  log: 'any',
  prepare,
}

const jumpsMs: readonly [number, ...number[]] = [1, 5, 1_000, 61_000, 3_600_000, dayMs, 3 * dayMs]

async function prepare(stage: Stage): Promise<Site> {
  const file = join(stage.dataDir, 'clock')
  writeFileSync(file, '0')
  const preload = pathToFileURL(join(import.meta.dirname, 'jumping-clock.ts')).href
  const installation = await openInstallation(stage, {
    NODE_OPTIONS: `--import=${preload}`,
    LOADTEST_CLOCK_FILE: file,
  })
  let aheadMs = 0
  return {
    ...urlsOf(installation),
    inject: (load) =>
      stage.schedule(load, async () => {
        const jumpMs = stage.pick(jumpsMs) * (stage.random() < 0.5 ? -1 : 1)
        aheadMs += jumpMs
        writeFileSync(file, String(aheadMs))
        stage.injected(`${jumpMs > 0 ? 'forth' : 'back'} by ${textOfMs(Math.abs(jumpMs))}`, load)
      }),
  }
}

function textOfMs(ms: number): string {
  if (ms >= dayMs) return `${ms / dayMs} d`
  return ms >= 1_000 ? `${ms / 1_000} s` : `${ms} ms`
}
