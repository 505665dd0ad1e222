import { expect, test } from 'vitest'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { ReadRecord } from './range-reader.ts'
import { observeStored } from './stage-times.ts'

test('the messages of a batch count for how long it took to be read, and then to be stored', () => {
  const clock = virtualClock(100_000)
  clock.after(400, () => {})
  clock.step()
  const metrics = new Metrics(metricsTable)
  // Read at 100,200; one of the edges' clocks is ahead.
  const read = (enqueuedAtMsLast: number, messageCount: number) =>
    ({ readMonotonicMs: 200, record: { stamp: { enqueuedAtMsLast, messageCount } } }) as ReadRecord
  observeStored(metrics, 's', [read(100_000, 5), read(200_000, 2)], clock)
  const samples = new Map(metrics.samples().map(([name, labels, value]) => [`${name}{${labels}}`, value]))
  expect(samples.get('penstock_worker_read_seconds_sum{}')).toBeCloseTo(5 * 0.2)
  expect(samples.get('penstock_worker_read_seconds_bucket{le="0.001"}')).toBe(2)
  expect(samples.get('penstock_worker_store_seconds_sum{sink="s"}')).toBeCloseTo(7 * 0.2)
  expect(samples.get('penstock_worker_store_seconds_count{sink="s"}')).toBe(7)
  expect(samples.get('penstock_worker_deliver_seconds_sum{sink="s"}')).toBeCloseTo(5 * 0.4)
})
