import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { ControlChange } from '#control/store/changes.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { compareIds } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { flatTags } from './device-record.ts'
import type {
  DeviceKey,
  DeviceRecord,
  DeviceRecords,
  DeviceTable,
  DeviceVersion,
  StoredDevice,
} from './device-table.ts'
import { DeviceTableKeeper, keepDeviceTable } from './keep-device-table.ts'

const forever = new AbortController().signal

function recordOf(deviceId: string, moduleId = '', seen = 0): DeviceRecord {
  const at = { status_updated_at: null, created_at: 1_000, connection_updated_at: null, last_seen: seen }
  const texts = { status_reason: '', device_scope: '', managed_by: '', generation_id: 'g', model: '', tags_json: '{}' }
  return {
    ...{ device_id: deviceId, module_id: moduleId, status: 'enabled', authentication: 'sas', iot_edge: false },
    ...{ connected: false, tags: {}, desired_version: 1, reported_version: 1 },
    ...at,
    ...texts,
  }
}

const keyOf = ({ device_id, module_id }: DeviceRecord): DeviceKey => ({ deviceId: device_id, moduleId: module_id })
const textOf = ({ deviceId, moduleId }: DeviceKey): string => `${deviceId}/${moduleId}`

/** The store in memory. */
class Store implements DeviceRecords {
  readonly all = new Map<string, DeviceRecord>()

  set(record: DeviceRecord): void {
    this.all.set(textOf(keyOf(record)), record)
  }

  #sorted(): DeviceRecord[] {
    return [...this.all.values()].sort((one, other) => compareIds(keyOf(one), keyOf(other)))
  }

  async page(after: DeviceKey, countMax: number): Promise<readonly DeviceRecord[]> {
    return this.#sorted()
      .filter((record) => compareIds(keyOf(record), after) > 0)
      .slice(0, countMax)
  }

  async of(deviceIds: readonly string[]): Promise<readonly DeviceRecord[]> {
    return this.#sorted().filter(({ device_id }) => deviceIds.includes(device_id))
  }
}

/** The warehouse in memory: of an identity the highest version counts, of equal ones the last. */
class Table implements DeviceTable {
  all = new Map<string, DeviceVersion>()
  puts = 0
  /** Asked before each insert. */
  fate: () => 'stored' | 'lost' | 'unknown' | 'late' = () => 'stored'
  readonly #late: (readonly DeviceVersion[])[] = []

  #sorted(): StoredDevice[] {
    return [...this.all.values()]
      .map(({ key, record, fingerprint, version }) => ({
        ...key,
        fingerprint,
        isDeleted: record === undefined,
        version,
      }))
      .sort(compareIds)
  }

  async stored(after: DeviceKey, upTo: DeviceKey | undefined, countMax: number): Promise<readonly StoredDevice[]> {
    const inRange = (key: DeviceKey) => compareIds(key, after) > 0 && (!upTo || compareIds(key, upTo) <= 0)
    return this.#sorted().filter(inRange).slice(0, countMax)
  }

  async storedOf(deviceIds: readonly string[]): Promise<readonly StoredDevice[]> {
    return this.#sorted().filter(({ deviceId }) => deviceIds.includes(deviceId))
  }

  async put(versions: readonly DeviceVersion[]): Promise<void> {
    this.puts++
    const fate = this.fate()
    if (fate === 'late') this.#late.push(versions)
    if (fate === 'stored' || fate === 'unknown') this.#store(versions)
    if (fate !== 'stored') throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'no answer')
  }

  /** What was on its way arrives. */
  arrive(): void {
    for (const versions of this.#late.splice(0)) this.#store(versions)
  }

  #store(versions: readonly DeviceVersion[]): void {
    for (const version of versions) {
      const known = this.all.get(textOf(version.key))
      if (!known || known.version <= version.version) this.all.set(textOf(version.key), version)
    }
  }

  shown(): DeviceRecord[] {
    return [...this.all.values()].flatMap(({ record }) => record ?? [])
  }
}

function set(overrides: { readonly holds?: () => Promise<boolean> } = {}) {
  const [store, table, time] = [new Store(), new Table(), virtualClock(1_700_000_000_000)]
  let setMs = 0
  const clock = { ...time, nowMs: () => time.nowMs() + setMs }
  const setClock = (byMs: number): void => {
    setMs += byMs
  }
  const advance = async (byMs: number): Promise<void> => {
    const untilMs = time.nowMs() + byMs
    do await setImmediate()
    while (time.step(untilMs))
  }
  const listeners = new Set<(change: ControlChange) => void>()
  const changes = {
    onChange(listener: (change: ControlChange) => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const holds = overrides.holds ?? (async () => true)
  const metrics = new Metrics(metricsTable)
  const tools = { records: store, table, changes, holds, metrics, clock, logger: silentLogger }
  const tell = (deviceId: string) => {
    const changed = [{ change: 'updated' as const, deviceId, moduleId: undefined }]
    for (const listener of listeners) listener({ kind: 'identities', changes: changed })
  }
  return { store, table, advance, setClock, tools, tell, listeners, keeper: new DeviceTableKeeper(tools) }
}

const sameAs = (store: Store) => expect.arrayContaining([...store.all.values()])

describe('the table of devices', () => {
  test('holds what the store holds after a pass, over pages of both; another pass adds nothing', async () => {
    const { store, table, keeper } = set()
    for (let index = 0; index < 2.5 * limits.deviceTablePageMax; index++) store.set(recordOf(`d${index}`))
    for (const moduleId of ['a', 'b']) store.set(recordOf('d7', moduleId))
    await keeper.pass(forever)
    expect(table.shown()).toHaveLength(store.all.size)
    const puts = table.puts
    await keeper.pass(forever)
    expect(table.puts).toBe(puts)
    // All of them gone, and others there: both sides have pages of their own.
    store.all.clear()
    for (let index = 0; index < 30; index++) store.set(recordOf(`d${index * 100}x`))
    await keeper.pass(forever)
    expect(table.shown()).toEqual(sameAs(store))
    expect(table.shown()).toHaveLength(30)
  })

  test('a device that comes back after it was deleted counts, and so does a change while the clock was set back', async () => {
    const { store, table, setClock, keeper } = set()
    store.set(recordOf('d1'))
    await keeper.pass(forever)
    store.all.clear()
    await keeper.pass(forever)
    expect(table.shown()).toEqual([])
    setClock(-3_600_000)
    store.set(recordOf('d1', '', 5))
    await keeper.pass(forever)
    expect(table.shown()).toEqual([recordOf('d1', '', 5)])
  })

  test('whatever becomes of inserts, a pass that goes well makes both the same', async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1e9)
    const { next, below, chance } = seededRandom(seed)
    const { store, table, setClock, keeper } = set()
    for (let round = 0; round < 200; round++) {
      for (let change = below(5); change > 0; change--) {
        const [deviceId, moduleId] = [`d${below(12)}`, chance(0.3) ? 'm' : '']
        if (chance(0.4)) store.all.delete(textOf({ deviceId, moduleId }))
        else store.set(recordOf(deviceId, moduleId, below(4)))
        if (chance(0.5)) keeper.told([deviceId])
      }
      table.fate = () => (['stored', 'lost', 'unknown', 'late'] as const)[below(4)] ?? 'stored'
      await keeper.work(forever)
      if (chance(0.3)) table.arrive()
      setClock((next() - 0.5) * 10_000)
      if (chance(0.5)) continue
      table.arrive()
      table.fate = () => 'stored'
      await keeper.pass(forever)
      expect(table.shown(), `SEED=${seed}, round ${round}`).toEqual(sameAs(store))
      expect(table.shown(), `SEED=${seed}, round ${round}`).toHaveLength(store.all.size)
    }
  })

  test('a change that is told is there before the next pass; a process that does not hold the table leaves it alone', async () => {
    let isHeld = false
    const { store, table, advance, tools, tell, listeners } = set({ holds: async () => isHeld })
    store.set(recordOf('d1'))
    const end = keepDeviceTable(tools)
    await advance(limits.deviceTablePauseMs)
    expect(table.shown()).toEqual([])
    isHeld = true
    await advance(2 * limits.deviceTablePauseMs)
    expect(table.shown()).toEqual([recordOf('d1')])
    store.set(recordOf('d1', '', 9))
    tell('d1')
    await advance(limits.deviceTableToldMs)
    expect(table.shown()).toEqual([recordOf('d1', '', 9)])
    const ended = end()
    await advance(limits.deviceTablePauseMs)
    await ended
    expect(listeners.size).toBe(0)
  })
})

test('a process that does not hold the table asks about it no more often than passes are due, whatever it is told', async () => {
  let questions = 0
  const holds = async () => {
    questions++
    return false
  }
  const { advance, tools, tell } = set({ holds })
  const end = keepDeviceTable(tools)
  await advance(limits.deviceTablePauseMs / 2)
  tell('d1')
  await advance(10 * limits.deviceTablePauseMs)
  expect(questions).toBeLessThanOrEqual(12)
  const ended = end()
  await advance(limits.deviceTablePauseMs)
  await ended
})

test('tags are a map of texts by their paths', () => {
  expect(flatTags({ site: { hall: 2, name: 'north' }, list: [1, 'a'], on: true, gone: null, empty: {} })).toEqual({
    'site.hall': '2',
    'site.name': 'north',
    list: '[1,"a"]',
    on: 'true',
  })
})
