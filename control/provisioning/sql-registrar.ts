/**
 * Registers devices over the control store.
 *
 *   request ─▶ known (a batch) ─▶ attested ─▶ hub chosen ─▶ this one: assigned (a batch), and only then answered
 *                                   401                 └─▶ any other: `assign-elsewhere.ts`, and answered meanwhile
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { publicReason } from '#control/auth/auth.ts'
import type { Identities } from '#control/identities/identities.ts'
import type { Changes } from '#control/store/changes.ts'
import type { Database } from '#control/store/database.ts'
import type { TrustSource } from '#control/trust/trust.ts'
import type { Twins } from '#control/twins/twins.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { chosen } from './allocation.ts'
import { AssignElsewhere, refusedFor } from './assign-elsewhere.ts'
import { type Assignment, assignHere, deviceIdOf, type Refusal } from './assign-here.ts'
import { type Attested, attest, challengeFor } from './attest.ts'
import { idKey, isRegistrationId } from './enrolment.ts'
import { type HubDevices, LinkedDevices, OwnDevices } from './hub-devices.ts'
import { type Known, KnownEnrolments } from './known-enrolments.ts'
import { linkedHubRows } from './linked-hub-rows.ts'
import { OutgoingRequests } from './outgoing-requests.ts'
import type { ProvisioningAnswer, ProvisioningRequest, Registrar } from './provisioning.ts'
import { answerOf, refusedAnswer } from './provisioning-json.ts'
import { type Registration, registrationDocument } from './registration.ts'
import { settleLeft } from './settle.ts'

export interface RegistrarRules {
  readonly idScope: string
  /** This hub's name, as devices get it. */
  readonly hubName: string
  readonly clockSkewMs: number
  /** What functions that choose hubs, and linked hubs, may not be. */
  readonly outgoing: OutgoingRules
  /** By which certificates of those are signed, PEM; `undefined`: by whom Node trusts. */
  readonly outgoingAuthority?: string | undefined
}

export interface RegistrarParts {
  readonly database: Database
  readonly changes: Changes
  readonly trust: TrustSource
  readonly identities: Identities
  readonly twins: Twins
  readonly clock: Clock
  readonly logger: Logger
}

/** As the settings have them if nothing is set. */
export const usualRegistrarRules: RegistrarRules = {
  idScope: '0ne00000001',
  hubName: 'localhost',
  clockSkewMs: 300_000,
  outgoing: { ownPorts: [], allowed: [] },
}

/** After which a device asks what became of it: mostly it is done by then. */
const firstPollSeconds = 1
/** And again: so that it stays below what it may ask (`registrationPollsMax`). */
const nextPollSeconds = 3

export class SqlRegistrar implements Registrar {
  readonly #database: Database
  readonly #rules: RegistrarRules
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #known: KnownEnrolments
  readonly #assignments: CallBatches<Assignment, Registration | Refusal>
  readonly #elsewhere: AssignElsewhere
  readonly #outgoing: OutgoingRequests
  readonly #own: HubDevices

  constructor({ database, changes, trust, identities, twins, clock, logger }: RegistrarParts, rules: RegistrarRules) {
    this.#database = database
    this.#rules = rules
    this.#clock = clock
    this.#logger = logger
    this.#known = new KnownEnrolments(database, changes, trust, rules.hubName)
    this.#assignments = new CallBatches({
      run: (assignments) => this.#assign(assignments),
      countMax: limits.registrationsAtOnceMax,
    })
    this.#outgoing = new OutgoingRequests(rules.outgoing, rules.outgoingAuthority)
    this.#own = new OwnDevices(identities, twins)
    this.#elsewhere = new AssignElsewhere({
      database,
      clock,
      logger,
      outgoing: this.#outgoing,
      own: this.#own,
      hubName: rules.hubName,
      isGroupInForce: (groupId) => this.#known.isGroupInForce(groupId),
      assignHere: (assignment) => this.#assignments.call(assignment),
    })
  }

  async provision(request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    try {
      return await this.#answer(request)
    } catch (error) {
      if (!isPenstockError(error) || isOfStore(error)) throw error
      return refusedAnswer(error)
    }
  }

  /** The devices of a hub; `undefined`: it is not linked. */
  async devicesOf(hostName: string): Promise<HubDevices | undefined> {
    if (hostName === this.#rules.hubName) return this.#own
    const hub = (await linkedHubRows(this.#database)).find((each) => each.hostName === hostName)
    return hub && new LinkedDevices(hub, this.#outgoing)
  }

  /** What `settleLeft` of settle.ts does, in all hubs. */
  async settleLeft(): Promise<number> {
    const linked = (await linkedHubRows(this.#database)).map(({ hostName }) => hostName)
    const hubs = [...new Set([this.#rules.hubName, ...linked])]
    return settleLeft(this.#database, hubs, (hostName) => this.devicesOf(hostName), this.#logger)
  }

  /** Resolves once nothing is under way, or what is would take too long. */
  async close(): Promise<void> {
    await this.#elsewhere.close()
    this.#known.close()
  }

  async #answer(request: ProvisioningRequest): Promise<ProvisioningAnswer> {
    const { step, registrationId, operationId } = request
    if (!isRegistrationId(registrationId)) throw new PenstockError('INGEST_NOT_AUTHORIZED', publicReason(unreadable))
    const known = await this.#known.of(registrationId)
    const challenge =
      request.tpm && request.token === undefined && challengeFor(known.individual, registrationId, request.tpm)
    if (challenge) return challengeAnswer(challenge)
    const attested = await this.#attest(request, known)
    switch (step) {
      case 'connect':
        return answerOf(200, {})
      case 'register':
        return this.#register(request, attested, known)
      case 'status':
        if (known.registration === undefined || known.registration.operationId !== operationId)
          throw new PenstockError('PROVISIONING_OPERATION_UNKNOWN', 'no such operation of this device')
        return operationAnswer(known.registration, this.#clock.nowMs())
      case 'lookup':
        if (known.registration === undefined)
          throw new PenstockError('PROVISIONING_REGISTRATION_UNKNOWN', 'the device has not registered')
        return answerOf(200, registrationDocument(known.registration))
    }
  }

  /** @throws INGEST_NOT_AUTHORIZED, the same for whoever proves nothing */
  async #attest(request: ProvisioningRequest, known: Known): Promise<Attested> {
    const { idScope, clockSkewMs } = this.#rules
    const authorities = request.token === undefined ? await this.#known.authorities() : []
    const groups = likeliestFirst(known)
    const rules = { idScope, clockSkewMs, nowMs: this.#clock.nowMs(), authorities }
    const attested = attest(request, known.individual, groups, rules)
    if ('admitted' in attested) throw new PenstockError('INGEST_NOT_AUTHORIZED', publicReason(attested))
    return attested
  }

  async #register(
    { registrationId, payload, tpm }: ProvisioningRequest,
    attested: Attested,
    known: Known,
  ): Promise<ProvisioningAnswer> {
    // SDKs give their TPM the key of the hub from here, once more.
    const authenticationKey = tpm && challengeFor(known.individual, registrationId, tpm)
    const proof = authenticationKey === undefined ? attested.proof : { tpm: { authenticationKey } }
    const assignment = { ...attested, proof, registrationId, operationId: newOperationId() }
    const choice = chosen(attested.enrolment, registrationId, known.registration, known.hubs)
    const { hubName } = this.#rules
    const before = known.registration
    const staysHere =
      before?.hub === undefined || (before.hub === hubName && before.deviceId === deviceIdOf(assignment, before))
    const isHere = 'hostName' in choice && choice.hostName === hubName && staysHere
    if (!isHere) return begunAnswer(await this.#elsewhere.begin({ assignment, choice, known, payload }))
    const assigned = await this.#assignments.call(assignment)
    if (typeof assigned === 'string') throw refusedFor(assigned)
    return begunAnswer(assigned)
  }

  #assign(assignments: readonly Assignment[]): Promise<readonly (Registration | Refusal)[]> {
    return this.#database.transaction((queries) =>
      assignHere(
        queries,
        assignments,
        this.#rules.hubName,
        (groupId) => this.#known.isGroupInForce(groupId),
        this.#clock.nowMs(),
      ),
    )
  }
}

/** Nobody's fault: the same may be answered later, and a busy service says when. */
function isOfStore({ code, disposition }: PenstockError): boolean {
  return disposition === 'retry' && code !== 'PROVISIONING_BUSY'
}

const unreadable = { code: 'AUTH_CREDENTIALS_MALFORMED' } as const

/** The group by which the device came last. */
function likeliestFirst({ groups, registration }: Known): Known['groups'] {
  const last = registration?.groupId
  if (last === undefined) return groups
  return [...groups.filter(({ id }) => idKey(id) === last), ...groups.filter(({ id }) => idKey(id) !== last)]
}

/** In the form of the hub's own. */
function newOperationId(): string {
  return `5.${randomBytes(8).toString('hex')}.${randomUUID()}`
}

/** The device's TPM opens the key; with that it signs a token, and asks again. */
function challengeAnswer(authenticationKey: string): ProvisioningAnswer {
  const document = { message: 'sign in with this key', keyName: 'registration', authenticationKey }
  return { ...answerOf(401, document), isChallenge: true }
}

function begunAnswer({ operationId }: Registration, pollAfterSeconds = firstPollSeconds): ProvisioningAnswer {
  return answerOf(202, { operationId, status: 'assigning' }, pollAfterSeconds)
}

function operationAnswer(registration: Registration, nowMs: number): ProvisioningAnswer {
  const { operationId, updatedAtMs } = registration
  const isGivenUp = registration.status === 'assigning' && updatedAtMs + limits.allocationMsMax < nowMs
  const told: Registration = isGivenUp ? { ...registration, status: 'failed', fault: interrupted } : registration
  if (told.status === 'assigning') return begunAnswer(told, nextPollSeconds)
  return answerOf(200, { operationId, status: told.status, registrationState: registrationDocument(told) })
}

/** The process that had it ended meanwhile. */
const interrupted = { code: 500_001, message: 'the registration was interrupted: register again' } as const
