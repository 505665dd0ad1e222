/**
 * Decides who may connect to this edge process, and tells when someone no longer may.
 *
 *   authenticate ─▶ claim ─▶ credentials from the cache (or one look-up) ─▶ admission
 *   watch        ─▶ notice of a change ─▶ credentials again ─▶ still proven? ─ no ─▶ onRevoked
 *
 * A CONNECT of a device that this process has met is answered in the same tick. Messages are never checked here.
 */

import type { Directory } from '#control/link/directory.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Counter, Metrics } from '#runtime/metrics.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Trust } from '../registry.ts'
import { type Admission, type AdmissionRules, type Admitted, admit } from './admission.ts'
import { AdmittedRequests, type RequestProof } from './admitted-requests.ts'
import { type Claim, type ConnectAttempt, claimOf, evidenceOf, type Refused, refusal } from './connect-attempt.ts'
import { CredentialCache } from './credential-cache.ts'
import { RevocationWatch } from './revocation-watch.ts'

export interface AuthenticatorOptions {
  /** Owned by the caller. */
  readonly directory: Directory
  readonly rules: AdmissionRules
  /** Devices whose credentials are kept in memory, about 1 KB each. */
  readonly devicesCachedMax: number
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  readonly clock?: Clock
}

/** A request of a device over HTTP, which carries its credentials each time. */
export interface RequestAttempt {
  /** Whom the path names. */
  readonly id: IdentityId
  /** The Authorization header; empty without one. */
  readonly authorization: string
  readonly certificates: ConnectAttempt['certificates']
  readonly confidential: boolean
}

/** A certificate counts only without a token or key. */
function proofOf({ authorization, certificates }: RequestAttempt): RequestProof | undefined {
  return authorization === '' ? certificates[0] : authorization
}

export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #clock: Clock
  readonly #cache: CredentialCache
  readonly #watch: RevocationWatch
  readonly #requests: AdmittedRequests
  readonly #admitted: Counter
  readonly #lookups: Counter

  constructor(options: AuthenticatorOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#cache = new CredentialCache(options.directory, this.#clock, options.devicesCachedMax)
    this.#requests = new AdmittedRequests(options.devicesCachedMax)
    this.#admitted = options.metrics.series('penstock_auth_admissions_total', { outcome: 'admitted' })
    this.#lookups = options.metrics.series('penstock_auth_lookups_total')
    this.#watch = new RevocationWatch(
      options.directory,
      this.#cache,
      this.#clock,
      options.logger,
      options.metrics.series('penstock_auth_revocations_total'),
    )
  }

  /** Loads policies and authorities, so that the first CONNECTs need not wait for them. Rejects as `Directory.trust`. */
  async warm(): Promise<void> {
    await this.#cache.trust()
  }

  /**
   * Decides on a CONNECT: at once where the device is cached, else after one look-up. Never rejects for what a client sends, nor
   * for a registry that does not answer (AUTH_DIRECTORY_UNAVAILABLE: tell the client to come back).
   */
  authenticate(attempt: ConnectAttempt): Admission | Promise<Admission> {
    const claim = claimOf(attempt, this.#options.rules.hubNames)
    return claim.refused ? this.#counted(claim.refused) : this.#decide(claim)
  }

  /** Decides on a request: a token or key in the Authorization header, else the certificate. Otherwise as `authenticate`. */
  authenticateRequest(attempt: RequestAttempt): Admission | Promise<Admission> {
    const { id, authorization, certificates, confidential } = attempt
    const known = this.admittedBefore(attempt)
    if (known) return known
    const password = authorization === '' ? undefined : Buffer.from(authorization, 'latin1')
    const evidence = evidenceOf(password, certificates, confidential)
    if ('admitted' in evidence) return this.#counted(evidence)
    const admission = this.#decide({ id, evidence })
    const proof = proofOf(attempt)
    if (!(admission instanceof Promise) && admission.admitted && proof !== undefined) {
      this.#requests.keep(proof, admission, this.#cache, this.#clock.nowMs())
    }
    return admission
  }

  /** The decision on a request that came before with the same token, or on the same connection, if it still holds. */
  admittedBefore(attempt: RequestAttempt): Admitted | undefined {
    const proof = attempt.confidential ? proofOf(attempt) : undefined
    if (proof === undefined) return undefined
    const known = this.#requests.admitted(attempt.id, proof, this.#cache, this.#clock.nowMs())
    if (known) this.#counted(known)
    return known
  }

  /** True if a decision on this device asks the registry nothing, or for what it is known to have. */
  knows(deviceId: string): boolean {
    return this.#cache.knows(deviceId)
  }

  /** Policies and authorities; a promise only if they must be asked for. Rejects with AUTH_DIRECTORY_UNAVAILABLE. */
  trust(): Trust | Promise<Trust> {
    return this.#cache.trust()
  }

  /**
   * Calls `onRevoked` once, as soon as the identity may no longer be connected with what it was admitted with: deleted, disabled,
   * given other keys, its policy or authority changed. Call it in the tick in which the admission is received. The result ends
   * the watch. Expiry (`expiresAtMs`) is the caller's to keep.
   */
  watch(admitted: Admitted, onRevoked: (refused: Refused) => void): () => void {
    return this.#watch.add(admitted, onRevoked)
  }

  close(): void {
    this.#watch.close()
    this.#cache.close()
  }

  #decide(claim: Claim): Admission | Promise<Admission> {
    const entry = this.#cache.device(claim.id.deviceId)
    const trust = this.#cache.trust()
    if (!(entry instanceof Promise) && !(trust instanceof Promise)) {
      return this.#counted(admit(claim, entry.device, trust, this.#options.rules, this.#clock.nowMs()))
    }
    return this.#decideLater(claim, entry, trust)
  }

  async #decideLater(
    claim: Claim,
    entry: ReturnType<CredentialCache['device']>,
    trust: ReturnType<CredentialCache['trust']>,
  ): Promise<Admission> {
    try {
      const [{ device }, policies] = await Promise.all([entry, trust])
      const admission = admit(claim, device, policies, this.#options.rules, this.#clock.nowMs())
      return this.#counted(admission)
    } catch (error) {
      if (!isPenstockError(error, 'AUTH_DIRECTORY_UNAVAILABLE')) {
        this.#options.logger.error('a look-up of credentials failed', { error })
      }
      return this.#counted(refusal('AUTH_DIRECTORY_UNAVAILABLE', 'the registry does not answer'))
    }
  }

  #counted(admission: Admission): Admission {
    if (admission.admitted) this.#admitted.add(1)
    else this.#options.metrics.series('penstock_auth_admissions_total', { outcome: admission.code }).add(1)
    this.#lookups.set(this.#cache.lookups)
    return admission
  }
}
