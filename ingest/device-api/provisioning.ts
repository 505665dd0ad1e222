/**
 * Provisioning at the edge, whatever who registers speaks: control decides, here is only how much of it may be under way, and when
 * whoever finds no room may come back.
 *
 *   request ─▶ room? ─▶ control ─▶ answer
 *              429, in a turn of its own, so that a storm comes back as fast as it is served, and no faster
 */
import type { ProvisioningAnswer, ProvisioningRequest, Registrar, TpmKeys } from '#control/provisioning/provisioning.ts'
import { refusedAnswer, tpmKeysCheck } from '#control/provisioning/provisioning-json.ts'
import type { Capability } from '#ingest/session/capabilities.ts'
import type { DeviceAnswer, DeviceRequest } from '#ingest/session/device-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Registrant } from '#ingest/session/principal.ts'
import type { Session } from '#ingest/session/session.ts'
import { assert } from '#runtime/assert.ts'
import { TokenBucket } from '#runtime/token-bucket.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import { limits } from '#schemas/limits.ts'
import { PollLimits } from './poll-limits.ts'
import { ReturnTurns } from './return-turns.ts'

export interface ProvisioningOptions {
  readonly idScope: string
  readonly registrar: Registrar
  /** Registrations a second that this process begins; 0: any. */
  readonly perSecond: number
}

export class Provisioning implements Capability {
  readonly requests = {
    register: (session: Session, { body }: DeviceRequest) => this.#answer(session, (who) => this.register(who, body)),
    registrationStatus: (session: Session, { operationId = '' }: DeviceRequest) =>
      this.#answer(session, (who) => this.status(who, operationId)),
  }
  readonly idScope: string
  readonly #edge: EdgeContext
  readonly #registrar: Registrar
  readonly #bucket: TokenBucket | undefined
  readonly #turns: ReturnTurns
  readonly #polls: PollLimits
  #underWay = 0

  constructor(edge: EdgeContext, { idScope, registrar, perSecond }: ProvisioningOptions) {
    this.idScope = idScope
    this.#edge = edge
    this.#registrar = registrar
    this.#bucket = perSecond === 0 ? undefined : new TokenBucket(perSecond, perSecond, edge.clock.nowMs())
    this.#turns = new ReturnTurns(edge.clock)
    this.#polls = new PollLimits(edge.clock)
  }

  /** Never rejects. */
  async register(who: Registrant, sent: Buffer): Promise<ProvisioningAnswer> {
    const returnSeconds = this.#takeTurn()
    if (returnSeconds !== undefined) return this.#counted('register', busy(returnSeconds))
    this.#underWay++
    try {
      const body = bodyFrom(sent, who.registrationId)
      return await this.#ask({ step: 'register', ...who, operationId: undefined, ...body })
    } catch (error) {
      return this.#counted('register', this.#refused(error))
    } finally {
      this.#underWay--
    }
  }

  /** Never rejects. */
  async status(who: Registrant, operationId: string): Promise<ProvisioningAnswer> {
    const waitSeconds = this.#polls.begin(who)
    if (waitSeconds > 0) return this.#counted('status', polledTooOften(waitSeconds))
    const answer = await this.#ask({ step: 'status', ...who, operationId, payload: undefined })
    this.#polls.end(who, isOfProven(answer))
    return answer
  }

  /** Never rejects. */
  lookup(who: Registrant): Promise<ProvisioningAnswer> {
    return this.#ask({ step: 'lookup', ...who, operationId: undefined, payload: undefined })
  }

  /**
   * A key that the TPM with these public keys alone can open; base64.
   * @throws INGEST_NOT_AUTHORIZED: it is nobody's that is enrolled
   */
  async challenge(registrationId: string, tpm: TpmKeys): Promise<string> {
    const nothing = { token: undefined, certificates: [], operationId: undefined, payload: undefined }
    const answer = await this.#registrar.provision({ step: 'connect', registrationId, ...nothing, tpm })
    const { authenticationKey } = answer.isChallenge ? JSON.parse(answer.body) : {}
    if (typeof authenticationKey !== 'string') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    return authenticationKey
  }

  /** @returns undefined: it may begin; else in how many seconds it may come back */
  #takeTurn(): number | undefined {
    const nowMs = this.#edge.clock.nowMs()
    const waitMs = this.#bucket?.missingMs(1, nowMs) ?? 0
    if (this.#underWay >= limits.registrationsUnderWayMax || waitMs > 0) return this.#turns.nextSeconds()
    this.#bucket?.take(1, nowMs)
    return undefined
  }

  async #ask(request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    let answer: ProvisioningAnswer
    try {
      answer = await this.#registrar.provision(request)
      const isStatus = Number.isInteger(answer.status) && answer.status >= 200 && answer.status < 600
      assert(isStatus, `control answers a registration with a status of HTTP, and not with ${answer.status}`)
      if (request.step === 'register' && answer.status === 202) this.#turns.served()
      if (answer.status === 429) answer = { ...answer, retryAfterSeconds: this.#turns.nextSeconds() }
    } catch (error) {
      answer = this.#refused(error)
    }
    return this.#counted(request.step, answer)
  }

  #counted(step: ProvisioningRequest['step'], answer: ProvisioningAnswer): ProvisioningAnswer {
    const { metrics } = this.#edge
    metrics.series('penstock_edge_provisioning_requests_total', { request: step, status: String(answer.status) }).add(1)
    return answer
  }

  #refused(error: unknown): ProvisioningAnswer {
    if (!isPenstockError(error)) this.#edge.logger.error('a registration failed', { error })
    const { status } = hubFaultOf(error)
    return refusedAnswer(error, status === 503 ? this.#turns.nextSeconds() : undefined)
  }

  async #answer(session: Session, ask: (who: Registrant) => Promise<ProvisioningAnswer>): Promise<DeviceAnswer> {
    const { registrant } = session
    assert(registrant !== undefined, 'only who registers has these requests')
    const { status, body, retryAfterSeconds } = await ask(registrant)
    return { status, retryAfterSeconds, body: Buffer.from(body) }
  }
}

function busy(returnSeconds: number): ProvisioningAnswer {
  const text = `too many devices register at the moment: come back in ${returnSeconds} s`
  return refusedAnswer(new PenstockError('PROVISIONING_BUSY', text), returnSeconds)
}

/** Else nobody may have looked at the proof: anybody can have, for any id, that a store is away or busy. */
function isOfProven({ status }: ProvisioningAnswer): boolean {
  return status < 300 || status === 404
}

function polledTooOften(waitSeconds: number): ProvisioningAnswer {
  const { registrationPollsMax, registrationPollsWindowMs } = limits
  const text = `at most ${registrationPollsMax} times in ${registrationPollsWindowMs / 1000} s: come back in ${waitSeconds} s`
  return refusedAnswer(new PenstockError('PROVISIONING_BUSY', text), waitSeconds)
}

/** What the device wants to tell whoever chooses its hub, and the keys of its TPM. @throws PROVISIONING_REQUEST_INVALID */
function bodyFrom(sent: Buffer, registrationId: string): Pick<ProvisioningRequest, 'payload' | 'tpm'> {
  if (sent.length > limits.registrationBytesMax)
    throw invalid(`a registration has at most ${limits.registrationBytesMax} bytes`)
  const text = sent.toString().trim()
  if (text === '') return { payload: undefined }
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    throw invalid('the registration is not JSON')
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw invalid('the registration must be a JSON object')
  const { registrationId: named, payload, tpm } = document as Readonly<Record<string, unknown>>
  if (named !== undefined && String(named).toLowerCase() !== registrationId.toLowerCase())
    throw invalid('the registration is of another registration id than its sender')
  return {
    payload: payload === undefined || payload === null ? undefined : JSON.stringify(payload),
    ...(tpm === undefined || tpm === null ? {} : { tpm: tpmFrom(tpm) }),
  }
}

function tpmFrom(value: unknown): TpmKeys {
  try {
    return tpmKeysCheck(value)
  } catch {
    throw invalid('tpm must be {"endorsementKey", "storageRootKey"}')
  }
}

function invalid(message: string): PenstockError {
  return new PenstockError('PROVISIONING_REQUEST_INVALID', message)
}
