/** The first table sink, against the embedded engine through a relay that can be shut. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Relay } from '#infra/testbed/relay.ts'
import { tableSinkConformance } from '#pipeline/endpoints/table-sink.conformance.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openClickHouseSink } from './clickhouse-sink.ts'
import { prepareTables } from './clickhouse-tables.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-sink-conformance-'))
const tables = { replicated: false, ttlDays: 0 }
let warehouse: WarehouseForTests
let relay: Relay

/** A sink with a connection of its own; closing it cuts what is under way. */
async function open(): Promise<TableSink> {
  const own = new Relay(relay.port)
  await own.listen()
  const url = `http://127.0.0.1:${own.port}`
  const client = openWarehouse({ url, user: 'default', password: '', requestMsMax: 60_000 })
  const sink = await openClickHouseSink({ warehouse: client, tables, tablesReady: true, logger: silentLogger })
  let isClosed = false
  return {
    atomic: true,
    name: sink.name,
    insertMsMax: sink.insertMsMax,
    insert: (...request) => sink.insert(...request),
    stored: (range) => sink.stored(range),
    newest: (...question) => sink.newest(...question),
    accepts: () => sink.accepts(),
    close: async () => {
      if (isClosed) return
      isClosed = true
      await own.close()
      await client.close()
    },
  }
}

async function makeTables(): Promise<void> {
  await warehouse.command('DROP DATABASE IF EXISTS penstock')
  await prepareTables(warehouse, tables, silentLogger)
}

tableSinkConformance('ClickHouse', {
  start: async () => {
    warehouse = await embeddedWarehouseForTests(dataDir)
    relay = new Relay(warehouse.port)
    await relay.listen()
  },
  stop: async () => {
    await relay?.close()
    await warehouse?.close()
    rmSync(dataDir, { recursive: true, force: true })
  },
  clear: makeTables,
  open,
  contents: async () => {
    const rows = await warehouse.query(
      'SELECT device_id, body FROM penstock.telemetry ' +
        "ORDER BY log_partition, log_offset, enqueued_at, toUInt32(properties['place'])",
    )
    return rows.map((row) => ({ deviceId: String(row.device_id), body: String(row.body) }))
  },
  // What ClickHouse refuses is another day than the batch's, or no Avro; a body may be anything.
  badBody: undefined,
  away: async () => {
    relay.isShut = true
    relay.cut()
    return async () => {
      relay.isShut = false
    }
  },
  openWithoutRight: async () => {
    const sink = await open()
    await warehouse.command('DROP TABLE penstock.telemetry')
    // The tables are there again as soon as whoever dropped them makes them.
    return { sink, mend: makeTables }
  },
  remembersForEver: false,
})
