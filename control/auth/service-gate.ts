import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Registry, Right, Trust } from '../registry.ts'
import { type AdmissionRules, type PolicyProof, provePolicy } from './admission.ts'
import { type Refused, refusal } from './connect-attempt.ts'
import { parseSasToken } from './sas-token.ts'

/** Decides what a service may do by the policy token it sends. Keeps the policies in memory, fresh by the registry's notices. */
export class ServiceGate {
  readonly #registry: Registry
  readonly #rules: AdmissionRules
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #unwatch: () => void
  #trust: Trust
  #reloading = false
  #reloadAgain = false

  private constructor(registry: Registry, rules: AdmissionRules, clock: Clock, logger: Logger, trust: Trust) {
    this.#registry = registry
    this.#rules = rules
    this.#clock = clock
    this.#logger = logger
    this.#trust = trust
    this.#unwatch = registry.onChange((change) => {
      if (change.kind === 'trust' || change.kind === 'resync') void this.#reload()
    })
  }

  static async open(registry: Registry, rules: AdmissionRules, clock: Clock, logger: Logger): Promise<ServiceGate> {
    const gate = new ServiceGate(registry, rules, clock, logger, { policies: [], authorities: [] })
    gate.#trust = await registry.trust()
    return gate
  }

  /**
   * @param authorization the header
   * @param resource path segments the token must cover
   * @param confidential TLS, or the peer is this machine: nobody else has seen the token, nor will see the answer
   */
  admit(
    authorization: string,
    right: Right,
    resource: readonly string[],
    confidential: boolean,
  ): PolicyProof | Refused {
    if (authorization === '') return refusal('AUTH_CREDENTIALS_MISSING', 'the Authorization header is missing')
    if (!confidential) return refusal('AUTH_TRANSPORT_INSECURE', 'a token sent without TLS from another machine')
    const token = parseSasToken(authorization)
    if (!token) return refusal('AUTH_CREDENTIALS_MALFORMED', 'the Authorization header holds no SAS token')
    return provePolicy(token, right, resource, this.#trust, this.#rules, this.#clock.nowMs())
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
        this.#trust = await this.#registry.trust()
      } catch (error) {
        // Closing this gate for all would turn a pause of the store into an outage; a resync follows when it is back.
        this.#logger.warn('policies could not be read again', { error })
      }
    } while (this.#reloadAgain)
    this.#reloading = false
  }
}
