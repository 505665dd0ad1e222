/**
 * In whose turn records are looked into. An endpoint that keeps up does so at once. One that is far behind, after an outage or since it begins in the past of the
 * log, has much to look into and nobody who waits for it. Those that are behind take turns, a record at a time, and between two of these the process does what else
 * there is to do:
 *
 *   keeping up   ──▶ a ──▶ b ──▶ c ──▶ …          whenever one comes
 *   behind       ──▶ 1 ──▶│──▶ 2 ──▶│──▶ 3 …     one under way
 *
 * So together they take one core at most, and an endpoint that keeps up waits for a record of theirs at the longest, however many they have. Endpoints that may have
 * to wait for twins meanwhile have turns of their own.
 */
import { type Clock, systemClock } from '#runtime/clock.ts'
import { Permits } from '#runtime/permits.ts'
import { limits } from '#schemas/limits.ts'

export class SelectionTurns {
  /** By part of the routes: `RouteSet.part`. */
  readonly #behind = new Map<string, Permits>()
  readonly #pause: () => Promise<void>
  readonly #clock: Pick<Clock, 'nowMs'>
  /** Of the newest record that anybody came to. */
  #newestAtMs = 0

  /** @param pause between two records of those behind */
  constructor(pause: () => Promise<void> = untilIdle, clock: Pick<Clock, 'nowMs'> = systemClock) {
    this.#pause = pause
    this.#clock = clock
  }

  /** Somebody came to a record that nobody has to look into. @param enqueuedAtMs of its last message */
  came(enqueuedAtMs: number): void {
    // An edge whose clock was ahead would make all records old, and for long.
    this.#newestAtMs = Math.max(this.#newestAtMs, Math.min(enqueuedAtMs, this.#clock.nowMs()))
  }

  /** Looks into a record in its turn. */
  async take<T>(part: string, enqueuedAtMs: number, look: () => Promise<T>): Promise<T> {
    this.came(enqueuedAtMs)
    if (this.#newestAtMs - enqueuedAtMs < limits.routedBehindMs) return await look()
    const permits = this.#behind.get(part) ?? new Permits(1)
    this.#behind.set(part, permits)
    return await permits.with(async () => {
      await this.#pause()
      return await look()
    })
  }
}

/** What came meanwhile, from the network or from threads, has its turn first. */
const untilIdle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
