import type { Clock } from './clock.ts'

/**
 * How often each of several callers may do something: so often a minute, all of it at once where a caller was quiet (generic cell rate
 * algorithm, ITU-T I.371). A refused call is not counted.
 */
export class CallRate {
  readonly #perMinute: number
  readonly #clock: Clock
  /** By caller: when all that was done would have been done at an even pace. */
  readonly #pacedUntilMs = new Map<string, number>()

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** @returns 0: done now; else the milliseconds until the caller may. */
  take(caller: string): number {
    const nowMs = this.#clock.monotonicMs()
    const nextMs = Math.max(this.#pacedUntilMs.get(caller) ?? nowMs, nowMs) + 60_000 / this.#perMinute
    const waitMs = nextMs - nowMs - 60_000
    if (waitMs > 0) return waitMs
    this.#pacedUntilMs.set(caller, nextMs)
    return 0
  }
}
