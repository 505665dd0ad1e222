import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openClickHouseSink } from './clickhouse-sink.ts'
import { insertTexts } from './insert-texts-fixture.ts'

const engineProgram = join(import.meta.dirname, '../../warehouse/embedded/embedded-process.fixture.ts')
const dataDir = mkdtempSync(join(tmpdir(), 'penstock-views-killed-'))
/** Takes requests and never answers: a view that asks it stands still. */
const silentServer = createServer(() => {})
let engine: ChildProcess | undefined
let warehouse: Warehouse | undefined

async function start(): Promise<Warehouse> {
  engine = fork(engineProgram, [dataDir])
  const [port] = await once(engine, 'message')
  warehouse = openWarehouse({ url: `http://127.0.0.1:${port}`, user: 'default', password: '', requestMsMax: 60_000 })
  return warehouse
}

async function kill(): Promise<void> {
  if (!engine) return
  const exited = once(engine, 'exit')
  engine.kill('SIGKILL')
  await exited
  engine = undefined
  await warehouse?.close()
}

afterEach(async () => {
  await kill()
  silentServer.closeAllConnections()
  silentServer.close()
  rmSync(dataDir, { recursive: true, force: true })
})

test('an engine that is killed between table and view keeps the rows, and the view lacks them [G-2]', async () => {
  silentServer.listen(0, '127.0.0.1')
  await once(silentServer, 'listening')
  const { port } = silentServer.address() as AddressInfo
  const before = await start()
  const sink = await openClickHouseSink({
    warehouse: before,
    tables: { replicated: false, ttlDays: 0 },
    logger: silentLogger,
  })
  await before.command('CREATE TABLE penstock.a (body String) ENGINE = MergeTree ORDER BY body')
  await before.command(
    `CREATE MATERIALIZED VIEW penstock.waiting TO penstock.a AS SELECT body FROM penstock.telemetry
     LEFT JOIN url('http://127.0.0.1:${port}/', 'LineAsString', 'line String') AS silent ON silent.line = body`,
  )
  const rowsOf = async (of: Warehouse, table: string) =>
    Number((await of.query(`SELECT count() AS n FROM penstock.${table}`))[0]?.n)
  const asked = once(silentServer, 'request')
  const inserting = expect(insertTexts(sink, 1, ['1', '2'])).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' })
  await asked
  await expect.poll(() => rowsOf(before, 'telemetry')).toBe(2)
  await kill()
  await inserting
  const after = await start()
  expect([await rowsOf(after, 'telemetry'), await rowsOf(after, 'a')]).toEqual([2, 0])
})
