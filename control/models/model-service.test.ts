import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { type VirtualClock, virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { storingMicroseconds } from '#schemas/models/model-cost.ts'
import { ModelService } from './model-service.ts'
import { ModelsForTests, TablesForTests } from './models-fixture.ts'

const document = { properties: { t: { type: 'number' }, p: { type: 'number' } } }
const given = { name: 'M', document, guard: undefined }
const away = new PenstockError('WAREHOUSE_UNAVAILABLE', 'ClickHouse is away')

let clock: VirtualClock
let store: ModelsForTests
let tables: TablesForTests
const services: ModelService[] = []

/** One process more. */
function start(): ModelService {
  const place = { warehouse: tables, tables: { replicated: false, ttlDays: 0 } }
  const service = new ModelService(store, place, clock, silentLogger)
  services.push(service)
  return service
}

const settled = async (): Promise<void> => {
  for (let turns = 0; turns < 50; turns++) await turn()
}

beforeEach(() => {
  clock = virtualClock()
  store = new ModelsForTests()
  tables = new TablesForTests()
})
afterEach(async () => {
  tables.before = () => undefined
  await Promise.all(services.splice(0).map((service) => service.close()))
})

test('without models ClickHouse is never asked', async () => {
  start()
  for (let looks = 0; looks < 3; looks++) {
    await settled()
    expect(clock.step()).toBe(true)
  }
  await settled()
  expect(tables.questions).toBe(0)
})

test('a change is answered when ClickHouse has it', async () => {
  const service = start()
  await service.put(given)
  await service.pin('M', 't')
  expect([...tables.columns.keys()]).toEqual(['device_id', 'M_t'])
  await service.unpin('M', 't')
  await service.remove('M')
  expect([...tables.columns.keys(), ...tables.tables.keys()]).toEqual(['device_id', 'telemetry'])
  expect([await store.removedModels(), service.fault]).toEqual([[], undefined])
})

test('what ClickHouse refuses stays a wish, says why, and is done once it is back', async () => {
  const service = start()
  await service.put(given)
  tables.before = () => {
    throw away
  }
  expect((await service.pin('M', 't')).pins).toEqual(['t'])
  expect(service.fault).toBe('ClickHouse is away')
  await service.remove('M')
  expect(await store.removedModels()).toEqual(['M'])
  tables.before = () => undefined
  clock.step(limits.modelsLookedAtMs)
  await settled()
  expect([...tables.tables.keys()]).toEqual(['telemetry'])
  expect([await store.removedModels(), service.fault]).toEqual([[], undefined])
})

test('a process that ended between the store and any statement is followed by one that does the rest', async () => {
  for (let done = 0; ; done++) {
    store = new ModelsForTests()
    tables = new TablesForTests()
    const service = start()
    await service.put(given)
    await service.pin('M', 't')
    let left = done
    tables.before = () => {
      if (left-- <= 0) throw away
    }
    await store.unpin('M', 't')
    await store.pin('M', 'p')
    await service.setCharts('M', true)
    const isOver = service.fault === undefined
    await services.pop()?.close()
    tables.before = () => undefined
    const next = start()
    await settled()
    expect(next.fault).toBeUndefined()
    expect([...tables.columns.keys()]).toEqual(['device_id', 'M_p'])
    expect([...tables.tables.keys()]).toEqual(['telemetry', 'v_M', 'charts_M'])
    expect(tables.projections).toEqual([expect.stringMatching(/^charts_M_/)])
    if (isOver) {
      expect(done).toBeGreaterThanOrEqual(4)
      break
    }
  }
})

test('a change is answered though ClickHouse takes long over it, which goes on', async () => {
  const service = start()
  await service.put(given)
  let ready = (): void => {}
  tables.before = () => new Promise<void>((resolve) => (ready = resolve))
  const answered = service.pin('M', 't')
  await settled()
  while (clock.step(10_000));
  expect((await answered).pins).toEqual(['t'])
  expect(service.fault).toBe('it is being done')
  expect(tables.columns.has('M_t')).toBe(false)
  tables.before = () => undefined
  ready()
  await settled()
  expect([tables.columns.has('M_t'), service.fault]).toEqual([true, undefined])
})

test('another process that does an old wish late is set right by what it does next', async () => {
  const [late, service] = [start(), start()]
  await service.put(given)
  await settled()
  let ready = (): void => {}
  tables.before = () => new Promise<void>((resolve) => (ready = resolve))
  const pinning = late.pin('M', 't')
  await settled()
  tables.before = () => undefined
  await service.unpin('M', 't')
  expect([...tables.columns.keys()]).toEqual(['device_id'])
  ready()
  await pinning
  expect([...tables.columns.keys()]).toEqual(['device_id'])
  expect(late.fault).toBeUndefined()
})

test('what another process does late for the last model, which is removed by then, does not stay', async () => {
  const [late, service] = [start(), start()]
  await service.put(given)
  await settled()
  let ready = (): void => {}
  tables.before = () => new Promise<void>((resolve) => (ready = resolve))
  const pinning = late.pin('M', 't')
  await settled()
  tables.before = () => undefined
  await service.remove('M')
  expect(await store.removedModels()).toEqual([])
  ready()
  await pinning
  expect([...tables.columns.keys(), ...tables.tables.keys()]).toEqual(['device_id', 'telemetry'])
})

test('a model that is removed while models are read is not forgotten before ClickHouse has nothing of it', async () => {
  const service = start()
  await service.put(given)
  await settled()
  const removedModels = store.removedModels.bind(store)
  store.removedModels = async () => {
    store.removedModels = removedModels
    await store.removeModel('M')
    return removedModels()
  }
  clock.step()
  await settled()
  expect([...tables.tables.keys()]).toEqual(['telemetry'])
})

test('projections that others made stay, whatever their names begin with', async () => {
  tables.projections.push('charts_of_mine')
  const service = start()
  await service.put(given)
  expect([tables.projections, service.fault]).toEqual([['charts_of_mine'], undefined])
})

test('a plan changes nothing', async () => {
  const service = start()
  const { statements, model } = await service.plan(given, ['t', 't'], true)
  expect(storingMicroseconds(model)).toBe(0.2)
  expect(statements.map((sql) => sql.slice(0, 12))).toEqual([
    'ALTER TABLE ',
    'CREATE OR RE',
    'CREATE OR RE',
    'ALTER TABLE ',
  ])
  expect(tables.statements).toEqual([])
  expect(await service.models()).toEqual([])
  await expect(service.plan(given, ['x'], false)).rejects.toMatchObject({ code: 'REGISTRY_ARGUMENT_INVALID' })
})

test('rows of a new model are those of devices that announce it, or all; later they stay as they were', async () => {
  const service = start()
  const thermostat = {
    '@context': 'dtmi:dtdl:context;2',
    '@id': 'dtmi:a:T;1',
    '@type': 'Interface',
    contents: [{ '@type': 'Telemetry', name: 't', schema: 'double' }],
  }
  expect((await service.put({ ...given, document: thermostat })).guard).toEqual({
    kind: 'announced',
    modelId: 'dtmi:a:T;1',
  })
  expect((await service.put({ ...given, name: 'N' })).guard).toEqual({ kind: 'every' })
  const guard = { kind: 'devicePrefix', prefix: 'x' } as const
  expect((await service.put({ ...given, name: 'N', guard })).guard).toEqual(guard)
  expect((await service.put({ ...given, name: 'N' })).guard).toEqual(guard)
})
