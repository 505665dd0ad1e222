/**
 * Lets a client in, or refuses it.
 *
 *   its turn ─▶ credentials ─▶ capacity, quota of the device ─▶ session
 *    waits       refused         refused
 *
 * The turn is one of the edge's connections a second. From where credentials failed too often, it is one of the network's look-ups in
 * the registry instead (`FailureLimits`).
 */
import type { Quotas } from '#ingest/quotas/quotas.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { DeviceSession } from './device-session.ts'
import type { EdgeContext } from './edge-context.ts'
import type { Credentials, Principal } from './principal.ts'
import type { Carrier } from './session.ts'
import type { Transport } from './transport.ts'

/** What a client says about itself. */
export interface Claim extends Pick<Credentials, 'clientId' | 'username' | 'password' | 'resumes'> {
  /** Of the model that it says it is of. */
  readonly modelId?: string | undefined
}

/** One attempt of one client. */
export class Admission {
  readonly #edge: EdgeContext
  readonly #transport: Transport
  readonly #claim: Claim
  /** It took its turn among those of its network, and none of the edge's. */
  #isWhereOthersFail = false

  constructor(edge: EdgeContext, transport: Transport, claim: Claim) {
    this.#edge = edge
    this.#transport = transport
    this.#claim = claim
  }

  /**
   * Takes its turn.
   * @returns milliseconds until `identify` may be called
   * @throws INGEST_CONNECTION_RATE, INGEST_FAILURES_EXCEEDED: too many wait
   */
  waitMs(): number {
    const { quotas, isKnown } = this.#edge
    const { clientId, username } = this.#claim
    // Who registers is no device, whatever device it is named as.
    const isDeviceKnown = username?.includes('/registrations/') ? () => false : isKnown
    const lookupMs = quotas.lookupWaitMs(this.#transport.remoteAddress, clientId, isDeviceKnown)
    this.#isWhereOthersFail = lookupMs !== undefined
    const waitMs = lookupMs ?? quotas.connectWaitMs()
    assert(waitMs >= 0, 'a turn is now or later')
    return waitMs
  }

  /** Decides who it is. @throws, or rejects with, what `refusal` is to be asked about */
  identify(): Principal | Promise<Principal> {
    const { clientId, username, password, resumes } = this.#claim
    const certificates = this.#transport.certificates()
    const { confidential } = this.#transport
    return this.#edge.authenticate({ clientId, username, password, certificates, confidential, resumes })
  }

  /** Counts credentials that were refused. @returns what is told: the reason, or to whoever failed too often when to come back */
  refusal(error: unknown): PenstockError {
    const fault =
      error instanceof PenstockError
        ? error
        : new PenstockError('INGEST_NOT_AUTHORIZED', 'identity unknown', { cause: error })
    if (fault.code !== 'INGEST_NOT_AUTHORIZED') return fault
    return this.#quotas.attemptFailed(this.#transport.remoteAddress, this.#claim.clientId) ?? fault
  }

  /**
   * Lets it in as who it is; the carrier ends the session when it ends itself.
   * @throws INGEST_DRAINING, INGEST_CONNECTIONS_FULL, and what `DeviceSession` throws
   */
  open(principal: Principal, carrier: Carrier): DeviceSession {
    const { draining, connections, waiting, connectionsMax } = this.#edge
    if (draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
    assert(connections.size >= waiting.size, 'who waits is connected')
    if (connections.size - waiting.size > connectionsMax)
      throw new PenstockError('INGEST_CONNECTIONS_FULL', `this edge holds its ${connectionsMax} connections`)
    const session = new DeviceSession(this.#edge, principal, carrier, this.#claim.modelId)
    if (this.#isWhereOthersFail) this.#quotas.connectionTaken()
    return session
  }

  get #quotas(): Quotas {
    return this.#edge.quotas
  }
}
