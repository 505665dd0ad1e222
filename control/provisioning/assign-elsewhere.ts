/**
 * Gives a device a hub where that takes time: somebody else chooses it, it is another one than this, or the device had another one.
 *
 *   assigning, written ─▶ hub chosen ─▶ twin read where the device was ─▶ device made ─▶ assigned, written ─▶ device removed where it was
 *                              └── failed, written                     └── failed: it stays where it was
 *
 * Whatever ends in between, the device has a hub: it leaves the old one last, and where that fails it stays known there, but has its new hub. A
 * process that ends leaves `assigning` behind, which is told as failed after a time; the device registers again. What that process made in a
 * hub, or did not take from one, is written down before (`placement-intents.ts`), so that the next one finishes it or takes it back.
 *
 * A registration that was deleted or begun again at another process, or whose enrolment was deleted or disabled, is not gone on with. What
 * this hub is given is judged where it is written; a device that another hub was just asked to make is removed there again.
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
import type { DevicesOf } from './deprovision.ts'
import { idKey } from './enrolment.ts'
import { credentialsOf, type HubDevices, LinkedDevices, type SeenDevice } from './hub-devices.ts'
import type { Known } from './known-enrolments.ts'
import { placeInLinkedHub } from './linked-placement.ts'
import type { OutgoingRequests } from './outgoing-requests.ts'
import type { PlacementIntent } from './placement-intents.ts'
import type { Registration, Substatus } from './registration.ts'
import { lockedRegistrationRow, putRegistrationRows } from './registration-rows.ts'
import { settle } from './settle.ts'
import { whileBegun } from './while-begun.ts'

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

interface Leaving {
  readonly devices: HubDevices
  readonly intent: PlacementIntent
  /** Before it had its new hub, which may be the same by another name. */
  readonly seen: SeenDevice | undefined
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
    if (before?.hub !== undefined && !this.#isOwn(wanted, before.hub, before.deviceId)) throw refusedFor('foreign')
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
      await this.#assigned(wanted, chosen)
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

  async #assigned(wanted: Wanted, { hostName, firstTwin, payload }: CustomChoice): Promise<void> {
    const { assignment, known } = wanted
    const leaving = await this.#leaving(wanted, hostName)
    const migrates = leaving !== undefined && assignment.enrolment.reprovisioning.migrateDeviceData
    const twin = (migrates ? await leaving.devices.twinOf(leaving.intent.deviceId) : undefined) ?? firstTwin
    const substatus: Substatus | undefined =
      leaving === undefined ? undefined : migrates ? 'deviceDataMigrated' : 'deviceDataReset'
    const given = { ...assignment, firstTwin: twin, payload, substatus, isBegun: true, leaving: leaving?.intent }
    const refusal = await this.#give(wanted, hostName, given, leaving?.seen)
    if (refusal !== undefined) throw refusedFor(refusal)
    if (leaving === undefined) return
    const { intent, devices, seen } = leaving
    await settle(this.#parts.database, intent, devices, this.#asDevicesOf(known), seen).catch((error: unknown) =>
      this.#parts.logger.warn('a device that has another hub now is not taken from the one before yet', {
        device: intent.deviceId,
        hub: intent.hub,
        error,
      }),
    )
  }

  /**
   * Where the device is until it has its new hub; `undefined`: nowhere, or in a hub that is not linked any more. A device that gets another id
   * leaves, too. It is known by the credentials that it has there, or if the hub is away, by those that it was given and is given now.
   */
  async #leaving({ assignment, known }: Wanted, hostName: string): Promise<Leaving | undefined> {
    const before = known.registration
    if (before?.hub === undefined) return undefined
    const { registrationId, hub, deviceId } = before
    if (hub === hostName && deviceId === deviceIdOf(assignment, before)) return undefined
    const devices = this.#devicesOf(hub, known)
    if (devices === undefined) return undefined
    const seen = await devices.seen(deviceId).catch((error: unknown) => {
      if (!isPenstockError(error, 'PROVISIONING_UNREACHABLE')) throw error
      return undefined
    })
    const given = [before.credentials, credentialsOf(assignment.authentication)].filter((each) => each !== undefined)
    const credentials = seen === undefined ? given : [seen.credentials]
    return {
      devices,
      seen,
      intent: { registrationId, hub, deviceId, operationId: assignment.operationId, credentials, seenEtag: seen?.etag },
    }
  }

  async #give(
    wanted: Wanted,
    hostName: string,
    assignment: Assignment,
    seen: SeenDevice | undefined,
  ): Promise<Refusal | undefined> {
    const { hubName, clock, assignHere, database, logger, outgoing } = this.#parts
    if (hostName === hubName) {
      const outcome = await assignHere(assignment)
      return typeof outcome === 'string' ? outcome : undefined
    }
    const { known } = wanted
    const before = known.registration
    const hub = known.linkedHubs.find((each) => each.hostName === hostName)
    if (hub === undefined) throw new PenstockError('PROVISIONING_UNREACHABLE', `${hostName} is not linked any more`)
    const deviceId = deviceIdOf(assignment, before)
    const registration = registrationOf(assignment, before, deviceId, hostName, clock.nowMs())
    const { enrolment, authentication, leaving } = assignment
    const device = {
      deviceId,
      authentication,
      iotEdge: enrolment.iotEdge,
      twin: assignment.firstTwin ?? enrolment.initialTwin,
      isThere: before?.hub === hostName && before.deviceId === deviceId,
      isOwn: this.#isOwn(wanted, hostName, deviceId),
      leaving: before?.deviceId === deviceId ? seen : undefined,
    }
    const hubs = { devices: new LinkedDevices(hub, outgoing), devicesOf: this.#asDevicesOf(known) }
    const placed = { ...registration, hub: hostName, credentials: credentialsOf(authentication) }
    return placeInLinkedHub({ database, logger, ...hubs, registration: placed, enrolment, device, leaving })
  }

  #isOwn({ assignment, known }: Wanted, hostName: string, deviceId: string): boolean {
    return isOwnedBy(assignment, known.registration, deviceId, hostName, this.#parts.isGroupInForce)
  }

  #devicesOf(hostName: string, known: Known): HubDevices | undefined {
    if (hostName === this.#parts.hubName) return this.#parts.own
    const hub = known.linkedHubs.find((each) => each.hostName === hostName)
    return hub && new LinkedDevices(hub, this.#parts.outgoing)
  }

  #asDevicesOf(known: Known): DevicesOf {
    return async (hostName) => this.#devicesOf(hostName, known)
  }

  #begun(assignment: Assignment, before: Registration | undefined): Registration {
    const nowMs = this.#parts.clock.nowMs()
    // Until it has another hub it is what it was, also where its enrolment names another id by now.
    const deviceId = before?.deviceId ?? deviceIdOf(assignment, before)
    const registration = registrationOf(assignment, before, deviceId, before?.hub, nowMs)
    return { ...registration, credentials: before?.credentials, status: 'assigning' }
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
    const failed: Registration = { ...registration, status: 'failed', fault, etag: newEtag(), updatedAtMs }
    await whileBegun(this.#parts.database, failed, (queries) => putRegistrationRows(queries, [failed]))
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
