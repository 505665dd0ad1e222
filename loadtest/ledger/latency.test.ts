import { build } from 'hdr-histogram-js'
import { expect, test } from 'vitest'
import { LatencyHistogram } from './latency.ts'

test('quantiles are within 1 % of HdrHistogram over six orders of magnitude', () => {
  const ours = new LatencyHistogram()
  const reference = build({ numberOfSignificantValueDigits: 4, highestTrackableValue: 2 ** 31 })
  let value = 1
  for (let i = 0; i < 20_000; i++) {
    value = (value * 48271) % 2147483647
    const sample = Math.floor(1.0009 ** (value % 20_000))
    ours.add(sample, 1 + (i % 3))
    reference.recordValueWithCount(sample, 1 + (i % 3))
  }
  expect(ours.count).toBe(reference.totalCount)
  for (const percent of [0, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100]) {
    const expected = reference.getValueAtPercentile(percent)
    expect(Math.abs(ours.quantile(percent / 100) - expected)).toBeLessThanOrEqual(Math.max(1, expected * 0.01))
  }
})

test('each value up to the bound lies in its own bucket, off by less than 1 %', () => {
  for (let value = 0; value < 2 ** 31; value = Math.floor(value * 1.01) + 1) {
    const histogram = new LatencyHistogram()
    histogram.add(value, 1)
    histogram.add(2 ** 31 - 1, 1)
    expect(histogram.quantile(0.5)).toBeGreaterThanOrEqual(value)
    expect(histogram.quantile(0.5)).toBeLessThanOrEqual(value * 1.01)
  }
})

test('merged histograms equal one that saw everything', () => {
  const [one, two, all] = [new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram()]
  for (let i = 0; i < 1000; i++) {
    ;(i % 2 ? one : two).add(i * i, 2)
    all.add(i * i, 2)
  }
  one.merge(JSON.parse(JSON.stringify(two.snapshot())))
  expect(one.summary()).toEqual(all.summary())
})

test('an empty histogram is all zeros; out-of-range values are clamped', () => {
  const histogram = new LatencyHistogram()
  expect(histogram.summary()).toMatchObject({ count: 0, meanMs: 0, p99Ms: 0 })
  histogram.add(-5, 1)
  histogram.add(2 ** 40, 1)
  expect(histogram.quantile(0.5)).toBe(0)
  expect(histogram.quantile(1)).toBe(2 ** 31 - 1)
})

test('what was added before a reset is forgotten, also by the next interval', () => {
  const histogram = new LatencyHistogram()
  histogram.add(5_000, 10)
  histogram.takeRecent()
  histogram.add(9_000, 1)
  histogram.reset()
  expect(histogram.summary()).toMatchObject({ count: 0, maxMs: 0 })
  histogram.add(2_000, 3)
  expect(histogram.summary()).toMatchObject({ count: 3, maxMs: 2 })
  expect(histogram.takeRecent().buckets.map(([, count]) => count)).toEqual([3])
})
