/** What the engine really does with views over the telemetry table, as docs/GUARANTEES.md tells it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { embeddedWarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { systemClock } from '#runtime/clock.ts'
import { createLogger, silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { openClickHouseSink } from './clickhouse-sink.ts'
import { dependentViews, renderViews } from './dependent-views.ts'
import { insertTexts } from './insert-texts-fixture.ts'
import { watchViews } from './watch-views.ts'

const good = ['{"temperature":1}', '{"temperature":2}']
const bodies = [...good, '{"temperature":"hot"}', '{"temperature":4}']
const throwing = "throwIf(JSONType(body, 'temperature') = 'String')"

describe('views over penstock.telemetry', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-views-'))
  let warehouse: Warehouse
  let sink: TableSink

  beforeAll(async () => {
    warehouse = await embeddedWarehouseForTests(dataDir)
  })
  afterAll(async () => {
    await warehouse?.close()
    rmSync(dataDir, { recursive: true, force: true })
  })
  beforeEach(async () => {
    await warehouse.command('DROP DATABASE IF EXISTS penstock')
    sink = await openClickHouseSink({ warehouse, tables: { replicated: false, ttlDays: 0 }, logger: silentLogger })
  })

  const insert = (offset: number, texts: readonly string[], token?: string) => insertTexts(sink, offset, texts, token)
  const count = async (table: string) =>
    Number((await warehouse.query(`SELECT count() AS n FROM penstock.${table}`))[0]?.n)
  const target = (name: string, window = 100) =>
    warehouse.command(
      `CREATE TABLE penstock.${name} (body String) ENGINE = MergeTree ORDER BY body SETTINGS non_replicated_deduplication_window = ${window}`,
    )
  const view = (name: string, to: string, select: string) =>
    warehouse.command(`CREATE MATERIALIZED VIEW penstock.${name} TO penstock.${to} AS SELECT ${select}`)
  const views = () => dependentViews(warehouse, 'telemetry')

  test('a view that throws at one row gets none of the insert, the table and other views get all [G-2]', async () => {
    for (const name of ['a', 'b', 'c']) await target(name)
    await view('strict', 'a', `toString(${throwing}) AS body FROM penstock.telemetry`)
    await view('lax', 'b', 'body FROM penstock.telemetry')
    await view('below', 'c', 'body FROM penstock.a')
    await insert(1, bodies)
    await insert(2, good)
    expect([await count('telemetry'), await count('a'), await count('b'), await count('c')]).toEqual([6, 2, 6, 2])
    const found = await views()
    expect(found.map(({ name }) => name).sort()).toEqual(['penstock.below', 'penstock.lax', 'penstock.strict'])
    const [failing, ...others] = found.filter(({ failure }) => failure)
    expect(others).toEqual([])
    expect(failing).toMatchObject({ name: 'penstock.strict', target: 'penstock.a' })
    expect(failing?.failure?.text).toContain('throwIf')
    expect(renderViews('telemetry', found)).toMatch(
      /^3 materialized views hang on penstock\.telemetry; .*\n {2}penstock\.strict lacks rows that are stored: it failed (just now|\d+ s ago): .*throwIf/,
    )
  })

  test('a view whose target was dropped keeps no insert out, at any depth, and is named [G-2]', async () => {
    for (const name of ['a', '`b c`']) await target(name)
    await view('`first of all`', 'a', 'body FROM penstock.telemetry')
    await view('second', '`b c`', 'body FROM penstock.a')
    await warehouse.command('DROP TABLE penstock.`b c`')
    await insert(1, good)
    expect([await count('telemetry'), await count('a')]).toEqual([2, 2])
    expect(await views()).toMatchObject([
      { name: 'penstock.first of all', failure: undefined },
      { name: 'penstock.second', failure: { ageMs: 0, text: 'its target penstock.b c does not exist' } },
    ])
    await warehouse.command('DROP TABLE penstock.a')
    await insert(2, good)
    expect(await count('telemetry')).toBe(4)
    expect(await views()).toMatchObject([
      { name: 'penstock.first of all', failure: { text: 'its target penstock.a does not exist' } },
    ])
  })

  test('a view that reads a dropped table gets nothing, and is named [G-2]', async () => {
    await target('a')
    await warehouse.command('CREATE TABLE penstock.names (d String, name String) ENGINE = MergeTree ORDER BY d')
    await view('joined', 'a', 'name AS body FROM penstock.telemetry LEFT JOIN penstock.names ON d = device_id')
    await warehouse.command('DROP TABLE penstock.names')
    await insert(1, good)
    expect([await count('telemetry'), await count('a')]).toEqual([2, 0])
    expect((await views())[0]?.failure?.text).toContain('penstock.names')
  })

  test('a view of more columns than its target fills those that are there', async () => {
    await warehouse.command('CREATE TABLE penstock.a (body String, d String) ENGINE = MergeTree ORDER BY body')
    await view('wide', 'a', 'body, device_id AS d FROM penstock.telemetry')
    await warehouse.command('ALTER TABLE penstock.a DROP COLUMN d')
    await insert(1, good)
    expect([await count('telemetry'), await count('a')]).toEqual([2, 2])
    expect((await views())[0]?.failure).toBeUndefined()
  })

  test('a target that is partitioned more finely than the table gets every row of an insert', async () => {
    await warehouse.command(
      'CREATE TABLE penstock.fine (body String) ENGINE = MergeTree PARTITION BY body ORDER BY body',
    )
    await view('finer', 'fine', 'body FROM penstock.telemetry')
    await insert(1, bodies)
    expect([await count('telemetry'), await count('fine')]).toEqual([4, 4])
    expect((await views())[0]?.failure).toBeUndefined()
  })

  test('a repeated insert reaches views again: a target with a window of tokens drops it, one without holds it twice', async () => {
    await target('remembering')
    await target('forgetful', 0)
    await view('v1', 'remembering', 'body FROM penstock.telemetry')
    await view('v2', 'forgetful', 'body FROM penstock.telemetry')
    for (let attempt = 0; attempt < 2; attempt++) await insert(1, good)
    expect([await count('telemetry'), await count('remembering'), await count('forgetful')]).toEqual([2, 2, 4])
  })

  test('a range whose token lost its rows reaches views again under a new token: their targets hold it twice', async () => {
    await target('a')
    await view('v', 'a', 'body FROM penstock.telemetry')
    await insert(1, good)
    // A kill while the part is committed can leave the token without its rows. Deleting the rows does too.
    await warehouse.command('ALTER TABLE penstock.telemetry DELETE WHERE 1 SETTINGS mutations_sync = 2')
    await insert(1, good)
    expect([await count('telemetry'), await count('a')]).toEqual([0, 2])
    await insert(1, good, 'token 1~1')
    expect([await count('telemetry'), await count('a')]).toEqual([2, 4])
  })

  test('a view that failed and was mended gets what is inserted from then on, and of a repetition what it lacks', async () => {
    await target('a')
    await view('mended', 'a', `toString(${throwing}) AS body FROM penstock.telemetry`)
    await insert(1, bodies)
    await warehouse.command('ALTER TABLE penstock.mended MODIFY QUERY SELECT body FROM penstock.telemetry')
    await insert(2, bodies)
    expect([await count('telemetry'), await count('a')]).toEqual([8, 4])
    await insert(1, bodies)
    expect([await count('telemetry'), await count('a')]).toEqual([8, 8])
  })

  test('neither plain nor refreshable views, nor views of other tables, count as hanging on the table', async () => {
    await target('a')
    await warehouse.command('CREATE VIEW penstock.plain AS SELECT body FROM penstock.telemetry')
    await warehouse.command(
      'CREATE MATERIALIZED VIEW penstock.refreshed REFRESH EVERY 1 YEAR ENGINE = MergeTree ORDER BY body AS SELECT body FROM penstock.telemetry',
    )
    await view('other', 'a', 'body FROM penstock.device_events')
    expect(await views()).toEqual([])
    expect(renderViews('telemetry', [])).toBe('')
  })

  test('the worker names views when it starts and when they change, names what fails, and counts both', async () => {
    await target('a')
    await view('strict', 'a', `toString(${throwing}) AS body FROM penstock.telemetry`)
    await insert(1, bodies)
    const lines: string[] = []
    const metrics = new Metrics(metricsTable)
    const stop = new AbortController()
    let looks = 0
    let look = () => {}
    // Each look is asked for by the test.
    const clock = {
      ...systemClock,
      after: (_: number, action: () => void) => {
        look = action
        looks++
        return () => {}
      },
    }
    const logger = createLogger('worker', 'info', (line) => lines.push(line))
    const watching = watchViews({ warehouse, table: 'telemetry', logger, metrics, clock, stopping: stop.signal })
    const lookedAt = async (times: number) => await expect.poll(() => looks).toBe(times)
    const counted = () => [
      metrics.series('penstock_worker_views').value,
      metrics.series('penstock_worker_views_failing').value,
    ]
    await lookedAt(1)
    expect(counted()).toEqual([1, 1])
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain('views=penstock.strict')
    expect(lines[1]).toMatch(/a materialized view failed; .* view=penstock\.strict .*throwIf/)
    look()
    await lookedAt(2)
    expect(lines).toHaveLength(2)
    await warehouse.command('DROP TABLE penstock.strict')
    look()
    await lookedAt(3)
    expect(counted()).toEqual([0, 0])
    expect(lines[2]).toContain('none any more')
    stop.abort()
    await watching
  })
})

test('where the server logs views, their failures are read from there: every one, with its view', async () => {
  const warehouse = {
    query: async (statement: string) => {
      if (statement.includes("name = 'query_views_log'")) return [{ name: 'query_views_log' }]
      if (statement.includes('FROM system.query_views_log'))
        return [{ view_name: 'penstock.`m v`', age: '7', text: 'no\nroom' }]
      if (statement.includes('system.errors')) return []
      if (statement.includes("('penstock', 'telemetry')"))
        return [
          {
            database: 'penstock',
            name: 'telemetry',
            dependencies_database: ['penstock'],
            dependencies_table: ['m v'],
          },
        ]
      // An older server, which does not tell targets.
      return [{ database: 'penstock', name: 'm v', dependencies_database: [], dependencies_table: [] }]
    },
  } as unknown as Warehouse
  expect(await dependentViews(warehouse, 'telemetry')).toEqual([
    { name: 'penstock.m v', target: undefined, failure: { ageMs: 7_000, text: 'no room' } },
  ])
  expect(limits.viewFailureFreshMs).toBeGreaterThan(10 * limits.viewsLookedAtMs)
})
