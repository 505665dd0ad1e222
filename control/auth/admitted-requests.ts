import type { CredentialCache } from '../credential-cache.ts'
import type { IdentityId } from '../identity.ts'
import type { Admitted } from './admission.ts'
import { KeptTokens } from './kept-tokens.ts'

interface Kept {
  readonly admitted: Admitted
  /** The cache's answers that the decision rests on; others in their place mean that something changed. */
  readonly entry: object
  readonly trust: object
}

/**
 * Tokens that were admitted, so that a device that sends one with each HTTP request costs one signature, not one a request. A
 * token counts as long as it has not expired and neither the device nor the policies were told to have changed.
 * Bound: that of `KeptTokens`; of a device that sends several in turns the last is known.
 */
export class AdmittedRequests {
  readonly #kept: KeptTokens<Kept>

  constructor(countMax: number) {
    this.#kept = new KeptTokens(countMax)
  }

  get count(): number {
    return this.#kept.count
  }

  // HOT: per HTTP request; two map look-ups and comparisons.
  admitted(id: IdentityId, authorization: string, cache: CredentialCache, nowMs: number): Admitted | undefined {
    const kept = this.#kept.get(id, authorization, nowMs)
    if (!kept) return undefined
    const { admitted, entry, trust } = kept
    return cache.holds(id.deviceId, entry, trust) ? admitted : undefined
  }

  keep(authorization: string, admitted: Admitted, cache: CredentialCache, nowMs: number): void {
    const entry = cache.device(admitted.deviceId)
    const trust = cache.trust()
    if (entry instanceof Promise || trust instanceof Promise) return
    this.#kept.set(admitted, authorization, { admitted, entry, trust }, admitted.expiresAtMs, nowMs)
  }
}
