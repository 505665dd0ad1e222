/**
 * Failed attempts to prove an identity, counted by network address, and by device at an address. Whoever failed too often is
 * refused before credentials are looked at.
 *
 * Not by device alone: then anyone could shut a device out by failing in its name. Guessing from many addresses stays hopeless,
 * since keys have 128 bits and more.
 */
import { isIPv6 } from 'node:net'
import { TokenBucket } from './token-bucket.ts'

export interface FailureRates {
  readonly address: number
  readonly deviceAtAddress: number
}

export class FailureLimits {
  readonly #byAddress: FailureTable
  readonly #byDevice: FailureTable

  /** @param entriesMax of each of the two tables; the oldest entry is forgotten for a new one */
  constructor(perMinute: FailureRates, entriesMax: number) {
    this.#byAddress = new FailureTable(perMinute.address, entriesMax)
    this.#byDevice = new FailureTable(perMinute.deviceAtAddress, entriesMax)
  }

  /** Milliseconds until another attempt is looked at; 0: now. */
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

  get size(): number {
    return this.#byAddress.size + this.#byDevice.size
  }
}

class FailureTable {
  readonly #perMinute: number
  readonly #entriesMax: number
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(perMinute: number, entriesMax: number) {
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
      if (this.#buckets.size >= this.#entriesMax) this.#forgetOldest()
      bucket = new TokenBucket(this.#perMinute / 60, this.#perMinute, nowMs)
    } else this.#buckets.delete(key) // and entered again as the youngest
    // Attempts that were under way together may all fail; none of them counts below empty.
    if (bucket.missingMs(1, nowMs) === 0) bucket.take(1, nowMs)
    this.#buckets.set(key, bucket)
  }

  #forgetOldest(): void {
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key)
      return
    }
  }
}

/** An IPv4 address, or the /64 of an IPv6 one, which is what one subscriber has. */
export function networkOf(address: string): string {
  const mapped = /^(?:::ffff:|(?:0000:){5}ffff:)(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped) return mapped[1] as string
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':')
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}
