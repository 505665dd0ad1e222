import { describe, expect, test } from 'vitest'
import { type MetricSample, Metrics } from '../metrics.ts'
import { metricsRequest } from './otlp-metrics.ts'

const table = {
  penstock_test_things_total: { type: 'counter', help: 'Things', labels: ['kind'] },
  penstock_test_waiting_bytes: { type: 'gauge', help: 'Waiting', labels: [] },
  penstock_test_wait_seconds: { type: 'histogram', help: 'Waits', labels: ['by'], buckets: [0.1, 1] },
} as const

const startedAtMs = 1_700_000_000_000
const nowMs = startedAtMs + 15_000.25

function exported(samples: readonly MetricSample[]) {
  const request = metricsRequest(table, [{ resource: { 'service.name': 'penstock' }, startedAtMs, samples }], nowMs)
  return (request as { resourceMetrics: { scopeMetrics: { metrics: Record<string, unknown>[] }[] }[] }).resourceMetrics
}

const times = { startTimeUnixNano: '1700000000000000000', timeUnixNano: '1700000015000250000' }

describe('metrics as OTLP', () => {
  const metrics = new Metrics(table)
  metrics.series('penstock_test_things_total', { kind: 'a "b"\\\n,le="x"' }).add(3)
  metrics.series('penstock_test_waiting_bytes').set(7.5)
  for (const [value, count] of [
    [0.05, 2],
    [0.1, 1],
    [3, 4],
  ] as const)
    metrics.histogram('penstock_test_wait_seconds', { by: 'x' }).observe(value, count)
  const [things, waiting, waits] = exported(metrics.samples())[0]!.scopeMetrics[0]!.metrics

  test('a counter is a sum that only grows, cumulative since its process began, under its own name and labels', () => {
    const attributes = [{ key: 'kind', value: { stringValue: 'a "b"\\\n,le="x"' } }]
    expect(things).toEqual({
      name: 'penstock_test_things_total',
      description: 'Things',
      unit: '',
      sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [{ attributes, asDouble: 3, ...times }] },
    })
  })

  test('a gauge is what it is now, and has a unit where its name says one', () => {
    const dataPoints = [{ attributes: [], asDouble: 7.5, timeUnixNano: times.timeUnixNano }]
    expect(waiting).toEqual({
      name: 'penstock_test_waiting_bytes',
      description: 'Waiting',
      unit: 'By',
      gauge: { dataPoints },
    })
  })

  test('each bucket of a histogram counts its own, and all of them what the histogram counts', () => {
    const attributes = [{ key: 'by', value: { stringValue: 'x' } }]
    const point = {
      attributes,
      count: '7',
      sum: 12.2,
      bucketCounts: ['3', '0', '4'],
      explicitBounds: [0.1, 1],
      ...times,
    }
    expect(waits).toEqual({
      name: 'penstock_test_wait_seconds',
      description: 'Waits',
      unit: 's',
      histogram: { aggregationTemporality: 2, dataPoints: [point] },
    })
  })

  test('what a process has twice is added up, what is in no table left out, and a process without samples is not told of', () => {
    const twice = exported([...metrics.samples(), ...metrics.samples(), ['penstock_other_total', '', 1]])
    expect(JSON.stringify(twice)).toContain('"asDouble":6')
    expect(JSON.stringify(twice)).toContain('"bucketCounts":["6","0","8"]')
    expect(JSON.stringify(twice)).not.toContain('penstock_other')
    expect(exported([])).toEqual([])
  })

  test('what is no number is a text, since JSON has no word for it', () => {
    expect(JSON.stringify(exported([['penstock_test_waiting_bytes', '', Number.NaN]]))).toContain('"asDouble":"NaN"')
  })
})
