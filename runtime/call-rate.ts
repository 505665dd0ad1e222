import type { Clock } from './clock.ts'
import { TokenBucket } from './token-bucket.ts'

/** What a call takes of its caller's bucket: so a bucket fills by whole numbers each millisecond. */
const tokensPerCall = 60_000

/** How often each of several callers may do something: so often a minute, all of it at once where a caller was quiet. A refused call is not counted. */
export class CallRate {
  readonly #perMinute: number
  readonly #clock: Clock
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute
    this.#clock = clock
  }

  /** @returns 0: done now; else the milliseconds until the caller may. */
  take(caller: string): number {
    const nowMs = this.#clock.monotonicMs()
    const bucket =
      this.#buckets.get(caller) ?? new TokenBucket(this.#perMinute * 1_000, this.#perMinute * tokensPerCall, nowMs)
    this.#buckets.set(caller, bucket)
    const waitMs = bucket.missingMs(tokensPerCall, nowMs)
    if (waitMs === 0) bucket.take(tokensPerCall, nowMs)
    return waitMs
  }
}
