import { expect, test } from 'vitest'
import type { GeneratorInterval } from '#loadtest/generate/generator.ts'
import { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { Timeline } from './timeline.ts'

test('rates of several processes add up, each over its own interval, and latencies are merged', () => {
  const timeline = new Timeline()
  timeline.add(0, interval(500, 100, 10_000))
  timeline.add(1, interval(250, 100, 20_000))
  const [point] = timeline.points()
  expect(point).toMatchObject({ sent: 200 + 400, acknowledged: 600, open: 2, atS: 0.5, maxMs: 20 })
  timeline.add(0, interval(1_000, 300, 10_000))
  timeline.add(1, interval(1_250, 300, 10_000))
  expect(timeline.points()[1]).toMatchObject({ sent: 400 + 200, maxMs: 10 })
})

test('a long run keeps its bound of points, its end and its worst moment', () => {
  const timeline = new Timeline()
  for (let report = 1; report <= 20_000; report++)
    timeline.add(0, interval(report * 500, report * 50, report === 7_001 ? 5_000_000 : 1_000))
  const points = timeline.points()
  expect(points.length).toBeLessThanOrEqual(905)
  expect(points.at(-1)?.atS).toBe(10_000)
  expect(Math.max(...points.map(({ maxMs }) => maxMs))).toBe(5_000)
  expect(points.every(({ sent }) => sent === 100)).toBe(true)
})

function interval(atMs: number, sent: number, microseconds: number): GeneratorInterval {
  const histogram = new LatencyHistogram()
  histogram.add(microseconds, 1)
  return { atMs, offered: sent, sent, settled: sent, open: 1, acknowledgedRecent: histogram.snapshot() }
}
