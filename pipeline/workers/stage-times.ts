import type { Clock } from '#runtime/clock.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { ReadRecord } from './range-reader.ts'

/**
 * Counts how long the messages of these records took to be read, and then to be stored, which they are now. Once a batch.
 * @param partCount of a batch that is stored part by part: how many messages of it are stored now; left out: all
 */
export function observeStored(
  metrics: Metrics<MetricName>,
  sink: string,
  records: readonly ReadRecord[],
  clock: Clock,
  partCount?: number,
): void {
  const read = metrics.histogram('penstock_worker_read_seconds')
  const stored = metrics.histogram('penstock_worker_store_seconds', { sink })
  const [nowMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()]
  for (const { record, readMonotonicMs } of records) {
    const { enqueuedAtMsLast } = record.stamp
    const messageCount = partCount ?? record.stamp.messageCount
    const heldMs = monotonicMs - readMonotonicMs
    // The edge's clock may be ahead of this one.
    read.observe(Math.max(0, nowMs - heldMs - enqueuedAtMsLast) / 1_000, messageCount)
    stored.observe(heldMs / 1_000, messageCount)
  }
}
