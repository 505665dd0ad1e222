import { expect, test } from 'vitest'
import { LatencyHistogram } from './latency.ts'
import { loadDefaults } from './options.ts'
import { screenOf } from './result-screen.ts'
import type { LoadResult } from './run-load.ts'

test('a faulty run says so, with the device and its missing numbers', () => {
  const text = screenOf(resultWith(3))
  expect(text).toContain('FAULTY   lost 3')
  expect(text).toContain('load-r-000001: lost 5, 9…10')
  expect(text).toContain('warning       generator process 0 was late')
})

test('a clean run fits a screen of 100 columns and 24 lines', () => {
  const text = screenOf(resultWith(0))
  expect(text).toContain('OK   lost 0')
  expect(text.split('\n').length).toBeLessThanOrEqual(24)
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
})

function resultWith(lost: number): LoadResult {
  const progress = { offered: 1_000, sent: 1_000, settled: 1_000, open: 2 }
  const histogram = new LatencyHistogram()
  histogram.add(1_234, 1_000)
  const latency = { summary: histogram.summary(), snapshot: histogram.snapshot() }
  const fault = {
    deviceId: 'load-r-000001',
    lost: [
      { from: 5, to: 6 },
      { from: 9, to: 11 },
    ],
    repeated: 0,
    foreign: [],
    outOfOrder: 0,
  }
  return {
    manifest: { startedAt: '', options: { ...loadDefaults, run: 'r' }, node: 'v22', cpu: 'a CPU', cpuCount: 2 },
    counts: { atStop: progress, atEnd: progress },
    sendMs: 1_000,
    consumedMs: 1_100,
    sentPerSecond: 1_000,
    acknowledgedPerSecond: 1_000,
    storedPerSecond: 900,
    latency: { acknowledged: latency, sendDelay: latency, visible: latency },
    connections: { opened: 2, lost: 0, refused: 0, lastFault: '' },
    acknowledgedOutOfOrder: 0,
    acknowledgedUnexpected: 0,
    generators: [{ cpuShare: 0.5, loopDelayMsP99: 3, loopDelayMsMax: 4 }],
    warnings: lost > 0 ? ['generator process 0 was late'] : [],
    reconciliation: {
      devices: 2,
      sent: 1_000,
      acknowledged: 1_000,
      refused: 0,
      resent: 0,
      rows: 1_000 - lost,
      stored: 1_000 - lost,
      unacknowledgedMissing: 0,
      lost,
      repeated: 0,
      foreign: 0,
      outOfOrder: 0,
      isClean: lost === 0,
      faults: lost > 0 ? [fault] : [],
    },
  }
}
