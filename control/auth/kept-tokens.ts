/**
 * What was last decided on the token of an identity. Bounds: `countMax` identities with one token each, so that none takes more than
 * its own place whatever it sends; a token of at most `tokenKeptBytesMax`. The identity whose token was kept longest ago leaves first.
 *
 * Tokens that have expired leave while others come: each that is kept looks at two of the others, in turns, so that all have been
 * looked at before as many again were kept.
 */
import { timingSafeEqual } from 'node:crypto'
import { forgetOldest } from '#runtime/forget-oldest.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'

interface Kept<T> {
  readonly token: Buffer
  readonly expiresAtMs: number
  readonly value: T
}

const lookedAtEachTime = 2

export class KeptTokens<T> {
  readonly #countMax: number
  readonly #kept = new Map<string, Kept<T>>()
  #round = this.#kept.entries()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  get count(): number {
    return this.#kept.size
  }

  /** HOT: per HTTP request; one map look-up and one comparison, which takes the same time wherever the tokens differ. */
  get(id: IdentityId, token: string, nowMs: number): T | undefined {
    const kept = this.#kept.get(identityText(id))
    if (kept === undefined || kept.token.length !== token.length) return undefined
    if (kept.expiresAtMs <= nowMs || !timingSafeEqual(kept.token, Buffer.from(token, 'latin1'))) return undefined
    return kept.value
  }

  /** @param token of bytes seen as latin1, as headers are; @param expiresAtMs `undefined`: never */
  set(id: IdentityId, token: string, value: T, expiresAtMs: number | undefined, nowMs: number): void {
    if (token.length > limits.tokenKeptBytesMax) return
    const key = identityText(id)
    this.#kept.delete(key)
    this.#kept.set(key, { token: Buffer.from(token, 'latin1'), expiresAtMs: expiresAtMs ?? Infinity, value })
    for (let looked = 0; looked < lookedAtEachTime; looked++) this.#dropIfExpired(nowMs)
    forgetOldest(this.#kept, this.#countMax)
  }

  #dropIfExpired(nowMs: number): void {
    const next = this.#round.next()
    if (next.done) this.#round = this.#kept.entries()
    else if (next.value[1].expiresAtMs <= nowMs) this.#kept.delete(next.value[0])
  }
}
