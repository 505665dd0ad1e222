/** For tests: processes that give devices to hubs over one store, and end or stand still between any two of their steps. */
import { type Registry, registryOver } from '#control/open-registry.ts'
import type { Database, SqlRow } from '#control/store/database.ts'
import { openDatabase } from '#control/store/open-database.ts'
import type { TwinPatch } from '#control/twins/twins.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { AssignElsewhere, type Wanted } from './assign-elsewhere.ts'
import { assignHere, type Refusal } from './assign-here.ts'
import { deprovision, deprovisionGroup } from './deprovision.ts'
import { enrolmentFrom } from './enrolment-document.ts'
import { type HubDevices, LinkedDevices, OwnDevices } from './hub-devices.ts'
import { MemoryHub, outgoingTo } from './memory-hub-fixture.ts'
import type { Registration } from './registration.ts'
import { settleLeft } from './settle.ts'
import { SqlRegistrations } from './sql-registrations.ts'

export const here = 'here.test'
export const there = 'there.test'
export const far = 'far.test'
const group = 'line'
const keptTables = ['registrations', 'placement_intents', 'identities', 'twins'] as const
const linkedHubs = [there, far].map((hostName) => ({ hostName, policyName: 'p', key: 'a2V5', weight: 1 }))
type LinkedHubName = typeof there | typeof far

/** Steps of a process: its requests to the store and to hubs. */
export class Steps {
  /** So many were begun. */
  count = 0
  /** Those before which something was changed: where a process is killed anywhere else, it leaves the same. */
  readonly behindChanges: number[] = []
  /** Those that ask a linked hub: where it is out of reach from any other step on, that is as from the next of these. */
  readonly atHubs: { readonly hub: LinkedHubName; readonly step: number }[] = []
  readonly #stopAt: number
  readonly #stop: (() => Promise<void>) | undefined

  /** @param stop what becomes of the process before its step number `stopAt` */
  constructor(stopAt = Number.POSITIVE_INFINITY, stop?: () => Promise<void>) {
    this.#stopAt = stopAt
    this.#stop = stop
  }

  readonly take = async <T>(work: () => T | Promise<T>, isRead = false): Promise<T> => {
    if (++this.count === this.#stopAt) await this.#stop?.()
    if (!isRead) this.behindChanges.push(this.count + 1)
    return await work()
  }

  readonly takeAtHub = <T>(work: () => T | Promise<T>, isRead: boolean, hub: LinkedHubName): Promise<T> => {
    this.atHubs.push({ hub, step: this.count + 1 })
    return this.take(work, isRead)
  }
}

/** What a device is to get. */
export interface Move {
  readonly hub: string
  /** Byte that its key is made of. */
  readonly key?: number
  readonly deviceId?: string | undefined
  readonly migrates?: boolean
  readonly initialTwin?: TwinPatch
}

/** Rows of the store as JSON, and what linked hubs have. */
interface Kept {
  readonly rows: Readonly<Record<(typeof keptTables)[number], unknown>>
  readonly devices: readonly (readonly [hub: MemoryHub, devices: MemoryHub['devices']])[]
}

export class PlacementWorld {
  readonly database: Database
  readonly registry: Registry
  readonly hubs = { [there]: new MemoryHub(), [far]: new MemoryHub() }

  #isEnrolled = false

  static async open(): Promise<PlacementWorld> {
    const options = { postgresUrl: undefined, dataDir: undefined, connectionsMax: 4, logger: silentLogger }
    const database = await openDatabase(options)
    const registry = await registryOver(database, systemClock, silentLogger)
    for (const hub of linkedHubs) await registry.linkedHubs.put(hub)
    return new PlacementWorld(database, registry)
  }

  private constructor(database: Database, registry: Registry) {
    this.database = database
    this.registry = registry
  }

  close(): Promise<void> {
    return this.registry.close()
  }

  /** No device anywhere, and an enrolment for all. */
  async clear(): Promise<void> {
    await this.database.query(
      `WITH one AS (DELETE FROM penstock.registrations), two AS (DELETE FROM penstock.placement_intents)
       DELETE FROM penstock.identities`,
    )
    for (const hub of Object.values(this.hubs)) {
      hub.devices.clear()
      hub.reach = 'here'
    }
    if (this.#isEnrolled) return
    this.#isEnrolled = true
    await this.registry.enrolments.put('group', group, undefined, () =>
      enrolmentFrom('group', { attestation: { type: 'symmetricKey' } }, group, undefined),
    )
  }

  /** All devices as they are, for `restore`. */
  async kept(): Promise<Kept> {
    const [rows] = await this.database.query<Kept['rows'] & SqlRow>(
      `SELECT ${keptTables.map((name) => `(SELECT json_agg(t) FROM penstock.${name} t) AS ${name}`)}`,
    )
    if (rows === undefined) throw new Error('nothing was selected')
    return { rows, devices: Object.values(this.hubs).map((hub) => [hub, new Map(hub.devices)] as const) }
  }

  /** As after `clear`, but with these devices. */
  async restore({ rows, devices }: Kept): Promise<void> {
    await this.clear()
    const inserts = keptTables.map(
      (name, index) =>
        `i${index} AS (INSERT INTO penstock.${name} SELECT * FROM json_populate_recordset(NULL::penstock.${name}, $${index + 1}))`,
    )
    await this.database.query(
      `WITH ${inserts} SELECT`,
      keptTables.map((name) => JSON.stringify(rows[name] ?? [])),
    )
    for (const [hub, theirs] of devices) for (const [id, device] of theirs) hub.devices.set(id, device)
  }

  async disenrol(): Promise<void> {
    if (this.#isEnrolled) await this.registry.enrolments.delete('group', group, undefined)
    this.#isEnrolled = false
  }

  /** A process of its own. */
  process(steps: Steps, logger: Logger = silentLogger): PlacementProcess {
    return new PlacementProcess(this, steps, logger)
  }

  /** As long after that nothing is under way any more. */
  async settle(): Promise<void> {
    const left = await this.database.query(
      `UPDATE penstock.placement_intents SET since = since - interval '1 hour' RETURNING hub`,
    )
    if (left.length === 0) return
    const { devicesOf } = this.process(new Steps())
    await settleLeft(this.database, [here, there, far], devicesOf, silentLogger)
  }

  /** Each device, the hubs that have it, and what its registration says. */
  async whereabouts(): Promise<
    readonly { readonly deviceId: string; readonly hubs: string[]; readonly said: string[] }[]
  > {
    const found = new Map<string, { deviceId: string; hubs: string[]; said: string[] }>()
    const of = (deviceId: string) => {
      const entry = found.get(deviceId) ?? { deviceId, hubs: [], said: [] }
      found.set(deviceId, entry)
      return entry
    }
    const rows = await this.database.query<{ device_id: string; hub: string | null }>(
      `SELECT device_id, NULL AS hub FROM penstock.identities
       UNION ALL SELECT device_id, hub FROM penstock.registrations WHERE hub IS NOT NULL`,
    )
    for (const { device_id: id, hub } of rows) {
      if (hub === null) of(id).hubs.push(here)
      else of(id).said.push(hub)
    }
    for (const [name, { devices }] of Object.entries(this.hubs)) for (const id of devices.keys()) of(id).hubs.push(name)
    return [...found.values()]
  }
}

/** Sleeps end by their signal alone. */
const still: Clock = { ...systemClock, after: () => () => {} }

export class PlacementProcess {
  readonly #world: PlacementWorld
  readonly #database: Database
  readonly #elsewhere: AssignElsewhere
  readonly #registrations: SqlRegistrations
  readonly devicesOf: (hostName: string) => Promise<HubDevices | undefined>

  constructor(world: PlacementWorld, { take, takeAtHub }: Steps, logger: Logger) {
    this.#world = world
    const { database, registry, hubs } = world
    this.#database = {
      query: (sql, parameters) => take(() => database.query(sql, parameters)),
      transaction: (work) => take(() => database.transaction(work)),
      listen: (...parameters) => database.listen(...parameters),
      close: () => database.close(),
    }
    this.#registrations = new SqlRegistrations(this.#database)
    const outgoing = outgoingTo(hubs, takeAtHub)
    const devices = new OwnDevices(registry.identities, registry.twins)
    const own: HubDevices = {
      twinOf: (id) => take(() => devices.twinOf(id), true),
      seen: (id) => take(() => devices.seen(id), true),
      remove: (id, etag) => take(() => devices.remove(id, etag)),
    }
    this.devicesOf = async (hostName) => {
      if (hostName === here) return own
      return new LinkedDevices({ hostName, policyName: 'p', key: 'a2V5', weight: 1 }, outgoing)
    }
    this.#elsewhere = new AssignElsewhere({
      database: this.#database,
      clock: still,
      logger,
      outgoing,
      own,
      hubName: here,
      isGroupInForce: () => true,
      assignHere: (assignment) =>
        this.#database.transaction(async (queries) => {
          const [outcome] = await assignHere(queries, [assignment], here, () => true, Date.now())
          return outcome as Registration | Refusal
        }),
    })
  }

  /** A device registers; resolves when that is over, whatever came of it. */
  async register(registrationId: string, move: Move): Promise<void> {
    const wanted = await this.#wanted(registrationId, move)
    await this.#elsewhere.begin(wanted).catch(() => undefined)
    await this.#elsewhere.close()
  }

  /** With its device. */
  async deregister(registrationId: string): Promise<void> {
    const registration = await this.#registrations.get(registrationId)
    if (registration !== undefined) await deprovision(this.#registrations, this.devicesOf, registration).catch(() => 0)
  }

  async disenrolWithDevices(): Promise<void> {
    await this.#world.disenrol()
    await deprovisionGroup(this.#registrations, this.devicesOf, group).catch(() => 0)
  }

  async #wanted(
    registrationId: string,
    { hub, key = 1, deviceId, migrates = true, initialTwin }: Move,
  ): Promise<Wanted> {
    const { enrolments, registrations } = this.#world.registry
    const enrolment = await enrolments.get('group', group)
    const reprovisioning = { updateHubAssignment: true, migrateDeviceData: migrates }
    const secret = Buffer.alloc(32, key).toString('base64')
    const sas = { kind: 'sas', primaryKey: secret, secondaryKey: secret } as const
    return {
      assignment: {
        enrolment: { ...(enrolment ?? { kind: 'group', id: group }), deviceId, reprovisioning, initialTwin } as never,
        authentication: { ...sas, primaryThumbprint: undefined, secondaryThumbprint: undefined },
        proof: {},
        registrationId,
        operationId: `5.${crypto.randomUUID()}`,
      },
      known: {
        ...{ revision: 0, groups: [], individual: undefined },
        hubs: linkedHubs,
        linkedHubs,
        registration: await registrations.get(registrationId),
      },
      payload: undefined,
      choice: { kind: 'hub', hostName: hub },
    }
  }
}
