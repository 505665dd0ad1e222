import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { LogRecord } from '#pipeline/log/log.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { RangeSelector } from '../range-selector.ts'

/** Spreads messages over time, whoever takes their turn: not more than so many a second, once a first lot is gone. */
export class Pace {
  readonly #clock: Clock
  readonly perSecondMax: number
  #freeMonotonicMs = 0

  constructor(perSecondMax: number, clock: Clock) {
    this.perSecondMax = perSecondMax
    this.#clock = clock
  }

  /** Waits until so many may go; at once when `ended` aborts. */
  async take(count: number, ended: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs()
    const turnMs = Math.max(nowMs, this.#freeMonotonicMs)
    this.#freeMonotonicMs = turnMs + (count * 1_000) / this.perSecondMax
    if (turnMs > nowMs) await sleep(this.#clock, turnMs - nowMs, ended)
  }
}

/** Selects as another one, and no faster than its pace. */
export class PacedSelector implements RangeSelector {
  readonly selectsEverything: boolean
  readonly #selector: RangeSelector
  readonly #pace: Pace
  readonly #ended: AbortSignal

  constructor(selector: RangeSelector, pace: Pace, ended: AbortSignal) {
    this.selectsEverything = selector.selectsEverything
    this.#selector = selector
    this.#pace = pace
    this.#ended = ended
  }

  async select(
    range: DeliveryRange,
    records: readonly LogRecord[],
    revision: string | undefined,
  ): Promise<SelectedRange> {
    const selected = await this.#selector.select(range, records, revision)
    await this.#pace.take(selected.range.messageCount, this.#ended)
    return selected
  }
}
