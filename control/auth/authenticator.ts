/**
 * Decides who may connect to this edge process, and tells when someone no longer may.
 *
 *   authenticate ─▶ claim ─▶ credentials from the cache (or one look-up) ─▶ admission
 *   watch        ─▶ notice of a change ─▶ credentials again ─▶ still proven? ─ no ─▶ onRevoked
 *
 * A CONNECT of a device that this process has met is answered in the same tick. Messages are never checked here.
 */

import type { CredentialSource } from '#control/identities/identities.ts'
import { type Right, rights } from '#control/rest/rights.ts'
import type { Invalidations } from '#control/store/changes.ts'
import type { TrustSource } from '#control/trust/trust.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Counter, Metrics } from '#runtime/metrics.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { admit, proveService } from './admission.ts'
import { AdmittedRequests, type RequestProof } from './admitted-requests.ts'
import {
  type Admission,
  type AdmissionRules,
  type Admitted,
  type ConnectAttempt,
  type PolicyProof,
  type Refused,
  type RequestAttempt,
  refusal,
} from './auth.ts'
import { type Claim, claimOf, evidenceOf } from './connect-attempt.ts'
import { CredentialCache } from './credential-cache.ts'
import { KnownIntermediates } from './known-intermediates.ts'
import { RevocationWatch } from './revocation-watch.ts'

export interface AuthenticatorOptions {
  /** Owned by the caller. */
  readonly directory: CredentialSource & TrustSource & Invalidations
  readonly rules: AdmissionRules
  /** Devices whose credentials are kept in memory, about 1 KB each. */
  readonly devicesCachedMax: number
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  readonly clock?: Clock
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
  readonly #intermediates = new KnownIntermediates()
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

  /** Loads policies and authorities, so that the first CONNECTs need not wait for them. Rejects as `TrustSource.trust`. */
  async warm(): Promise<void> {
    await this.#cache.trust()
  }

  /**
   * Decides on a CONNECT: at once where the device is cached, else after one look-up. Never rejects for what a client sends, nor
   * for a registry that does not answer (AUTH_DIRECTORY_UNAVAILABLE: tell the client to come back).
   */
  authenticate(attempt: ConnectAttempt): Admission | Promise<Admission> {
    const certificates = this.#intermediates.completed(attempt.certificates)
    const claim = claimOf({ ...attempt, certificates }, this.#options.rules.hubNames)
    return claim.refused ? this.#counted(claim.refused) : this.#decide(claim)
  }

  /** Decides on a request: a token or key in the Authorization header, else the certificate. Otherwise as `authenticate`. */
  authenticateRequest(attempt: RequestAttempt): Admission | Promise<Admission> {
    const { id, authorization, certificates, confidential } = attempt
    const known = this.admittedBefore(attempt)
    if (known) return known
    const password = authorization === '' ? undefined : Buffer.from(authorization, 'latin1')
    const evidence = evidenceOf(password, this.#intermediates.completed(certificates), confidential)
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

  /**
   * Decides on a service that sends a policy's token to this edge process. Rejects as `TrustSource.trust`.
   * @param authorization the header
   * @param resource path segments that the token must cover
   */
  async authenticateService(
    authorization: string,
    right: Right,
    resource: readonly string[],
    confidential: boolean,
  ): Promise<PolicyProof | Refused> {
    const trust = await this.#cache.trust()
    return proveService(authorization, right, resource, confidential, trust, this.#options.rules, this.#clock.nowMs())
  }

  /** Whose policy's token it is, whatever that policy may do. Rejects as `TrustSource.trust`. */
  async authenticateHolder(authorization: string, confidential: boolean): Promise<PolicyProof | Refused> {
    let proof: PolicyProof | Refused = refusal('AUTH_RIGHT_MISSING', 'the policy has no right')
    for (const right of rights) {
      proof = await this.authenticateService(authorization, right, [], confidential)
      if (!('code' in proof) || proof.code !== 'AUTH_RIGHT_MISSING') break
    }
    return proof
  }

  /** True if a decision on this device asks the registry nothing, or for what it is known to have. */
  knows(deviceId: string): boolean {
    return this.#cache.knows(deviceId)
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
      return this.#decided(claim, admit(claim, entry.device, trust, this.#options.rules, this.#clock.nowMs()))
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
      return this.#decided(claim, admit(claim, device, policies, this.#options.rules, this.#clock.nowMs()))
    } catch (error) {
      if (!isPenstockError(error, 'AUTH_DIRECTORY_UNAVAILABLE')) {
        this.#options.logger.error('a look-up of credentials failed', { error })
      }
      return this.#counted(refusal('AUTH_DIRECTORY_UNAVAILABLE', 'the registry does not answer'))
    }
  }

  #decided({ evidence }: Claim, admission: Admission): Admission {
    if (admission.admitted && admission.proof.kind === 'authority' && evidence.kind === 'certificate')
      this.#intermediates.remember(evidence.certificates)
    return this.#counted(admission)
  }

  #counted(admission: Admission): Admission {
    if (admission.admitted) this.#admitted.add(1)
    else this.#options.metrics.series('penstock_auth_admissions_total', { outcome: admission.code }).add(1)
    this.#lookups.set(this.#cache.lookups)
    return admission
  }
}
