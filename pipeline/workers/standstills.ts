import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'

/** A partition in which nothing was settled since a step of delivery failed for the first time. */
export interface Standstill {
  readonly partition: number
  readonly forMs: number
  /** What was said last. */
  readonly error: PenstockError
}

/** Delivery that goes on standing still is said this often. */
const saidAgainMs = 60_000

/**
 * Which partitions stand still, and why. Whatever can be repeated is, without end, so that nothing is lost to a fault that someone
 * mends; who would have to mend it must see that.
 */
export class Standstills {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #count: { set(value: number): void }
  readonly #waiting = new Map<number, { readonly sinceMonotonicMs: number; error: PenstockError }>()
  #saidMonotonicMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, logger: Logger, metrics: Metrics<MetricName>) {
    this.#clock = clock
    this.#logger = logger
    this.#count = metrics.series('penstock_worker_partitions_standing_still')
  }

  /** A step failed and will be repeated. */
  waits(partition: number, error: PenstockError): void {
    const known = this.#waiting.get(partition)
    if (known) known.error = error
    else this.#waiting.set(partition, { sinceMonotonicMs: this.#clock.monotonicMs(), error })
  }

  /** Something was settled, or the partition is another worker's now. */
  moved(partition: number): void {
    this.#waiting.delete(partition)
  }

  /** Those that last, the longest first; a short outage is none. */
  list(): readonly Standstill[] {
    const nowMs = this.#clock.monotonicMs()
    return [...this.#waiting]
      .map(([partition, { sinceMonotonicMs, error }]) => ({ partition, forMs: nowMs - sinceMonotonicMs, error }))
      .filter(({ forMs }) => forMs >= limits.standstillMsMin)
      .sort((one, other) => other.forMs - one.forMs)
  }

  /** Says what stands still; to be called every few seconds. */
  report(): void {
    const standing = this.list()
    this.#count.set(standing.length)
    const [longest] = standing
    const nowMs = this.#clock.monotonicMs()
    if (!longest || nowMs - this.#saidMonotonicMs < saidAgainMs) return
    this.#saidMonotonicMs = nowMs
    this.#logger.error('delivery stands still', {
      partitions: standing.map(({ partition }) => partition).join(' '),
      seconds: Math.round(longest.forMs / 1_000),
      error: longest.error,
    })
  }
}
