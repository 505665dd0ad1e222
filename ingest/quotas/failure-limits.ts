/**
 * Failed attempts to prove an identity, counted by network address, and by device at an address. They slow failures
 * only. All credentials are looked at, and good ones let in: a client that fails may share an address with one that has
 * the key.
 *
 *   attempt ─▶ over the limit? ─▶ device unknown here? ─▶ waits for its turn among the look-ups of its network
 *           ─▶ looked at ─▶ good: let in
 *                        └▶ bad: counted; told why within the limit, and to come back later over it
 *
 * To look at credentials costs less than the connection or request that brought them, except for a look-up in the
 * registry. A network that fails gets only so many look-ups. Guessing is hopeless at any speed: keys have 128 bits and
 * more.
 */
import { assert } from '#runtime/assert.ts'
import { networkOf } from '#runtime/network-of.ts'
import { TokenBucket } from '#runtime/token-bucket.ts'

export interface FailureRates {
  readonly address: number
  readonly deviceAtAddress: number
}

export class FailureLimits {
  readonly #byAddress: FailureTable
  readonly #byDevice: FailureTable
  readonly #lookups = new Map<string, TokenBucket>()
  readonly #entriesMax: number

  /** @param entriesMax of each of the two tables; the oldest entry is forgotten for a new one */
  constructor(perMinute: FailureRates, entriesMax: number) {
    this.#byAddress = new FailureTable(perMinute.address, entriesMax)
    this.#byDevice = new FailureTable(perMinute.deviceAtAddress, entriesMax)
    this.#entriesMax = entriesMax
  }

  /** Milliseconds until another failure is within the limit; 0: one now is. */
  waitMs(address: string, deviceId: string, nowMs: number): number {
    if (this.size === 0) return 0
    const network = networkOf(address)
    return Math.max(this.#byAddress.waitMs(network, nowMs), this.#byDevice.waitMs(`${network} ${deviceId}`, nowMs))
  }

  failed(address: string, deviceId: string, nowMs: number): void {
    const network = networkOf(address)
    this.#byAddress.failed(network, nowMs)
    this.#byDevice.failed(`${network} ${deviceId}`, nowMs)
  }

  /**
   * Takes one look-up in the registry for a network that fails.
   * @returns milliseconds until its turn; if they are more than `msMax` nothing is taken
   */
  lookupWaitMs(address: string, perSecond: number, msMax: number, nowMs: number): number {
    const network = networkOf(address)
    let bucket = this.#lookups.get(network)
    if (bucket === undefined) {
      if (this.#lookups.size >= this.#entriesMax) forgetOldest(this.#lookups)
      bucket = new TokenBucket(perSecond, perSecond, nowMs)
      this.#lookups.set(network, bucket)
      assert(this.#lookups.size <= this.#entriesMax, 'the oldest network is forgotten for a new one')
    }
    const waitMs = bucket.waitMs(nowMs)
    if (waitMs <= msMax) bucket.take(1, nowMs)
    return waitMs
  }

  get size(): number {
    return this.#byAddress.size + this.#byDevice.size
  }
}

class FailureTable {
  readonly #perMinute: number
  readonly #entriesMax: number
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(perMinute: number, entriesMax: number) {
    assert(perMinute >= 0 && entriesMax > 0, 'failures have a rate, and room to be counted')
    this.#perMinute = perMinute
    this.#entriesMax = entriesMax
  }

  get size(): number {
    return this.#buckets.size
  }

  waitMs(key: string, nowMs: number): number {
    return this.#buckets.get(key)?.missingMs(1, nowMs) ?? 0
  }

  failed(key: string, nowMs: number): void {
    if (this.#perMinute === 0) return
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      if (this.#buckets.size >= this.#entriesMax) forgetOldest(this.#buckets)
      bucket = new TokenBucket(this.#perMinute / 60, this.#perMinute, nowMs)
    } else this.#buckets.delete(key) // and entered again as the youngest
    // Attempts that were under way together may all fail; none of them counts below empty.
    if (bucket.missingMs(1, nowMs) === 0) bucket.take(1, nowMs)
    this.#buckets.set(key, bucket)
    assert(this.#buckets.size <= this.#entriesMax, 'the oldest entry is forgotten for a new one')
  }
}

function forgetOldest(buckets: Map<string, TokenBucket>): void {
  for (const key of buckets.keys()) {
    buckets.delete(key)
    return
  }
}
