import type { CredentialCache } from '../credential-cache.ts'
import type { IdentityId } from '../identity.ts'
import type { Admitted } from './admission.ts'

interface Kept {
  readonly admitted: Admitted
  /** The cache's answers that the decision rests on; others in their place mean that something changed. */
  readonly entry: object
  readonly trust: object
}

/**
 * Tokens that were admitted, so that a device that sends one with each HTTP request costs one signature, not one a request. A
 * token counts as long as it has not expired and neither the device nor the policies were told to have changed.
 * Bound: `countMax` tokens; the one kept longest leaves first.
 */
export class AdmittedRequests {
  readonly #countMax: number
  readonly #kept = new Map<string, Kept>()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  // HOT: per HTTP request; two map look-ups and comparisons, nothing allocated.
  admitted(id: IdentityId, authorization: string, cache: CredentialCache, nowMs: number): Admitted | undefined {
    const kept = this.#kept.get(authorization)
    if (!kept) return undefined
    const { admitted, entry, trust } = kept
    if (admitted.deviceId !== id.deviceId || admitted.moduleId !== id.moduleId) return undefined
    if (admitted.expiresAtMs !== undefined && admitted.expiresAtMs <= nowMs) return undefined
    return cache.holds(id.deviceId, entry, trust) ? admitted : undefined
  }

  keep(authorization: string, admitted: Admitted, cache: CredentialCache): void {
    const entry = cache.device(admitted.deviceId)
    const trust = cache.trust()
    if (entry instanceof Promise || trust instanceof Promise) return
    this.#kept.set(authorization, { admitted, entry, trust })
    if (this.#kept.size <= this.#countMax) return
    const [oldest] = this.#kept.keys()
    if (oldest !== undefined) this.#kept.delete(oldest)
  }
}
