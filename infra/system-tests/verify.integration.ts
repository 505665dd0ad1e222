import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { runVerify } from '#infra/commands/verify.ts'
import { prepareTables } from '#pipeline/sinks/clickhouse/clickhouse-tables.ts'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import { silentLogger } from '#runtime/logger.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-verify-'))
let warehouse: WarehouseForTests

beforeAll(async () => {
  warehouse = await embeddedWarehouseForTests(dataDir)
  await prepareTables(warehouse, { replicated: false, ttlDays: 0 }, silentLogger)
})
afterEach(() => vi.restoreAllMocks())
afterAll(async () => {
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

test('penstock verify names the views over the table and those that fail, which is no fault of the rows', async () => {
  const written: string[] = []
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  const settings = settingsFromEnvironment({
    PENSTOCK_DATA_DIR: dataDir,
    PENSTOCK_CLICKHOUSE_URL: `http://127.0.0.1:${warehouse.port}`,
    PENSTOCK_LOG_LEVEL: 'error',
  })
  expect(await runVerify(settings)).toBe(0)
  expect(written.splice(0).join('')).not.toContain('view')

  await warehouse.command('CREATE TABLE penstock.target (body String) ENGINE = MergeTree ORDER BY body')
  await warehouse.command(
    'CREATE MATERIALIZED VIEW penstock.copy TO penstock.target AS SELECT body FROM penstock.telemetry',
  )
  await warehouse.command('DROP TABLE penstock.target')
  expect(await runVerify(settings)).toBe(0)
  const text = written.join('')
  expect(text).toContain('every delivered message is stored exactly once')
  expect(text).toContain(
    '1 materialized view hangs on penstock.telemetry; what it holds is not verified: penstock.copy → penstock.target\n' +
      '  penstock.copy lacks rows that are stored: it failed just now: its target penstock.target does not exist\n',
  )
})
