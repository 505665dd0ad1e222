import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { systemClock } from '#runtime/clock.ts'
import { BackupFiles } from './backup-files.ts'
import {
  copyParts,
  type FrozenTables,
  freezeQuietTables,
  freezeTables,
  restoreTables,
  thaw,
  untilInsertsEnd,
} from './tables.ts'

const root = mkdtempSync(join(tmpdir(), 'penstock-tables-'))
const engineFolder = join(root, 'warehouse/engine')
let warehouse: WarehouseForTests

beforeAll(async () => {
  warehouse = await embeddedWarehouseForTests(join(root, 'warehouse'))
})
afterAll(async () => {
  await warehouse?.close()
  rmSync(root, { recursive: true, force: true })
})

const made = [
  'CREATE DATABASE shop ENGINE = Atomic',
  'CREATE FUNCTION twice AS x -> x * 2',
  'CREATE TABLE shop.`odd name` (a UInt64, d Date) ENGINE = MergeTree PARTITION BY d ORDER BY a',
  // Made before the table that it reads, and so named before it.
  'CREATE TABLE shop.target (a UInt64) ENGINE = MergeTree ORDER BY a',
  'CREATE VIEW shop.all AS SELECT twice(a) AS b FROM shop.`odd name`',
  'CREATE MATERIALIZED VIEW shop.copied TO shop.target AS SELECT a FROM shop.`odd name`',
  'CREATE MATERIALIZED VIEW shop.counted ENGINE = SummingMergeTree ORDER BY d AS SELECT d, count() AS n FROM shop.`odd name` GROUP BY d',
  'CREATE TABLE shop.latest (a UInt64, b UInt64) ENGINE = ReplacingMergeTree ORDER BY a',
  'CREATE TABLE shop.note (text String) ENGINE = Log',
]

const numbers = async (statement: string) => (await warehouse.query(statement)).map(({ n }) => Number(n))
const insert = (from: number, count: number) =>
  warehouse.command(
    `INSERT INTO shop.\`odd name\` SELECT number, toDate('2026-01-01') + number % 3 FROM numbers(${from}, ${count})`,
  )

test('tables, what views have gathered, and functions are what they were when they were frozen; views go on with the next insert [G-12]', async () => {
  for (const statement of made) await warehouse.command(statement)
  await insert(0, 900)
  // So many that their names do not sort as their numbers do.
  await warehouse.command('SYSTEM STOP MERGES shop.latest')
  for (let b = 1; b <= 12; b++) await warehouse.command(`INSERT INTO shop.latest VALUES (1, ${b})`)
  await untilInsertsEnd(warehouse, systemClock)
  const frozen: FrozenTables = await freezeTables(warehouse, engineFolder, 'x1')
  await insert(900, 100)
  await warehouse.command('OPTIMIZE TABLE shop.`odd name` FINAL')
  const folder = join(root, 'backup')
  mkdirSync(folder)
  const files = new BackupFiles(folder)
  await copyParts(frozen, files)
  thaw(frozen)
  expect(readdirSync(join(engineFolder, 'shadow')).filter((name) => name.startsWith('penstock'))).toEqual([])
  expect(files.files.length).toBeGreaterThan(20)
  expect(frozen.described.withoutRows).toEqual(['shop.note'])

  await warehouse.command('DROP DATABASE shop SYNC')
  await warehouse.command('DROP FUNCTION twice')
  await restoreTables(warehouse, engineFolder, frozen.described, join(folder, 'tables'))
  expect(await numbers('SELECT count() AS n FROM shop.`odd name`')).toEqual([900])
  expect(await numbers('SELECT max(b) AS n FROM shop.all')).toEqual([1798])
  expect(await numbers('SELECT b AS n FROM shop.latest FINAL')).toEqual([12])
  expect(await numbers('SELECT count() AS n FROM shop.target')).toEqual([900])
  expect(await numbers('SELECT sum(n) AS n FROM shop.counted GROUP BY d ORDER BY d')).toEqual([300, 300, 300])
  await insert(2_000, 3)
  expect(await numbers('SELECT count() AS n FROM shop.target')).toEqual([903])
  expect(await numbers('SELECT sum(n) AS n FROM shop.counted')).toEqual([903])
})

test('tables are frozen while no insert with positions runs, and again if one came meanwhile', async () => {
  await warehouse.command('CREATE DATABASE late ENGINE = Atomic')
  await warehouse.command(
    'CREATE TABLE late.rows (log_partition UInt32, log_offset UInt64) ENGINE = MergeTree ORDER BY log_offset',
  )
  let ended = false
  const under = warehouse
    .command(
      'INSERT INTO late.rows (log_partition, log_offset) SELECT sleepEachRow(0.2), number FROM numbers(5) SETTINGS max_block_size = 1',
    )
    .then(() => {
      ended = true
    })
  await expect
    .poll(() => numbers("SELECT count() AS n FROM system.processes WHERE query LIKE 'INSERT INTO late%'"))
    .toEqual([1])
  let freezes = 0
  const engine = {
    query: (...asked: Parameters<typeof warehouse.query>) => warehouse.query(...asked),
    command: async (statement: string) => {
      expect(ended).toBe(true)
      await warehouse.command(statement)
      if (!statement.includes('`late`')) return
      freezes++
      if (freezes === 1) await warehouse.command('INSERT INTO late.rows (log_partition, log_offset) VALUES (0, 9)')
    },
  } as unknown as Warehouse
  const frozen = await freezeQuietTables(engine, engineFolder, systemClock)
  await under
  expect(freezes).toBe(2)
  const shadows = readdirSync(join(engineFolder, 'shadow')).filter((name) => name.startsWith('penstock'))
  expect(shadows.map((name) => join(engineFolder, 'shadow', name))).toEqual([frozen.shadow])
  thaw(frozen)
  await warehouse.command('DROP DATABASE late SYNC')
})

test('a statement that the engine does not take is told, and tables of a newer engine are refused', async () => {
  const nothing = { engineVersion: '1.1', databases: [], functions: [], tables: [], withoutRows: [] }
  const create = 'CREATE VIEW shop.v AS SELECT * FROM shop.none'
  const tables = [{ database: 'shop', name: 'v', uuid: '', create, parts: undefined }]
  await expect(restoreTables(warehouse, engineFolder, { ...nothing, tables }, root)).rejects.toMatchObject({
    code: 'BACKUP_REFUSED',
    message: expect.stringContaining('shop.none'),
  })
  await expect(
    restoreTables(warehouse, engineFolder, { ...nothing, engineVersion: '99.1' }, root),
  ).rejects.toMatchObject({ code: 'BACKUP_VERSION_UNKNOWN' })
})
