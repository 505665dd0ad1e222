import { createHash } from 'node:crypto'
import type { Trust } from '#control/trust/trust.ts'
import { limits } from '#schemas/limits.ts'
import { type SignedToken, signedToken } from './admission.ts'
import type { Refused } from './auth.ts'

/**
 * Tokens of services whose signature was found good: a service sends the same one with each request, and checking it costs as much as all the
 * rest of a short one. Forgotten as soon as policies or keys are others. What a token is for, and until when, is looked at each time.
 */
export class SignedTokens {
  /** By a digest, so that the time of a look-up tells nothing of tokens that are nearly right. The oldest comes first. */
  readonly #known = new Map<string, SignedToken>()
  #trust: Trust | undefined

  /** HOT: per request of a service; one digest where the token is known. */
  readonly of = (authorization: string, trust: Trust): SignedToken | Refused => {
    if (trust !== this.#trust) {
      this.#trust = trust
      this.#known.clear()
    }
    if (authorization.length > limits.tokenKeptBytesMax) return signedToken(authorization, trust)
    const digest = createHash('sha256').update(authorization).digest('base64')
    const known = this.#known.get(digest)
    if (known !== undefined) return known
    const signed = signedToken(authorization, trust)
    if ('admitted' in signed) return signed
    this.#known.set(digest, signed)
    if (this.#known.size > limits.signedTokensMax) {
      const [oldest = ''] = this.#known.keys()
      this.#known.delete(oldest)
    }
    return signed
  }
}
