import type { Log } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'

interface Waiter {
  readonly partition: number
  readonly offset: number
  readonly action: () => void
}

/** Looks at the ends of a log's partitions for all who wait for more, and not at all while nobody does. */
export class EndWatch {
  readonly #log: Pick<Log, 'ranges'>
  readonly #clock: Clock
  readonly #waiters = new Set<Waiter>()
  #isLooking = false

  constructor(log: Pick<Log, 'ranges'>, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** As `EventHub.onRecord`. */
  onRecord(partition: number, offset: number, action: () => void): () => void {
    const waiter: Waiter = { partition, offset, action }
    this.#waiters.add(waiter)
    if (!this.#isLooking) {
      this.#isLooking = true
      this.#lookLater()
    }
    return () => this.#waiters.delete(waiter)
  }

  #lookLater(): void {
    this.#clock.after(limits.readingPollMs, () => void this.#look())
  }

  async #look(): Promise<void> {
    if (this.#waiters.size > 0) {
      // A log that is away is looked at again; its readers have nothing to do meanwhile.
      const ranges = await this.#log.ranges().catch(() => [])
      for (const waiter of [...this.#waiters]) {
        // Where the log ends before it, it may be another one, which who waits has to learn.
        const next = ranges[waiter.partition]?.next ?? waiter.offset
        if (next === waiter.offset) continue
        this.#waiters.delete(waiter)
        waiter.action()
      }
    }
    if (this.#waiters.size > 0) this.#lookLater()
    else this.#isLooking = false
  }
}
