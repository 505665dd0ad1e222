/**
 * Gives a device a hub where that takes time: somebody else chooses it, it is another one than this, or the device had another one.
 *
 *   assigning, written ─▶ hub chosen ─▶ twin read where the device was ─▶ device made ─▶ assigned, written ─▶ device removed where it was
 *                              └── failed, written                     └── failed: it stays where it was
 *
 * Whatever ends in between, the device has a hub: it leaves the old one last, and where that fails it stays known there, but has its new hub. A
 * process that ends leaves `assigning` behind, which is told as failed after a time; the device registers again.
 *
 * A registration that was deleted or begun again at another process, or whose enrolment was deleted or disabled, is not gone on with. What
 * this hub is given is judged where it is written; a device that another hub was just asked to make is removed there again.
 *
 * Whoever removes a device names it as it was before what it does was written down, by its etag. Whoever gives a hub a device that this
 * registration does not have there writes it anew. So what was given later stays, however long a removal takes.
 */
import { newEtag } from '#control/identities/identity.ts'
import type { Database } from '#control/store/database.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type Choice, noHub } from './allocation.ts'
import { type Assignment, deviceIdOf, isOwnedBy, lockIds, type Refusal, registrationOf } from './assign-here.ts'
import { type AllocationFault, type CustomChoice, customChoice } from './custom-allocation.ts'
import { type Enrolment, idKey } from './enrolment.ts'
import { enrolmentsInForce } from './enrolment-rows.ts'
import { type HubDevices, LinkedDevices } from './hub-devices.ts'
import type { Known } from './known-enrolments.ts'
import type { OutgoingRequests } from './outgoing-requests.ts'
import type { Registration, Substatus } from './registration.ts'
import { lockedRegistrationRow, putRegistrationRows, registrationRows } from './registration-rows.ts'

export interface ElsewhereParts {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly outgoing: OutgoingRequests
  readonly own: HubDevices
  readonly hubName: string
  readonly isGroupInForce: (groupId: string) => boolean
  /** Gives the device to this hub. */
  readonly assignHere: (assignment: Assignment) => Promise<Registration | Refusal>
}

/** A registration that takes time. */
export interface Wanted {
  readonly assignment: Assignment
  readonly choice: Choice
  readonly known: Known
  /** JSON text for whoever chooses the hub. */
  readonly payload: string | undefined
}

export class AssignElsewhere {
  readonly #parts: ElsewhereParts
  /** By id: who asks twice waits for the same. */
  readonly #underWay = new Map<string, { readonly registration: Registration; readonly done: Promise<void> }>()

  constructor(parts: ElsewhereParts) {
    this.#parts = parts
  }

  /** @returns what the device may ask for @throws PROVISIONING_BUSY, PROVISIONING_DEVICE_FOREIGN */
  async begin(wanted: Wanted): Promise<Registration> {
    const { assignment, known } = wanted
    const key = idKey(assignment.registrationId)
    const already = this.#underWay.get(key)
    if (already !== undefined) return already.registration
    if (this.#underWay.size >= limits.allocationsUnderWayMax)
      throw new PenstockError('PROVISIONING_BUSY', 'too many allocations are under way')
    const before = known.registration
    if (before?.hub !== undefined && !this.#isOwn(wanted, before.hub)) throw refusedFor('foreign')
    const registration = this.#begun(assignment, before)
    const written = this.#writeBegun(registration, before)
    const done = written
      .then(() => this.#carryOut(wanted, registration))
      .catch((error: unknown) => {
        // Who asked is told.
        if (isPenstockError(error, 'PROVISIONING_BUSY')) return
        this.#parts.logger.warn('what became of a registration is not written down', { error })
      })
      .finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, { registration, done })
    await written
    return registration
  }

  /** Resolves once nothing is under way, or what is would take too long: it is told as failed after a time, as that of a killed process. */
  async close(): Promise<void> {
    const ended = new AbortController()
    void Promise.all([...this.#underWay.values()].map(({ done }) => done)).then(() => ended.abort())
    await sleep(this.#parts.clock, limits.allocationStopMsMax, ended.signal)
  }

  /** Never rejects, but for the store. */
  async #carryOut(wanted: Wanted, registration: Registration): Promise<void> {
    try {
      const chosen = await this.#chosen(wanted)
      if ('code' in chosen) return await this.#failed(registration, chosen)
      await this.#assigned(wanted, chosen, registration)
    } catch (error) {
      if (!isPenstockError(error)) this.#parts.logger.error('a registration failed', { error })
      const message = isPenstockError(error) ? error.message : 'the registration could not be carried out'
      await this.#failed(registration, { code: faultNumberOf(error), message })
    }
  }

  async #chosen({ assignment, choice, known, payload }: Wanted): Promise<CustomChoice | AllocationFault> {
    switch (choice.kind) {
      case 'none':
        return noHub
      case 'webhook': {
        const { outgoing, clock } = this.#parts
        return customChoice(
          outgoing,
          clock,
          assignment,
          assignment.registrationId,
          payload,
          known.registration,
          known.hubs,
        )
      }
      case 'stays':
      case 'hub':
        return { hostName: choice.hostName, firstTwin: undefined, payload: undefined }
    }
  }

  async #assigned(
    wanted: Wanted,
    { hostName, firstTwin, payload }: CustomChoice,
    registration: Registration,
  ): Promise<void> {
    const { known, assignment } = wanted
    const before = known.registration
    const from = before?.hub === undefined || before.hub === hostName ? undefined : this.#devicesOf(before.hub, known)
    const migrates = from !== undefined && assignment.enrolment.reprovisioning.migrateDeviceData
    const deviceId = deviceIdOf(assignment, before)
    const left = from?.etagOf(deviceId)
    // Before it is written down that the device has another hub.
    await left?.catch(() => undefined)
    const twin = (migrates ? await from.twinOf(deviceId) : undefined) ?? firstTwin
    const substatus: Substatus | undefined =
      from === undefined ? undefined : migrates ? 'deviceDataMigrated' : 'deviceDataReset'
    const [current] = await registrationRows(this.#parts.database, [registration.registrationId])
    if (current?.operationId !== registration.operationId) return
    await this.#give(wanted, hostName, { ...assignment, firstTwin: twin, payload, substatus, isBegun: true })
    const leaving = left?.then((etag) => (etag === undefined ? undefined : from?.remove(deviceId, etag)))
    await leaving?.catch((error: unknown) =>
      this.#parts.logger.warn('a device that has another hub now could not be removed from the one before', {
        device: deviceId,
        hub: before?.hub,
        error,
      }),
    )
  }

  async #give(wanted: Wanted, hostName: string, assignment: Assignment): Promise<void> {
    const { hubName, clock, assignHere } = this.#parts
    if (hostName === hubName) {
      const outcome = await assignHere(assignment)
      if (typeof outcome === 'string') throw refusedFor(outcome)
      return
    }
    const { known } = wanted
    const before = known.registration
    const hub = known.linkedHubs.find((each) => each.hostName === hostName)
    if (hub === undefined) throw new PenstockError('PROVISIONING_UNREACHABLE', `${hostName} is not linked any more`)
    const registration = registrationOf(assignment, before, deviceIdOf(assignment, before), hostName, clock.nowMs())
    const { enrolment, authentication } = assignment
    const { deviceId } = registration
    const devices = new LinkedDevices(hub, this.#parts.outgoing)
    const given = await devices.give({
      deviceId,
      authentication,
      iotEdge: enrolment.iotEdge,
      twin: assignment.firstTwin ?? enrolment.initialTwin,
      isThere: before?.hub === hostName && before.deviceId === deviceId,
      isOwn: this.#isOwn(wanted, hostName),
    })
    if (given.kind === 'foreign') throw refusedFor('foreign')
    const outcome = await this.#write(registration, enrolment)
    if (outcome === 'written') return
    if (given.kind === 'made') await this.#takeBack(devices, registration, given.etag)
    throw refusedFor(outcome)
  }

  /** Rejects never: nobody waits for it any more, so that only the log can tell. */
  async #takeBack(devices: HubDevices, { deviceId, hub }: Registration, etag: string): Promise<void> {
    await devices.remove(deviceId, etag).catch((error: unknown) =>
      this.#parts.logger.warn('a device whose registration was withdrawn or overtaken stays in a linked hub', {
        device: deviceId,
        hub,
        error,
      }),
    )
  }

  #isOwn({ assignment, known }: Wanted, hostName: string): boolean {
    const before = known.registration
    return isOwnedBy(assignment, before, deviceIdOf(assignment, before), hostName, this.#parts.isGroupInForce)
  }

  #devicesOf(hostName: string, known: Known): HubDevices | undefined {
    if (hostName === this.#parts.hubName) return this.#parts.own
    const hub = known.linkedHubs.find((each) => each.hostName === hostName)
    return hub && new LinkedDevices(hub, this.#parts.outgoing)
  }

  #begun(assignment: Assignment, before: Registration | undefined): Registration {
    const nowMs = this.#parts.clock.nowMs()
    const deviceId = deviceIdOf(assignment, before)
    const registration = registrationOf(assignment, before, deviceId, before?.hub, nowMs)
    return { ...registration, status: 'assigning' }
  }

  /** What another process wrote since it was looked up may name a hub that has the device. @throws PROVISIONING_BUSY */
  #writeBegun(registration: Registration, before: Registration | undefined): Promise<void> {
    const { registrationId } = registration
    return this.#parts.database.transaction(async (queries) => {
      await lockIds(queries, [registrationId])
      const current = await lockedRegistrationRow(queries, registrationId)
      if (current?.etag !== before?.etag) throw beingChanged()
      await putRegistrationRows(queries, [registration])
    })
  }

  async #failed(registration: Registration, fault: AllocationFault): Promise<void> {
    const updatedAtMs = this.#parts.clock.nowMs()
    await this.#write({ ...registration, status: 'failed', fault, etag: newEtag(), updatedAtMs })
  }

  /**
   * What began later, at another process, is not overwritten; what was deleted does not come back.
   * @param enrolment by which the device is let in; left out: it is not
   */
  #write(registration: Registration, enrolment?: Enrolment): Promise<'written' | 'overtaken' | 'withdrawn'> {
    return this.#parts.database.transaction(async (queries) => {
      // Whoever gives the device to this hub meanwhile reads the row and writes it later.
      await lockIds(queries, [registration.registrationId])
      const current = await lockedRegistrationRow(queries, registration.registrationId)
      if (current === undefined) return 'withdrawn'
      if (current.operationId !== registration.operationId) return 'overtaken'
      if (enrolment !== undefined && (await enrolmentsInForce(queries, [enrolment])).size === 0) return 'withdrawn'
      await putRegistrationRows(queries, [registration])
      return 'written'
    })
  }
}

function faultNumberOf(error: unknown): number {
  if (isPenstockError(error, 'PROVISIONING_DEVICE_FOREIGN')) return 409_202
  return isPenstockError(error, 'INGEST_NOT_AUTHORIZED') ? 401_002 : 500_001
}

export function refusedFor(refusal: Refusal): PenstockError {
  if (refusal === 'withdrawn')
    return new PenstockError('INGEST_NOT_AUTHORIZED', 'the enrolment or registration was withdrawn meanwhile')
  if (refusal === 'overtaken') return beingChanged()
  return new PenstockError(
    'PROVISIONING_DEVICE_FOREIGN',
    'the hub has a device of this id that was not made by this enrolment',
  )
}

function beingChanged(): PenstockError {
  return new PenstockError('PROVISIONING_BUSY', 'the registration is being changed: register again')
}
