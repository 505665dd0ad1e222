import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'

/** Until it is known better: what a core does. */
const perSecondAtFirst = 500
/** Weight of the last second in what is expected of the next. */
const newest = 0.5

/**
 * When those may come back who found no room: one behind the other, as many a second as were served lately. So the next wave is no larger
 * than what is served, however many they are. Nothing is kept of them.
 */
export class ReturnTurns {
  readonly #clock: Clock
  #perSecond = perSecondAtFirst
  #second: number
  #servedInSecond = 0
  #isFullInSecond = false
  /** Until when turns were given. */
  #givenToMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#second = Math.floor(clock.nowMs() / 1000)
  }

  served(): void {
    this.#roll()
    this.#servedInSecond++
  }

  /** The next turn, whole seconds from now. */
  nextSeconds(): number {
    this.#roll()
    this.#isFullInSecond = true
    const nowMs = this.#clock.nowMs()
    this.#givenToMs = Math.max(this.#givenToMs, nowMs + 1000) + 1000 / this.#perSecond
    return Math.min(Math.ceil((this.#givenToMs - nowMs) / 1000), limits.registrationReturnSecondsMax)
  }

  /** Only a second in which some found no room says how many can be served. */
  #roll(): void {
    const second = Math.floor(this.#clock.nowMs() / 1000)
    if (second === this.#second) return
    this.#second = second
    if (this.#isFullInSecond)
      this.#perSecond = Math.max(1, this.#perSecond * (1 - newest) + this.#servedInSecond * newest)
    this.#servedInSecond = 0
    this.#isFullInSecond = false
  }
}
