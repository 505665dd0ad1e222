import type { X509Certificate } from 'node:crypto'
import type { CredentialCache } from '../credential-cache.ts'
import type { IdentityId } from '../identity.ts'
import type { Admitted } from './admission.ts'

interface Kept {
  readonly admitted: Admitted
  /** The cache's answers that the decision rests on; others in their place mean that something changed. */
  readonly entry: object
  readonly trust: object
}

/** A token, or the leaf that a connection was opened with: each handshake gives an object of its own. */
export type RequestProof = string | X509Certificate

/**
 * Proofs that were admitted, so that a device that sends a token with each HTTP request costs one signature, not one a request, and
 * one with a certificate one a connection. A proof counts as long as it has not expired and neither the device nor the policies and
 * authorities were told to have changed.
 * Bound: `countMax` tokens; the one kept longest leaves first. Certificates leave with their connections.
 */
export class AdmittedRequests {
  readonly #countMax: number
  readonly #tokens = new Map<string, Kept>()
  readonly #certificates = new WeakMap<X509Certificate, Kept>()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  // HOT: per HTTP request; two map look-ups and comparisons, nothing allocated.
  admitted(id: IdentityId, proof: RequestProof, cache: CredentialCache, nowMs: number): Admitted | undefined {
    const kept = typeof proof === 'string' ? this.#tokens.get(proof) : this.#certificates.get(proof)
    if (!kept) return undefined
    const { admitted, entry, trust } = kept
    if (admitted.deviceId !== id.deviceId || admitted.moduleId !== id.moduleId) return undefined
    if (admitted.expiresAtMs !== undefined && admitted.expiresAtMs <= nowMs) return undefined
    return cache.holds(id.deviceId, entry, trust) ? admitted : undefined
  }

  keep(proof: RequestProof, admitted: Admitted, cache: CredentialCache): void {
    const entry = cache.device(admitted.deviceId)
    const trust = cache.trust()
    if (entry instanceof Promise || trust instanceof Promise) return
    const kept = { admitted, entry, trust }
    if (typeof proof !== 'string') {
      this.#certificates.set(proof, kept)
      return
    }
    this.#tokens.set(proof, kept)
    if (this.#tokens.size <= this.#countMax) return
    const [oldest] = this.#tokens.keys()
    if (oldest !== undefined) this.#tokens.delete(oldest)
  }
}
