import { describe, expect, test } from 'vitest'
import type { RouterReport } from '#control/routes/routes.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import type { Router } from '#pipeline/workers/routed/router.ts'
import { type LogFields, silentLogger } from '#runtime/logger.ts'
import { FallingBehind, lagSamples, reportOf } from './endpoint-reports.ts'

const hourMs = 3_600_000

/** A log with one record of that age, and an endpoint that has none of it. */
async function reported(ageMs: number, whenBehind: 'expire' | 'hold'): Promise<[RouterReport, MemoryLog]> {
  const log = new MemoryLog({ store: new MemoryStore('penstock.telemetry', 1) })
  const enqueuedAtMs = Date.now() - ageMs
  const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence: 0, messageCount: 1 }
  await log.append(
    0,
    { ...stamp, enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs },
    Buffer.from('a batch'),
  )
  log.positions = async () => [{ offset: 0, metadata: '' }]
  const run = { endpoint: { whenBehind }, groupOf: () => 'g', health: () => ({ endpointId: 'e' }) }
  const router = { revision: 1, runs: [run] } as unknown as Router
  return [await reportOf('r', router, [{ kind: 'telemetry', log }], 24 * hourMs), log]
}

describe('how far endpoints are', () => {
  test.each([
    [13 * hourMs, 'expire', true],
    [11 * hourMs, 'expire', false],
    [13 * hourMs, 'hold', false],
  ] as const)(
    'one that lacks what is %i ms old falls behind at half of retention, unless it holds the log: %s',
    async (ageMs, whenBehind, expected) => {
      const [report, log] = await reported(ageMs, whenBehind)
      expect(report.endpoints[0]?.partitions).toMatchObject([{ behind: 1, isFallingBehind: expected }])
      const samples = lagSamples(report, [{ kind: 'telemetry', log }])
      const labels = 'endpoint="e",log="telemetry"'
      expect(samples[0]).toEqual([
        'penstock_endpoint_lag_seconds',
        `${labels},partition="0"`,
        expect.closeTo(ageMs / 1_000, -2),
      ])
      expect(samples[1]).toEqual(['penstock_endpoint_falling_behind', labels, expected ? 1 : 0])
    },
  )

  test('it is said once that one falls behind, and that it has caught up', async () => {
    const said: [string, LogFields | undefined][] = []
    const say = (text: string, fields?: LogFields) => void said.push([text, fields])
    const falling = new FallingBehind({ ...silentLogger, error: say, info: say })
    const [[behind], [near]] = [await reported(13 * hourMs, 'expire'), await reported(0, 'expire')]
    for (const report of [near, behind, behind, near, near]) falling.look(report)
    expect(said).toEqual([
      [expect.stringContaining('falls behind'), { endpoint: 'e', partitions: 1, oldestSeconds: 13 * 3_600 }],
      ['an endpoint has caught up', { endpoint: 'e' }],
    ])
  })
})
