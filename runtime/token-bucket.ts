/**
 * A token bucket that may owe: what was already taken in is never undone, it is waited for.
 *
 *   tokens ≤ burst     grows by `perSecond`     take(n) subtracts, below zero too     waitMs = debt ÷ rate
 */
import { assert } from './assert.ts'
export class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #atMs: number

  /** @param perSecond more than 0 @param burst tokens it can hold; begins full */
  constructor(perSecond: number, burst: number, nowMs: number) {
    assert(perSecond > 0 && burst > 0, 'a bucket fills, and holds something')
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
    this.#atMs = nowMs
  }

  /** Takes `amount`, owing what is not there. @returns milliseconds until nothing is owed; 0 if nothing is */
  take(amount: number, nowMs: number): number {
    this.#fill(nowMs)
    this.#tokens -= amount
    return this.#debtMs()
  }

  /** Milliseconds until nothing is owed. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#debtMs()
  }

  /** Milliseconds until `amount` could be taken without owing; takes nothing. */
  missingMs(amount: number, nowMs: number): number {
    this.#fill(nowMs)
    const missing = amount - this.#tokens
    return missing <= 0 ? 0 : Math.max(1, Math.ceil(missing / this.#perMs))
  }

  /** True if it remembers nothing: forgetting it changes nothing. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs)
    return this.#tokens >= this.#burst
  }

  #fill(nowMs: number): void {
    // A clock that was set back fills nothing, and goes on from there.
    const elapsedMs = nowMs - this.#atMs
    this.#atMs = nowMs
    if (elapsedMs > 0) this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perMs)
  }

  #debtMs(): number {
    return this.#tokens >= 0 ? 0 : Math.max(1, Math.ceil(-this.#tokens / this.#perMs))
  }
}
