import { type Clock, sleep } from './clock.ts'

/** Spreads what is done over time: so much of it a second, over all that share a pace. What was begun is charged, and the next waits for it. */
export class Pace {
  readonly #perSecond: number
  readonly #clock: Clock
  #readyAtMs = 0
  /** So many at a time keep the pace without lumps: a tenth of a second of it. */
  readonly atOnce: number

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond
    this.#clock = clock
    this.atOnce = Math.ceil(perSecond / 10)
  }

  /** Resolves once something may begin, or when `signal` aborts. */
  async ready(signal: AbortSignal): Promise<void> {
    for (;;) {
      const waitMs = this.#readyAtMs - this.#clock.monotonicMs()
      if (waitMs <= 0 || signal.aborted) return
      await sleep(this.#clock, waitMs, signal)
    }
  }

  charge(count: number): void {
    this.#readyAtMs = Math.max(this.#readyAtMs, this.#clock.monotonicMs()) + (count * 1_000) / this.#perSecond
  }
}
