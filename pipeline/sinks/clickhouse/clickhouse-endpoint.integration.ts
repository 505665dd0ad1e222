import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Relay } from '#infra/testbed/relay.ts'
import { rangeAt, tokenAt } from '#pipeline/endpoints/selected-fixture.ts'
import { tableSinkConformance } from '#pipeline/endpoints/table-sink.conformance.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import { systemClock } from '#runtime/clock.ts'
import type { ClickhouseSettings } from '#schemas/endpoint-kinds/clickhouse.ts'
import { ClickHouseEndpoint } from './clickhouse-endpoint.ts'

const settings: ClickhouseSettings = {
  url: undefined,
  user: undefined,
  password: undefined,
  database: 'other',
  table: 'messages',
  columns: undefined,
  delayMs: 250,
}

let dataDir: string
let warehouse: WarehouseForTests | undefined
const warehouseThere = (): WarehouseForTests => warehouse ?? expect.fail('the engine runs')

function endpoint(
  changes: Partial<ClickhouseSettings> = {},
  group = 'penstock.endpoint.e.1',
  port = warehouseThere().port,
) {
  return new ClickHouseEndpoint({
    name: 'e',
    group,
    settings: { ...settings, ...changes },
    home: { url: `http://127.0.0.1:${port}`, user: 'default', password: '', replicated: false },
    rules: { ownPorts: [], allowed: [] },
  })
}

const later = (): number => systemClock.monotonicMs() + 60_000

let relay: Relay | undefined
const relayThere = (): Relay => relay ?? expect.fail('the relay listens')

/** An endpoint with a connection of its own; closing it cuts what is under way. */
async function open(): Promise<TableSink> {
  const own = new Relay(relayThere().port)
  await own.listen()
  const sink = endpoint({}, 'penstock.endpoint.e.1', own.port)
  let closing: Promise<unknown> | undefined
  return {
    atomic: true,
    name: sink.name,
    insertMsMax: sink.insertMsMax,
    insert: (...request) => sink.insert(...request),
    stored: (range) => sink.stored(range),
    newest: (...question) => sink.newest(...question),
    held: (...question) => sink.held(...question),
    accepts: () => sink.accepts(),
    close: async () => {
      closing ??= own.close().then(() => sink.close())
      await closing
    },
  }
}

tableSinkConformance('a ClickHouse table', {
  async start() {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-clickhouse-endpoint-'))
    warehouse = await embeddedWarehouseForTests(dataDir)
    relay = new Relay(warehouse.port)
    await relay.listen()
  },
  async stop() {
    await relay?.close()
    await warehouse?.close()
    rmSync(dataDir, { recursive: true })
  },
  async clear() {
    await warehouseThere().command('DROP TABLE IF EXISTS other.messages SYNC')
  },
  open,
  async contents() {
    const rows = await warehouseThere().query(
      "SELECT device_id, body FROM other.messages ORDER BY log_partition, log_offset, enqueued_at, toUInt32(properties['place'])",
    )
    return rows.map(({ device_id, body }) => ({ deviceId: String(device_id), body: String(body) }))
  },
  badBody: async () => {
    const sink = endpoint()
    await sink.accepts()
    await sink.close()
    await warehouseThere().command("ALTER TABLE other.messages ADD CONSTRAINT good CHECK body != 'bad'")
    return 'bad'
  },
  async away() {
    relayThere().isShut = true
    relayThere().cut()
    return async () => {
      relayThere().isShut = false
    }
  },
  openWithoutRight: async () => {
    const sink = await open()
    await sink.accepts()
    await warehouseThere().command('ALTER TABLE other.messages DROP COLUMN properties')
    const mend = () =>
      warehouseThere().command('ALTER TABLE other.messages ADD COLUMN properties Map(LowCardinality(String), String)')
    return { sink, mend }
  },
  remembersForEver: false,
})

describe('a ClickHouse endpoint', () => {
  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-clickhouse-endpoint-'))
    warehouse = await embeddedWarehouseForTests(dataDir)
  })

  afterAll(async () => {
    await warehouse?.close()
    rmSync(dataDir, { recursive: true })
  })

  test('fills columns by expressions over those of penstock.telemetry', async () => {
    const sink = endpoint({
      table: 'typed',
      columns: [
        { name: 'device_id', type: 'String', expression: 'device_id' },
        { name: 'temperature', type: 'Float64', expression: "JSONExtractFloat(body, 't')" },
        { name: 'place', type: 'LowCardinality(String)', expression: "properties['place']" },
        { name: 'kind', type: 'String', expression: "system_properties['contentType']" },
        { name: 'day', type: 'Date', expression: 'toDate(enqueued_at)' },
      ],
    })
    const selected = rangeAt(3, [['{"t":1.5}', '{"t":2}']])
    await sink.insert(selected, tokenAt(selected), later())
    await sink.insert(selected, tokenAt(selected), later())
    expect(
      await warehouseThere().query('SELECT * EXCEPT (enqueued_at, log_endpoint) FROM other.typed ORDER BY place'),
    ).toEqual([
      {
        device_id: 'device-0',
        temperature: 1.5,
        place: '0',
        kind: 'application/json',
        day: '2026-01-02',
        log_partition: 0,
        log_offset: '3',
      },
      {
        device_id: 'device-1',
        temperature: 2,
        place: '1',
        kind: 'application/json',
        day: '2026-01-02',
        log_partition: 0,
        log_offset: '3',
      },
    ])
    await sink.close()
  })

  test('two endpoints fill one table, each with rows of its own, though their ranges have one token', async () => {
    const [one, other] = [endpoint({ table: 'shared' }, 'g.1'), endpoint({ table: 'shared' }, 'g.2')]
    const selected = rangeAt(3, [['a']])
    await one.insert(selected, tokenAt(selected), later())
    expect(await other.stored(selected.range)).toBe(0)
    await other.insert(selected, tokenAt(selected), later())
    expect(await one.stored(selected.range)).toBe(1)
    expect(await warehouseThere().query('SELECT count() AS n FROM other.shared')).toEqual([{ n: '2' }])
    await Promise.all([one.close(), other.close()])
  })

  test('a table that forgets tokens takes nothing, and says how it is mended', async () => {
    await warehouseThere().command('CREATE DATABASE IF NOT EXISTS other')
    await warehouseThere().command(
      "CREATE TABLE other.forgetful (device_id String, enqueued_at DateTime64(3, 'UTC'), body String, properties Map(String, String), " +
        'system_properties Map(String, String), log_partition UInt32, log_offset UInt64, log_endpoint String) ENGINE = MergeTree ORDER BY device_id',
    )
    const sink = endpoint({ table: 'forgetful' })
    const selected = rangeAt(0, [['a']])
    await expect(sink.insert(selected, 't', later())).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
    await warehouseThere().command(
      'ALTER TABLE other.forgetful MODIFY SETTING non_replicated_deduplication_window = 1000',
    )
    await sink.insert(selected, 't', later())
    await sink.close()
  })

  test('an address that is not allowed is not connected to', async () => {
    const sink = endpoint({ url: 'http://169.254.169.254:8123' })
    await expect(sink.stored(rangeAt(0, [['a']]).range)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
    await sink.close()
  })
})
