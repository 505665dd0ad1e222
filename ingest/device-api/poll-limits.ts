import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'

/** How often each device asks what became of its registration. Only who proved itself is counted: others cannot use up its turns. */
export class PollLimits {
  readonly #clock: Clock
  readonly #counts = new Map<string, number>()
  #window = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns whole seconds until it may ask again; 0: it may */
  waitSeconds(registrationId: string): number {
    this.#roll()
    if ((this.#counts.get(registrationId.toLowerCase()) ?? 0) < limits.registrationPollsMax) return 0
    const endsAtMs = (this.#window + 1) * limits.registrationPollsWindowMs
    return Math.max(1, Math.ceil((endsAtMs - this.#clock.nowMs()) / 1000))
  }

  count(registrationId: string): void {
    this.#roll()
    const key = registrationId.toLowerCase()
    if (this.#counts.size >= limits.registrationPollersMax && !this.#counts.has(key)) this.#counts.clear()
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  #roll(): void {
    const window = Math.floor(this.#clock.nowMs() / limits.registrationPollsWindowMs)
    if (window === this.#window) return
    this.#window = window
    this.#counts.clear()
  }
}
