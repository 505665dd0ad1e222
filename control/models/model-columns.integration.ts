/** What models make in ClickHouse, in the engine itself: types, bodies of any kind, names of any kind, and what is asked of it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import { quoted } from '#schemas/clickhouse-text.ts'
import { fieldTypes, type ModelField, type ModelTable } from '#schemas/models/model.ts'
import { pinnedColumns } from '#schemas/models/model-sql.ts'
import { migrationsTableStatements } from '#schemas/telemetry-table.ts'
import { migrations } from '#schemas/warehouse-migrations.ts'
import { ModelTables } from './model-tables.ts'
import { ModelsForTests } from './models-fixture.ts'
import { suggestModel } from './suggest-model.ts'

const options = { replicated: false, ttlDays: 30 }
const dataDir = mkdtempSync(join(tmpdir(), 'penstock-models-'))
let warehouse: WarehouseForTests

beforeAll(async () => {
  warehouse = await embeddedWarehouseForTests(dataDir)
  const statements = [...migrationsTableStatements(options), ...migrations(options).flatMap((each) => each.statements)]
  for (const statement of statements) await warehouse.command(statement)
})
afterAll(async () => {
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const fields: readonly ModelField[] = fieldTypes.flatMap((type) => [
  { name: type, path: [type], type, isList: false },
  ...(type === 'point' ? [] : [{ name: `o_${type}s`, path: ['o', `${type}s`], type, isList: true }]),
])
const oddNames = [
  "it's",
  'a`b',
  'a\\b',
  'a"b',
  'ü b',
  "'); DROP TABLE penstock.telemetry; --",
  '1',
  '?',
  '{x:String}',
  '',
]
const odd: readonly ModelField[] = ['device_id', 'body', 'minute', ...oddNames.filter(Boolean)].map((name) => ({
  name,
  path: [name],
  type: 'double',
  isList: false,
}))
const guard = { kind: 'property', name: "k'\\`", value: "v'\\`" } as const

/** Brings the engine in line with one model. */
async function bring({ pins, hasCharts }: Pick<ModelTable, 'pins' | 'hasCharts'>, more: Partial<ModelTable> = {}) {
  const store = new ModelsForTests()
  const read = { kind: 'jsonSchema', modelId: undefined, leftAside: [], document: '{}' } as const
  await store.putModel({ ...read, name: 'M', guard, fields: [...fields, ...odd], ...more })
  for (const pin of pins) await store.pin('M', pin)
  await store.setCharts('M', hasCharts)
  const tables = new ModelTables(store, { warehouse, tables: options })
  await tables.bring()
  expect(tables.fault).toBeUndefined()
  return { store, tables }
}

const insert = (bodies: readonly string[], device = 'd', property: string = guard.value): Promise<void> =>
  warehouse.command(
    'INSERT INTO penstock.telemetry (device_id, enqueued_at, body, properties, log_offset) ' +
      `SELECT ${quoted(device)}, now64(3), body, map(${quoted(guard.name)}, ${quoted(property)}), 0 FROM values('body String', ${bodies.map((body) => `(${quoted(body)})`).join(', ')})`,
  )

const all =
  '{"boolean":true,"integer":7,"long":9007199254740993,"float":1.5,"double":21.5,"string":"é","date":"2026-05-04",' +
  '"dateTime":"2026-05-04T08:15:00.123Z","enum":"on","point":{"type":"Point","coordinates":[8.5,47.25,400]},"device_id":1,"body":2,"minute":3,' +
  '"o":{"booleans":[true,null],"integers":[1,2],"longs":[],"floats":[0.5],"doubles":[1,"x",{"a":1}],"strings":["a"],"dates":["2026-01-01","x"],' +
  '"dateTimes":["2026-01-01T00:00:00+02:00"],"enums":["a","a"]},' +
  oddNames
    .filter(Boolean)
    .map((name, index) => `${JSON.stringify(name)}:${index}`)
    .join(',') +
  '}'
const hostile = [
  '',
  '{',
  'null',
  '[]',
  '5',
  '\\ud800',
  '['.repeat(50_000),
  `{"double":${'['.repeat(50_000)}`,
  `{"double":1e999,"integer":99999999999,"long":1e30,"float":"x","boolean":"yes","string":{"a":[1]},"date":"nope","dateTime":"2026-13-45","enum":{"a":1},"point":5}`,
  '{"o":{"doubles":5,"dates":{},"enums":"x","integers":[1e30,{}]},"point":{"coordinates":"x"},"date":0,"dateTime":-1e20,"boolean":7}',
  '{"date":"9999-99-99","dateTime":"99999-01-01T00:00:00Z","point":{"coordinates":[]}}',
  '{"date":"0000-00-00","dateTime":"0000-00-00T00:00:00Z","o":[]}',
]
/** All that can be pinned; names that would be those of further columns alone. */
const everything = [...fields, ...odd].map(({ name }) => name)

test('no body keeps rows out, and a pinned column has what the view has', { timeout: 60_000 }, async () => {
  await bring({ pins: [], hasCharts: false })
  await insert([all])
  const [unpinned] = await warehouse.query('SELECT * EXCEPT (enqueued_at) FROM penstock.v_M')
  expect(unpinned).toMatchObject({
    ...{ boolean: true, integer: 7, long: '9007199254740993', float: 1.5, double: 21.5, string: 'é' },
    ...{ date: '2026-05-04', dateTime: '2026-05-04 08:15:00.123', enum: 'on', point: [8.5, 47.25] },
    ...{ value_device_id: 1, value_body: 2, minute: 3, device_id: 'd' },
    ...{ o_booleans: [true, null], o_integers: [1, 2], o_longs: [], o_floats: [0.5], o_doubles: [1, null, null] },
    ...{
      o_strings: ['a'],
      o_dates: ['2026-01-01', null],
      o_dateTimes: ['2025-12-31 22:00:00.000'],
      o_enums: ['a', 'a'],
    },
    ...Object.fromEntries(oddNames.filter(Boolean).map((name, index) => [name, index])),
  })

  await bring({ pins: everything, hasCharts: true })
  await insert([all, ...hostile])
  await insert([all], 'other', 'of another model')
  const pinned = await warehouse.query(
    'SELECT * EXCEPT (enqueued_at) FROM penstock.v_M ORDER BY double DESC NULLS LAST',
  )
  expect(pinned).toHaveLength(2 + hostile.length)
  // A row of before is computed as it is read.
  expect(pinned.slice(0, 2)).toEqual([unpinned, unpinned])
  const model = { name: 'M', guard, fields: [...fields, ...odd], pins: everything, hasCharts: true }
  const differences = pinnedColumns(model).map(
    ({ column, expression }) =>
      `toString(${`\`${column.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``}) IS DISTINCT FROM toString(${expression})`,
  )
  const [sums] = await warehouse.query(
    `SELECT count() AS n, countIf(${differences.join(' OR ')}) AS different, countIf(M_double IS NULL) AS nulls FROM penstock.telemetry`,
  )
  expect([sums?.n, sums?.different, sums?.nulls].map(Number)).toEqual([3 + hostile.length, 0, hostile.length + 1])
})

test('charts are answered from the projection, also after parts were merged and days dropped', {
  timeout: 60_000,
}, async () => {
  await bring({ pins: everything, hasCharts: true })
  await insert(['{"double":1}', '{"double":3}'], 'charted')
  const asked = "FROM penstock.charts_M WHERE device_id = 'charted' AND minute >= now() - INTERVAL 1 HOUR"
  for (const between of [
    'OPTIMIZE TABLE penstock.telemetry FINAL',
    "ALTER TABLE penstock.telemetry DELETE WHERE device_id = 'nobody' SETTINGS mutations_sync = 1",
    'ALTER TABLE penstock.telemetry MATERIALIZE TTL SETTINGS mutations_sync = 1',
  ]) {
    await warehouse.command(between)
    const rows = await warehouse.query(
      `SELECT sum(double_count) AS n, min(double_min) AS low, max(double_max) AS high, avg(double_avg) AS mean ${asked}`,
    )
    expect(rows).toEqual([{ n: '2', low: 1, high: 3, mean: 2 }])
    const plan = await warehouse.query(`EXPLAIN SELECT minute, double_avg ${asked}`)
    expect(JSON.stringify(plan)).toMatch(/ReadFromMergeTree \(charts_M_/)
  }
})

test('unpinned, removed: nothing of it is left, and every row is', { timeout: 60_000 }, async () => {
  const count = async () => Number((await warehouse.query('SELECT count() AS n FROM penstock.telemetry'))[0]?.n)
  const before = await count()
  await bring({ pins: ['double'], hasCharts: false })
  const names = "SELECT name FROM system.columns WHERE database = 'penstock' AND table = 'telemetry' AND comment != ''"
  expect(await warehouse.query(names)).toEqual([{ name: 'M_double' }])
  const { store, tables } = await bring({ pins: ['double', 'long'], hasCharts: true })
  await store.removeModel('M')
  await tables.bring()
  expect(await warehouse.query(names)).toEqual([])
  const left =
    "SELECT name FROM system.tables WHERE database = 'penstock' AND (name LIKE '%M' OR create_table_query LIKE '%charts_%')"
  expect(await warehouse.query(left)).toEqual([])
  expect(await count()).toBe(before)
})

test('a model is suggested from rows as they are', { timeout: 60_000 }, async () => {
  await insert(
    [
      '{"t":1,"on":true,"at":"2026-05-04T08:15:00Z","o":{"x":1.5,"deep":{"y":1}},"list":[1,2.5],"none":null,"a.b":"x"}',
      '{"t":2.5,"on":false,"at":"2026-05-04T08:16:00+02:00","o":{"x":2},"list":[]}',
      'no JSON',
      '[1]',
    ],
    'suggested',
  )
  const { document, rowCount, notes } = await suggestModel(warehouse, { kind: 'devicePrefix', prefix: 'sugg' })
  expect(rowCount).toBe(4)
  expect(document.properties).toEqual({
    t: { type: 'number' },
    on: { type: 'boolean' },
    at: { type: 'string', format: 'date-time' },
    o: { type: 'object', properties: { x: { type: 'number' } } },
    list: { type: 'array', items: { type: 'number' } },
    'a.b': { type: 'string' },
  })
  expect(notes.map(({ path }) => path).toSorted()).toEqual(['none', 'o.deep'])
})
