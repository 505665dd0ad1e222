import { type Clock, sleep } from '#runtime/clock.ts'
import type { ControlState } from './role-contract.ts'

export type ControlFound =
  | { readonly kind: 'at'; readonly url: string }
  /** There is none, and there will be none. */
  | { readonly kind: 'none' }
  | { readonly kind: 'away'; readonly retryAfterMs: number }

export interface ControlAddressOptions {
  /** As the settings name it. */
  readonly url: string | undefined
  /** Asks the supervisor, who starts the control role where none runs and answers by `told`; `undefined`: there is no supervisor. */
  readonly ask: (() => void) | undefined
  readonly clock: Clock
}

/** A first start makes the store, which takes some four seconds, and more on a busy machine. */
const startMsMax = 20_000
const retryAfterMs = 1_000
/** A role that is used says so this often, so that it is not ended. */
const usedDelayMs = 10_000

/** Where an edge finds the control role, which may have to start first. */
export class ControlAddress {
  readonly #options: ControlAddressOptions
  #url: string | undefined
  #askedAtMs = Number.NEGATIVE_INFINITY
  readonly #waiting = new Set<(found: ControlFound) => void>()

  constructor(options: ControlAddressOptions) {
    this.#options = options
    this.#url = options.url
  }

  told(control: ControlState): void {
    this.#url = control.state === 'running' ? control.url : undefined
    // It is being started for them.
    if (control.state === 'away') return
    const found: ControlFound =
      control.state === 'running'
        ? { kind: 'at', url: control.url }
        : { kind: 'away', retryAfterMs: control.retryAfterMs }
    for (const tell of this.#waiting) tell(found)
    this.#waiting.clear()
  }

  /** Resolves once it runs, or cannot be reached for now; never rejects. */
  async find(): Promise<ControlFound> {
    const { ask, clock } = this.#options
    if (this.#url !== undefined) {
      this.#sayUsed()
      return { kind: 'at', url: this.#url }
    }
    if (ask === undefined) return { kind: 'none' }
    const found = new AbortController()
    let answer: ControlFound = { kind: 'away', retryAfterMs }
    const tell = (told: ControlFound): void => {
      answer = told
      found.abort()
    }
    this.#waiting.add(tell)
    ask()
    await sleep(clock, startMsMax, found.signal)
    this.#waiting.delete(tell)
    return answer
  }

  #sayUsed(): void {
    const nowMs = this.#options.clock.monotonicMs()
    if (nowMs - this.#askedAtMs < usedDelayMs) return
    this.#askedAtMs = nowMs
    this.#options.ask?.()
  }
}
