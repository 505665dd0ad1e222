import type { X509Certificate } from 'node:crypto'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { Admitted } from './auth.ts'
import type { CredentialCache } from './credential-cache.ts'
import { KeptTokens } from './kept-tokens.ts'

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
 * Bound: that of `KeptTokens`; of a device that sends several in turns the last is known. Certificates leave with their connections.
 */
export class AdmittedRequests {
  readonly #tokens: KeptTokens<Kept>
  readonly #certificates = new WeakMap<X509Certificate, Kept>()

  constructor(countMax: number) {
    this.#tokens = new KeptTokens(countMax)
  }

  /** Tokens that are kept. */
  get count(): number {
    return this.#tokens.count
  }

  // HOT: per HTTP request; two map look-ups and comparisons.
  admitted(id: IdentityId, proof: RequestProof, cache: CredentialCache, nowMs: number): Admitted | undefined {
    const kept = typeof proof === 'string' ? this.#tokens.get(id, proof, nowMs) : this.#certificateOf(id, proof, nowMs)
    if (!kept) return undefined
    const { admitted, entry, trust } = kept
    return cache.holds(id.deviceId, entry, trust) ? admitted : undefined
  }

  keep(proof: RequestProof, admitted: Admitted, cache: CredentialCache, nowMs: number): void {
    const entry = cache.device(admitted.deviceId)
    const trust = cache.trust()
    if (entry instanceof Promise || trust instanceof Promise) return
    const kept = { admitted, entry, trust }
    if (typeof proof === 'string') this.#tokens.set(admitted, proof, kept, admitted.expiresAtMs, nowMs)
    else this.#certificates.set(proof, kept)
  }

  #certificateOf({ deviceId, moduleId }: IdentityId, proof: X509Certificate, nowMs: number): Kept | undefined {
    const kept = this.#certificates.get(proof)
    const admitted = kept?.admitted
    if (admitted?.deviceId !== deviceId || admitted.moduleId !== moduleId) return undefined
    return admitted.expiresAtMs !== undefined && admitted.expiresAtMs <= nowMs ? undefined : kept
  }
}
