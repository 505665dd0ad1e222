import { describe, expect, test } from 'vitest'
import { type MetricSample, Metrics } from '../metrics.ts'
import { MetricHistory } from './metric-history.ts'
import { quantileOf } from './quantile.ts'

const table = {
  things: { metric: 'things_total', shown: 'rate', unit: 'things/s' },
  level: { metric: 'level', shown: 'sum', unit: 'm' },
  age: { metric: 'level', shown: 'max', unit: 'm' },
  by_place: { metric: 'place_total', shown: 'rate', unit: 'things/s', by: 'place' },
  wait: { metric: 'wait_seconds', shown: 'quantiles', unit: 's' },
} as const

const historyOf = (stepCount = 4) =>
  new MetricHistory({ table, stepMs: 5_000, stepCount, groupsMax: 2, startedAtMs: 0 })

const one = (...samples: MetricSample[]) => new Map([['edge-0', samples]])

const valuesOf = (history: MetricHistory, name: string, sinceMs = -1) =>
  history.since(sinceMs).series.find((series) => series.name === name)?.values

describe('the history of metrics', () => {
  test('shows of a counter what all processes added in a second', () => {
    const history = historyOf()
    history.take(
      5_000,
      new Map([
        ['a', [['things_total', 'q="1"', 10]]],
        ['b', [['things_total', '', 5]]],
      ]),
    )
    history.take(
      10_000,
      new Map([
        [
          'a',
          [
            ['things_total', 'q="1"', 20],
            ['things_total', 'q="2"', 5],
          ],
        ],
        ['b', []],
      ]),
    )
    expect(history.since(-1).times).toEqual([5_000, 10_000])
    expect(valuesOf(history, 'things')).toEqual([3, 3])
    expect(history.since(5_000).times).toEqual([10_000])
    expect(valuesOf(history, 'things', 5_000)).toEqual([3])
  })

  test('a process that begins anew counts from zero, and takes nothing off the others', () => {
    const history = historyOf()
    const both = (a: number, b: number) =>
      new Map<string, MetricSample[]>([
        ['a', [['things_total', '', a]]],
        ['b', [['things_total', '', b]]],
      ])
    history.take(5_000, both(1_000, 1_000))
    history.take(10_000, both(1_500, 50))
    // Away for a step, and back with more than before.
    history.take(15_000, new Map([['a', [['things_total', '', 1_500]]]]))
    history.take(20_000, both(1_500, 100))
    expect(valuesOf(history, 'things')).toEqual([400, 110, 0, 20])
  })

  test('gauges are summed, or the largest counts; what nobody told is unknown', () => {
    const history = historyOf()
    history.take(5_000, one(['level', 'p="0"', 2], ['level', 'p="1"', 3]))
    history.take(10_000, one())
    expect(valuesOf(history, 'level')).toEqual([5, null])
    expect(valuesOf(history, 'age')).toEqual([3, null])
  })

  test('quantiles are of each step, and of all of them together', () => {
    const metrics = new Metrics({ wait_seconds: { type: 'histogram', help: '', labels: ['t'], buckets: [1, 2, 4] } })
    const history = historyOf()
    metrics.histogram('wait_seconds', { t: 'a' }).observe(0.5, 50)
    metrics.histogram('wait_seconds', { t: 'b' }).observe(1.5, 50)
    history.take(5_000, new Map([['a', metrics.samples()]]))
    metrics.histogram('wait_seconds', { t: 'b' }).observe(3, 100)
    history.take(10_000, new Map([['a', metrics.samples()]]))
    history.take(15_000, new Map([['a', metrics.samples()]]))
    expect(history.since(-1).quantiles).toEqual([
      {
        name: 'wait',
        unit: 's',
        p50: [1, 3, null],
        p95: [1.9, 3.9, null],
        p99: [1.98, 3.98, null],
        overall: { count: 200, p50: 2, p95: 3.8, p99: 3.96 },
      },
    ])
    expect(history.since(5_000).quantiles[0]?.overall).toMatchObject({ count: 100, p50: 3 })
  })

  test('keeps so many steps, and forgets a series that has none of them left', () => {
    const history = historyOf(3)
    history.take(5_000, one(['place_total', 'place="x"', 5]))
    for (const at of [10_000, 15_000, 20_000]) history.take(at, one(['things_total', '', at]))
    expect(history.since(-1).times).toEqual([10_000, 15_000, 20_000])
    expect(valuesOf(history, 'things')).toEqual([2_000, 1_000, 1_000])
    expect(valuesOf(history, 'by_place')).toBeUndefined()
  })

  test('has no more groups of a series than it may, however many there are', () => {
    const history = historyOf()
    const places = Array.from(
      { length: 5 },
      (_, place): MetricSample => ['place_total', `log="t",place="p${place}"`, 5],
    )
    history.take(5_000, one(...places))
    const bytes = history.bytes
    expect(history.since(-1).series.map(({ name, group, values }) => ({ name, group, values }))).toEqual([
      { name: 'by_place', group: 'p0', values: [1] },
      { name: 'by_place', group: 'p1', values: [1] },
    ])
    for (let at = 10_000; at < 200_000; at += 5_000) history.take(at, one(...places))
    expect(history.bytes).toBe(bytes)
  })

  test('times grow also where the clock is set back', () => {
    const history = historyOf()
    history.take(5_000, one(['things_total', '', 5]))
    history.take(4_000, one(['things_total', '', 50]))
    history.take(10_000, one(['things_total', '', 55]))
    expect(history.since(-1).times).toEqual([5_000, 10_000])
    expect(valuesOf(history, 'things')).toEqual([1, 10])
  })
})

describe('a quantile', () => {
  test.each([
    ['of nothing is unknown', 0.5, [0, 0, 0], Number.NaN],
    ['lies within its bucket', 0.5, [0, 10, 10], 1.5],
    ['at the end of a bucket is its bound', 1, [0, 10, 10], 2],
    ['above the last bound is that bound', 0.99, [0, 0, 10], 2],
    ['of zero is where the first bucket with anything begins', 0, [0, 10, 10], 1],
  ])('%s', (_, quantile, counts, expected) => {
    expect(quantileOf(quantile, [1, 2, Number.POSITIVE_INFINITY], counts)).toBe(expected)
  })
})
