/**
 * How long log partitions stand still: the longest time in which no newer row of one became visible. Asks ClickHouse again and again, so a
 * stall is known to within a look.
 */
import type { ClickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { type Clock, sleep, systemClock } from '#runtime/clock.ts'

const lookMs = 50
/** A look reads no older rows; longer than anything that is told apart by it. */
const windowMs = 120_000

interface Partition {
  newest: number
  movedAtMs: number
}

export class StallWatch {
  readonly #rows: Pick<ClickhouseRows, 'newestSince'>
  readonly #clock: Clock
  readonly #stopped = new AbortController()
  readonly #partitions = new Map<number, Partition>()
  readonly #running: Promise<void>
  #longestMs = 0

  constructor(rows: Pick<ClickhouseRows, 'newestSince'>, clock: Clock = systemClock) {
    this.#rows = rows
    this.#clock = clock
    this.#running = this.#run()
  }

  /** The longest stall that has ended since this was asked last, in seconds. */
  takeLongest(): number {
    const longest = this.#longestMs / 1_000
    this.#longestMs = 0
    return longest
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      // A warehouse that does not answer shows no rows either: what comes after it tells how long that was.
      const newest = await this.#rows.newestSince(this.#clock.nowMs() - windowMs).catch(() => new Map<number, number>())
      const nowMs = this.#clock.monotonicMs()
      for (const [partition, atMs] of newest) this.#look(partition, atMs, nowMs)
      await sleep(this.#clock, lookMs, signal)
    }
  }

  #look(partition: number, newest: number, nowMs: number): void {
    const known = this.#partitions.get(partition)
    if (known !== undefined && known.newest >= newest) return
    if (known !== undefined) this.#longestMs = Math.max(this.#longestMs, nowMs - known.movedAtMs)
    this.#partitions.set(partition, { newest, movedAtMs: nowMs })
  }
}
