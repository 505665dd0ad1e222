import type { Registrant } from '#ingest/session/principal.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'

/**
 * How often each device asks what became of its registration. Only who proved itself is counted: others cannot use up its turns.
 *
 * Whether it did is known only once it is answered. Until then it is counted beside others of the same proof alone, so that asking many times at
 * once is asking many times.
 */
export class PollLimits {
  readonly #clock: Clock
  readonly #counts = new Map<string, number>()
  readonly #underWay = new Map<string, number>()
  #window = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns whole seconds until it may ask again; 0: it may, and is under way until its end is told */
  begin(who: Registrant): number {
    this.#roll()
    const proof = proofOf(who)
    const underWay = this.#underWay.get(proof) ?? 0
    const asked = (this.#counts.get(keyOf(who)) ?? 0) + underWay
    if (asked >= limits.registrationPollsMax) {
      const endsAtMs = (this.#window + 1) * limits.registrationPollsWindowMs
      return Math.max(1, Math.ceil((endsAtMs - this.#clock.nowMs()) / 1000))
    }
    this.#underWay.set(proof, underWay + 1)
    return 0
  }

  /** @param isProven it asked as the device that it says it is */
  end(who: Registrant, isProven: boolean): void {
    const proof = proofOf(who)
    const underWay = this.#underWay.get(proof) ?? 0
    assert(underWay > 0, 'what ends was begun under the same proof, which it would block for ever otherwise')
    if (underWay > 1) this.#underWay.set(proof, underWay - 1)
    else this.#underWay.delete(proof)
    if (isProven) this.#count(keyOf(who))
  }

  #count(key: string): void {
    this.#roll()
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

function keyOf({ registrationId }: Registrant): string {
  return registrationId.toLowerCase()
}

function proofOf(who: Registrant): string {
  return `${keyOf(who)} ${who.token ?? who.certificates[0] ?? ''}`
}
