import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import { LatestRows } from './latest-rows.ts'
import { PartWatch } from './part-watch.ts'
import { expectRolledUp, makeTables, rollUpsOver, roomModel, storeRows, type TestRow } from './summaries-fixture.ts'

const forever = new AbortController().signal

describe('tables computed from rows, on the embedded engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-summaries-'))
  let warehouse: WarehouseForTests

  beforeAll(async () => {
    warehouse = await embeddedWarehouseForTests(folder)
    await makeTables(warehouse)
  })

  afterAll(async () => {
    await warehouse.close()
    rmSync(folder, { recursive: true })
  })

  beforeEach(async () => {
    for (const table of ['telemetry', 'latest_versions', 'field_minute_versions', 'field_hour_versions', 'computed'])
      await warehouse.command(`TRUNCATE TABLE penstock.${table}`)
  })

  const store = (...rows: readonly TestRow[]) => storeRows(warehouse, rows)
  const fresh = () => rollUpsOver(warehouse)
  const minutes = (columns = '*') =>
    warehouse.query(`SELECT ${columns} FROM penstock.field_minutes ORDER BY model, field, device_id, start`)

  test('a minute has count, least, greatest, sum, average and last of each numeric field', async () => {
    await store(
      ['room1', 1_000, '{"heat":1.5,"odd":7}'],
      ['room1', 2_000, '{"heat":2.5}'],
      ['room1', 59_999, '{"heat":-4}'],
      ['room1', 60_000, '{"heat":10}'],
      ['hall1', 1_000, '{"heat":99}'],
      ['room2', 5_000, 'no JSON at all'],
      ['room2', 6_000, '{"heat":1e999}'],
    )
    expect(await fresh()()).toBe(3)
    expect(await minutes('field, device_id, toMinute(start) AS at, count, min, max, sum, avg, last')).toEqual([
      { field: 'heat', device_id: 'room1', at: 0, count: '3', min: -4, max: 2.5, sum: 0, avg: 0, last: -4 },
      { field: 'heat', device_id: 'room1', at: 1, count: '1', min: 10, max: 10, sum: 10, avg: 10, last: 10 },
      { field: 'o\'dd "name"', device_id: 'room1', at: 0, count: '1', min: 7, max: 7, sum: 7, avg: 7, last: 7 },
    ])
    await expectRolledUp(warehouse)
  })

  test('nothing is computed twice; late rows have their minute and hour computed again, and only these', async () => {
    const all = fresh()
    await store(['room1', 0, '{"heat":1}'], ['room1', 3_600_000, '{"heat":2}'], ['room2', 7_200_000, '{"heat":3}'])
    expect(await all()).toBe(6)
    expect(await all()).toBe(0)
    await store(['room3', 7_260_000, '{"heat":4}'])
    expect(await all()).toBe(2)
    // Hours late, among rows that are merged by then.
    await store(['room1', 10, '{"heat":8}'])
    await warehouse.command('OPTIMIZE TABLE penstock.telemetry FINAL')
    expect(await all()).toBe(2)
    await expectRolledUp(warehouse)
    // Another process knows by what is noted.
    expect(await fresh()()).toBe(0)
  })

  test('a minute that was computed and not noted is computed again, and is the same', async () => {
    await store(['room1', 0, '{"heat":1}'], ['room1', 5, '{"heat":2}'])
    await fresh()()
    await warehouse.command('TRUNCATE TABLE penstock.computed')
    expect(await fresh()()).toBe(2)
    await expectRolledUp(warehouse)
  })

  test('minutes outlive their rows: of fewer rows they are never computed to less', async () => {
    await store(['room1', 0, '{"heat":1}'], ['room1', 5, '{"heat":2}'], ['room2', 5, '{"heat":2}'])
    await fresh()()
    const before = await minutes()
    await warehouse.command("ALTER TABLE penstock.telemetry DELETE WHERE enqueued_at > '2026-01-02 03:00:00.001'")
    await expect
      .poll(async () => Number((await warehouse.query('SELECT count() AS n FROM penstock.telemetry'))[0]?.n))
      .toBe(1)
    await fresh()()
    expect(await minutes()).toEqual(before)
    expect(await warehouse.query('SELECT sum(count) AS n FROM penstock.field_hours')).toEqual([{ n: '3' }])
  })

  test('a model that is new, or says something else, is computed of the rows that are there', async () => {
    const all = fresh()
    await store(['room1', 0, '{"heat":1,"cold":5}'])
    await all()
    const cold = { field: 'heat', expression: "JSONExtract(body, 'cold', 'Nullable(Float64)')", meaning: 'cold' }
    const changed = { ...roomModel, fields: [cold] }
    expect(await all([changed])).toBe(2)
    expect(await minutes('field, last')).toEqual([{ field: 'heat', last: 5 }])
    const broken = { ...roomModel, model: 'broken', guard: 'no_such_column = 1' }
    expect(await all([broken, roomModel])).toBe(2)
  })

  test('a model that is of fewer rows than before, or has fewer fields, keeps nothing of what it was', async () => {
    await store(
      ['room1', 0, '{"heat":1,"odd":3}'],
      ['room1', 5, '{"heat":9,"odd":4,"well":1}'],
      ['room2', 60_000, '{"heat":5}'],
      ['hall1', 0, '{"heat":2}'],
    )
    const all = fresh()
    await all([roomModel, { ...roomModel, model: 'other' }])
    const others = await minutes()
    const [heat] = roomModel.fields
    const narrower = { ...roomModel, guard: "JSONHas(body, 'well')", fields: heat ? [heat] : [] }
    await all([narrower, { ...roomModel, model: 'other' }])
    const left = { field: 'heat', device_id: 'room1', rows: 1, max: 9, min: 9 }
    for (const view of ['field_minutes', 'field_hours'])
      expect(
        await warehouse.query(
          `SELECT field, device_id, toUInt8(count) AS rows, max, min FROM penstock.${view} WHERE model = 'room'`,
        ),
      ).toEqual([left])
    expect((await minutes()).filter(({ model }) => model === 'other')).toEqual(
      others.filter(({ model }) => model === 'other'),
    )
    // Another process finds nothing more to do.
    expect(await fresh()([narrower, { ...roomModel, model: 'other' }])).toBe(0)
  })

  test('the newest row of each device, whatever came late or twice, is in penstock.latest', async () => {
    let [parts, latest] = [new PartWatch(warehouse), new LatestRows(warehouse)]
    const pass = async () => {
      const look = await parts.look()
      await latest.compute(look, forever)
      look.settle()
    }
    const shown = () => warehouse.query('SELECT device_id, body FROM penstock.latest ORDER BY device_id')
    const dayMs = 86_400_000
    await store(['a', 0, 'a0'], ['b', 0, 'b0'], ['a', 1, 'a1'])
    await store(['c', dayMs, 'c1'])
    await pass()
    expect(await shown()).toEqual([
      { device_id: 'a', body: 'a1' },
      { device_id: 'b', body: 'b0' },
      { device_id: 'c', body: 'c1' },
    ])
    // Late rows, of a device that has a newer one and of one that has not.
    await store(['c', 5, 'c0'], ['b', 5, 'b5'], ['d', 5, 'd5'])
    await pass()
    await store(['a', dayMs + 9, 'a9'])
    // A new process, while nobody looked.
    ;[parts, latest] = [new PartWatch(warehouse), new LatestRows(warehouse)]
    await pass()
    await pass()
    expect(await shown()).toEqual([
      { device_id: 'a', body: 'a9' },
      { device_id: 'b', body: 'b5' },
      { device_id: 'c', body: 'c1' },
      { device_id: 'd', body: 'd5' },
    ])
  })
})
