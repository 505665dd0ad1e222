/**
 * Gives devices to this hub, many in one transaction: identity, first twin and registration of a device are there together, or none is.
 *
 *   no identity of the id ─▶ made, with the first twin
 *   one with these credentials ─▶ stays as it is, where its registration says that it is here; else it is written anew
 *   one that provisioning made for this device ─▶ gets these credentials
 *   any other ─▶ foreign: who may enrol may not take over what others made. Nothing is written, the registration that there is stays
 *   its enrolment, or its registration that was begun, is no more ─▶ withdrawn: nothing comes to life after its deletion
 *   another process gave it another hub since it was looked up ─▶ overtaken: only who takes it from there may give it this one
 */
import { type Authentication, type Identity, newEtag } from '#control/identities/identity.ts'
import {
  type IdentityRow,
  identityFromRow,
  insertIdentities,
  newIdentity,
  selectIdentities,
  updateIdentity,
} from '#control/identities/identity-rows.ts'
import { type IdentityChange, notifyIdentities } from '#control/store/changes.ts'
import type { Queries } from '#control/store/database.ts'
import { insertTwins } from '#control/twins/twin-rows.ts'
import type { TwinPatch } from '#control/twins/twins.ts'
import type { Attested } from './attest.ts'
import { idKey } from './enrolment.ts'
import { enrolmentsInForce, inForceKey } from './enrolment-rows.ts'
import { type PlacementIntent, putIntent } from './placement-intents.ts'
import type { Registration, Substatus } from './registration.ts'
import { putRegistrationRows, registrationRows } from './registration-rows.ts'

export interface Assignment extends Attested {
  readonly registrationId: string
  readonly operationId: string
  /** Left out: what the enrolment says. */
  readonly firstTwin?: TwinPatch | undefined
  /** JSON text for the device. */
  readonly payload?: string | undefined
  /** Left out: as it was, at first `initialAssignment`. */
  readonly substatus?: Substatus | undefined
  /** It was written down when it began: it is gone on with while that is what is written. */
  readonly isBegun?: boolean
  /** Where the device was: written down with its new hub, so that it leaves the old one whatever comes between. */
  readonly leaving?: PlacementIntent | undefined
}

/** Why a device is not given a hub. */
export type Refusal = 'foreign' | 'withdrawn' | 'overtaken'

/**
 * @param hub this hub's name
 * @param isGroupInForce whether the group of this id still lets devices in
 * @returns what became of each, in order
 */
export async function assignHere(
  queries: Queries,
  asked: readonly Assignment[],
  hub: string,
  isGroupInForce: (groupId: string) => boolean,
  nowMs: number,
): Promise<readonly (Registration | Refusal)[]> {
  // Of several of one device the last counts: its client waits for no other.
  const assignments = [...new Map(asked.map((each) => [idKey(each.registrationId), each])).values()]
  await lockIds(
    queries,
    assignments.map(({ registrationId }) => registrationId),
  )
  const inForce = await enrolmentsInForce(
    queries,
    assignments.map(({ enrolment }) => enrolment),
  )
  const before = new Map(
    (
      await registrationRows(
        queries,
        assignments.map(({ registrationId }) => registrationId),
      )
    ).map((registration) => [idKey(registration.registrationId), registration]),
  )
  const deviceIds = assignments.map((assignment) =>
    deviceIdOf(assignment, before.get(idKey(assignment.registrationId))),
  )
  const devices = await devicesOf(queries, deviceIds)
  const plan = new Plan(devices, nowMs)
  const given = assignments.map((assignment, index): Registration | Refusal => {
    const had = before.get(idKey(assignment.registrationId))
    const isThere = assignment.isBegun !== true || had?.operationId === assignment.operationId
    if (!isThere || !inForce.has(inForceKey(assignment.enrolment))) return 'withdrawn'
    if (had?.hub !== undefined && had.hub !== hub && assignment.isBegun !== true) return 'overtaken'
    const deviceId = deviceIds[index] ?? ''
    const isKnownHere = had?.hub === hub && had.deviceId === deviceId
    const claim = { isKnownHere, isOwn: isOwnedBy(assignment, had, deviceId, hub, isGroupInForce) }
    return plan.give(deviceId, assignment, claim) ? registrationOf(assignment, had, deviceId, hub, nowMs) : 'foreign'
  })
  const lost = await plan.carryOut(queries)
  const outcomes = given.map((each) => (typeof each !== 'string' && lost.has(each.deviceId) ? 'foreign' : each))
  const registrations = outcomes.filter((each) => typeof each !== 'string')
  await putRegistrationRows(queries, registrations)
  for (const [index, { leaving }] of assignments.entries())
    if (leaving !== undefined && typeof outcomes[index] !== 'string') await putIntent(queries, leaving)
  const byId = new Map(assignments.map(({ registrationId }, index) => [idKey(registrationId), outcomes[index]]))
  return asked.map(({ registrationId }) => byId.get(idKey(registrationId)) ?? 'withdrawn')
}

/**
 * What is written of a registration goes one after another, whichever process does it, also where there is none yet; in one order, so
 * that nobody waits in a circle.
 */
export async function lockIds(queries: Queries, registrationIds: readonly string[]): Promise<void> {
  await queries.query(
    `SELECT pg_advisory_xact_lock(hash) FROM (
       SELECT DISTINCT hashtextextended(id, ${lockSeed}) AS hash FROM unnest($1::text[]) AS id ORDER BY hash
     ) AS hashes`,
    [registrationIds.map(idKey)],
  )
}

/** Any number, the same in every process: it keeps these locks apart from others. */
const lockSeed = 4_820_613

/** The id that it has, else what its enrolment says, else that under which it registers. */
export function deviceIdOf({ enrolment, registrationId }: Assignment, before: Registration | undefined): string {
  return enrolment.deviceId ?? before?.registrationId ?? registrationId
}

async function devicesOf(queries: Queries, deviceIds: readonly string[]): Promise<Map<string, Identity>> {
  const rows = await queries.query<IdentityRow>(
    `${selectIdentities} WHERE i.module_id = '' AND i.device_id = ANY($1::text[])`,
    [deviceIds],
  )
  return new Map(rows.map((row) => [row.device_id, identityFromRow(row)]))
}

/** A group may take over from one that is no more, an enrolment of the device's own from any. */
export function isOwnedBy(
  { enrolment }: Assignment,
  before: Registration | undefined,
  deviceId: string,
  hub: string,
  isGroupInForce: (groupId: string) => boolean,
): boolean {
  if (before?.hub !== hub || before.deviceId !== deviceId) return false
  if (enrolment.kind === 'individual' || before.groupId === idKey(enrolment.id)) return true
  return before.groupId !== undefined && !isGroupInForce(before.groupId)
}

interface Claim {
  /** The device may be there with other credentials. */
  readonly isOwn: boolean
  /** Its registration says so. Else somebody may be about to take it from here: it is written anew, so that they leave it. */
  readonly isKnownHere: boolean
}

/** What is to be written of identities. */
class Plan {
  readonly #devices: ReadonlyMap<string, Identity>
  readonly #nowMs: number
  readonly #made = new Map<string, { readonly identity: Identity; readonly twin: TwinPatch | undefined }>()
  readonly #changed = new Map<string, Authentication>()

  constructor(devices: ReadonlyMap<string, Identity>, nowMs: number) {
    this.#devices = devices
    this.#nowMs = nowMs
  }

  /** @returns false if the device is somebody else's */
  give(deviceId: string, { enrolment, authentication, firstTwin }: Assignment, { isOwn, isKnownHere }: Claim): boolean {
    const had = this.#devices.get(deviceId)
    if (this.#made.has(deviceId) || this.#changed.has(deviceId)) return false
    if (had !== undefined) {
      const isSameAsWanted = isSame(had.authentication, authentication)
      if (isSameAsWanted && isKnownHere) return true
      if (!isSameAsWanted && !isOwn) return false
      this.#changed.set(deviceId, authentication)
      return true
    }
    const identity = newIdentity(
      {
        deviceId,
        moduleId: undefined,
        status: 'enabled',
        statusReason: undefined,
        authentication,
        iotEdge: enrolment.iotEdge,
        deviceScope: undefined,
        parentScope: undefined,
        managedBy: undefined,
      },
      this.#nowMs,
    )
    this.#made.set(deviceId, { identity, twin: firstTwin ?? enrolment.initialTwin })
    return true
  }

  /** @returns devices that somebody else made meanwhile */
  async carryOut(queries: Queries): Promise<ReadonlySet<string>> {
    const made = [...this.#made.values()].map(({ identity }) => identity)
    const inserted = made.length === 0 ? [] : await insertIdentities(queries, made)
    const twins = inserted.flatMap((id) => {
      const patch = this.#made.get(id.deviceId)?.twin
      return patch === undefined ? [] : [{ ...id, patch }]
    })
    await insertTwins(queries, twins, this.#nowMs)
    const changes: IdentityChange[] = inserted.map((id) => ({ ...id, change: 'created' }))
    for (const identity of await this.#lockedChanged(queries)) {
      await updateIdentity(queries, identity)
      changes.push({ deviceId: identity.deviceId, moduleId: undefined, change: 'updated' })
    }
    await notifyIdentities(queries, changes)
    const there = new Set(inserted.map(({ deviceId }) => deviceId))
    return new Set(made.map(({ deviceId }) => deviceId).filter((deviceId) => !there.has(deviceId)))
  }

  /** As they are by now, but for their credentials: an operator may have disabled one since it was read. */
  async #lockedChanged(queries: Queries): Promise<Identity[]> {
    if (this.#changed.size === 0) return []
    const rows = await queries.query<IdentityRow>(
      `${selectIdentities} WHERE i.module_id = '' AND i.device_id = ANY($1::text[]) ORDER BY i.device_id FOR UPDATE OF i`,
      [[...this.#changed.keys()]],
    )
    return rows.map((row) => {
      const identity = identityFromRow(row)
      return {
        ...identity,
        authentication: this.#changed.get(row.device_id) ?? identity.authentication,
        etag: newEtag(),
      }
    })
  }
}

function isSame(one: Authentication, other: Authentication): boolean {
  return (
    one.kind === other.kind &&
    one.primaryKey === other.primaryKey &&
    one.secondaryKey === other.secondaryKey &&
    one.primaryThumbprint === other.primaryThumbprint &&
    one.secondaryThumbprint === other.secondaryThumbprint
  )
}

/** Of a device that has the hub, or has none yet. */
export function registrationOf(
  { enrolment, registrationId, operationId, payload, proof, substatus }: Assignment,
  before: Registration | undefined,
  deviceId: string,
  hub: string | undefined,
  nowMs: number,
): Registration {
  return {
    registrationId: before?.registrationId ?? registrationId,
    groupId: enrolment.kind === 'group' ? idKey(enrolment.id) : undefined,
    deviceId,
    hub,
    status: 'assigned',
    substatus: substatus ?? before?.substatus ?? 'initialAssignment',
    fault: undefined,
    operationId,
    proof,
    payload,
    credentials: undefined,
    etag: newEtag(),
    createdAtMs: before?.createdAtMs ?? nowMs,
    updatedAtMs: nowMs,
  }
}
