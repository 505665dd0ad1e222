import type { Log } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'

/**
 * When an edge took in the first message of the record at `offset`, or of the first one that is kept behind it; `undefined` if there is
 * none. Reads one record. @throws LOG_UNAVAILABLE
 */
export async function enqueuedAtMsOf(log: Log, partition: number, offset: number): Promise<number | undefined> {
  const [record] = await log.read(partition, offset, 1)
  return record?.stamp.enqueuedAtMsFirst
}

/** How much of the log a worker has still to deliver, and how old that is. */
export class Lag {
  readonly #log: Log
  readonly #metrics: Metrics<MetricName>
  readonly #clock: Clock
  /** By partition: of a position that does not move the record is read once. */
  readonly #oldest = new Map<number, { readonly offset: number; readonly enqueuedAtMs: number | undefined }>()

  constructor(log: Log, metrics: Metrics<MetricName>, clock: Clock) {
    this.#log = log
    this.#metrics = metrics
    this.#clock = clock
  }

  /** @param offsets next to deliver, of the partitions that are this worker's. @throws LOG_UNAVAILABLE */
  async report(offsets: ReadonlyMap<number, number>): Promise<void> {
    for (const [partition, { first, next }] of (await this.#log.ranges()).entries()) {
      const offset = offsets.get(partition)
      // Zero for a partition that moved away: its new owner reports it.
      const records = offset === undefined ? 0 : Math.max(0, next - offset)
      const labels = { partition: String(partition) }
      this.#metrics.series('penstock_worker_lag_records', labels).set(records)
      const ageMs = offset === undefined || records === 0 ? 0 : await this.#ageMs(partition, Math.max(first, offset))
      this.#metrics.series('penstock_worker_lag_seconds', labels).set(ageMs / 1_000)
    }
  }

  async #ageMs(partition: number, offset: number): Promise<number> {
    let oldest = this.#oldest.get(partition)
    if (oldest?.offset !== offset) {
      oldest = { offset, enqueuedAtMs: await enqueuedAtMsOf(this.#log, partition, offset) }
      this.#oldest.set(partition, oldest)
    }
    const { enqueuedAtMs } = oldest
    // The edge's clock may be ahead of this one.
    return enqueuedAtMs === undefined ? 0 : Math.max(0, this.#clock.nowMs() - enqueuedAtMs)
  }
}
