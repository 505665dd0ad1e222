import type { Gate } from '#control/rest/operation.ts'
import type { Right } from '#control/rest/rights.ts'
import type { Changes } from '#control/store/changes.ts'
import type { Trust, TrustSource } from '#control/trust/trust.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { proveService } from './admission.ts'
import { type AdmissionRules, type PolicyProof, publicReason, type Refused } from './auth.ts'
import { SignedTokens } from './signed-tokens.ts'

/** Decides what a service may do by the policy token it sends. Keeps the policies in memory, fresh by the store's changes. */
export class ServiceGate implements Gate {
  readonly #source: TrustSource
  readonly #rules: AdmissionRules
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #unwatch: () => void
  readonly #signed = new SignedTokens()
  #trust: Trust
  #reloading = false
  #reloadAgain = false

  private constructor(
    source: TrustSource,
    changes: Changes,
    rules: AdmissionRules,
    clock: Clock,
    logger: Logger,
    trust: Trust,
  ) {
    this.#source = source
    this.#rules = rules
    this.#clock = clock
    this.#logger = logger
    this.#trust = trust
    this.#unwatch = changes.onChange((change) => {
      if (change.kind === 'trust' || change.kind === 'resync') void this.#reload()
    })
  }

  static async open(
    source: TrustSource,
    changes: Changes,
    rules: AdmissionRules,
    clock: Clock,
    logger: Logger,
  ): Promise<ServiceGate> {
    const gate = new ServiceGate(source, changes, rules, clock, logger, { policies: [], authorities: [] })
    gate.#trust = await source.trust()
    return gate
  }

  admit(
    authorization: string,
    right: Right,
    resource: readonly string[],
    confidential: boolean,
  ): PolicyProof | Refused {
    const nowMs = this.#clock.nowMs()
    const signed = this.#signed.of
    return proveService(authorization, right, resource, confidential, this.#trust, this.#rules, nowMs, signed)
  }

  publicReason(refused: Pick<Refused, 'code'>): string {
    return publicReason(refused)
  }

  close(): void {
    this.#unwatch()
  }

  async #reload(): Promise<void> {
    if (this.#reloading) {
      this.#reloadAgain = true
      return
    }
    this.#reloading = true
    do {
      this.#reloadAgain = false
      try {
        this.#trust = await this.#source.trust()
      } catch (error) {
        // Closing this gate for all would turn a pause of the store into an outage; a resync follows when it is back.
        this.#logger.warn('policies could not be read again', { error })
      }
    } while (this.#reloadAgain)
    this.#reloading = false
  }
}
