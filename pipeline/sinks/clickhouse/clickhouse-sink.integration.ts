import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { Type } from 'avsc'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { selectedOf } from '#pipeline/endpoints/selected-fixture.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { batchFromBlock, batchHeader, blocksOfBatch, envelopeSchema } from '#schemas/batch.ts'
import { dayMs } from '#schemas/time.ts'
import { migrations } from '#schemas/warehouse-migrations.ts'
import { insertStatement, openClickHouseSink } from './clickhouse-sink.ts'
import { prepareAnalystTables, prepareTables } from './clickhouse-tables.ts'

const envelopeType = Type.forSchema(JSON.parse(JSON.stringify(envelopeSchema)))
const tables = { replicated: false, ttlDays: 0 }
const startMs = 20_000 * dayMs

describe('ClickHouse sink over the embedded engine', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-sink-'))
  let warehouse: WarehouseForTests
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
    sink = await openClickHouseSink({ warehouse, tables, logger: silentLogger })
  })

  const count = async () => Number((await warehouse.query('SELECT count() AS n FROM penstock.telemetry'))[0]?.n)
  const later = () => systemClock.monotonicMs() + 60_000

  test('joined batches become rows with every byte, and one part', async () => {
    const body = Buffer.from([0, 10, 13, 255, 0xc3, 0x28])
    const one = batch([
      { deviceId: 'a', enqueuedAtMs: startMs + 1, body, properties: { k: 'v', é: '' }, systemProperties: {} },
    ])
    const many = Array.from({ length: 200_000 }, (_, index) => envelope(`d${index % 100}`, startMs + 2 + index))
    await sink.insert(
      selectedOf(range(5, 200_001), [batchHeader, blocksOfBatch(one), blocksOfBatch(batch(many))]),
      't1',
      later(),
    )
    const [row] = await warehouse.query(
      "SELECT hex(body) AS body, properties, system_properties, toUnixTimestamp64Milli(enqueued_at) AS at, log_partition, log_offset FROM penstock.telemetry WHERE device_id = 'a'",
    )
    expect(row).toEqual({
      body: body.toString('hex').toUpperCase(),
      properties: { k: 'v', é: '' },
      system_properties: {},
      at: String(startMs + 1),
      log_partition: 3,
      log_offset: '5',
    })
    expect(await count()).toBe(200_001)
    const parts = await warehouse.query(
      "SELECT name, rows FROM system.parts WHERE database = 'penstock' AND table = 'telemetry' AND level = 0",
    )
    expect(parts).toHaveLength(1)
    expect(await sink.stored({ ...range(5, 200_001), enqueuedAtMsLast: startMs + 300_000 })).toBe(200_001)
  })

  test('an insert with a token it remembers stores nothing again [G-2]', async () => {
    const chunks = [batch([envelope('a', startMs)])]
    await sink.insert(selectedOf(range(1, 1), chunks), 'same', later())
    await sink.insert(selectedOf(range(1, 1), chunks), 'same', later())
    await sink.insert(selectedOf(range(2, 1), chunks), 'other', later())
    expect(await count()).toBe(2)
  })

  test('an insert that begins after its time is refused as unavailable and stores nothing [G-2]', async () => {
    const chunks = [batch([envelope('a', startMs)])]
    await expect(
      sink.insert(selectedOf(range(1, 1), chunks), 't', systemClock.monotonicMs() - 5_000),
    ).rejects.toMatchObject({
      code: 'WAREHOUSE_UNAVAILABLE',
    })
    expect(await count()).toBe(0)
    await sink.insert(selectedOf(range(1, 1), chunks), 't', later())
    expect(await count()).toBe(1)
  })

  test('rows of another day than their stamp are refused, so an insert stays one part', async () => {
    const chunks = [batch([envelope('a', startMs), envelope('a', startMs + dayMs)])]
    await expect(sink.insert(selectedOf(range(1, 2), chunks), 't', later())).rejects.toMatchObject({
      code: 'WAREHOUSE_REFUSED',
    })
    expect(await count()).toBe(0)
  })

  test('bytes that are no Avro batch are refused, and refusing is not the sink having stopped', async () => {
    const bad = batchFromBlock(3, Buffer.from('garbage'))
    const good = batch([envelope('a', startMs)])
    await expect(sink.insert(selectedOf(range(1, 4), [good, blocksOfBatch(bad)]), 't', later())).rejects.toMatchObject({
      code: 'WAREHOUSE_REFUSED',
    })
    expect(await count()).toBe(0)
    expect(await sink.accepts()).toBe(true)
    expect(await count()).toBe(0)
  })

  test('a request that is cut off between two blocks stores nothing: no part of an insert ever counts for the whole [G-2]', async () => {
    const chunks = [batch([envelope('a', startMs)]), blocksOfBatch(batch([envelope('b', startMs)]))]
    const statement = insertStatement(range(9, 2), Date.now() + 60_000)
    const query = new URLSearchParams({
      query: statement,
      insert_deduplication_token: 'cut',
      deduplicate_insert_select: 'force_enable',
    })
    await new Promise<void>((resolve) => {
      const socket = connect(warehouse.port, '127.0.0.1', () => {
        const head = `POST /?${query} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
        const first = chunks[0] ?? Buffer.alloc(0)
        // The first whole block is sent, then the sender dies.
        socket.write(
          Buffer.concat([Buffer.from(`${head}${first.length.toString(16)}\r\n`), first, Buffer.from('\r\n')]),
          () => socket.destroy(),
        )
      })
      socket.on('close', () => resolve())
    })
    // Had the cut one stored its first block, this one would be taken for its repetition and one row would be missing.
    await sink.insert(selectedOf(range(9, 2), chunks), 'cut', later())
    expect(await count()).toBe(2)
  })

  test('what is stored is asked by position and time, so an older log with the same positions is told apart', async () => {
    await sink.insert(selectedOf(range(7, 1), [batch([envelope('a', startMs)])]), 't', later())
    expect(await sink.stored(range(7, 1))).toBe(1)
    expect(await sink.stored(range(8, 1))).toBe(0)
    expect(await sink.stored({ ...range(7, 1), partition: 4 })).toBe(0)
    expect(
      await sink.stored({ ...range(7, 1), enqueuedAtMsFirst: startMs + 10_000, enqueuedAtMsLast: startMs + 20_000 }),
    ).toBe(0)
  })

  test('device events are stored as telemetry is, exactly once, with their columns [G-2]', async () => {
    const events = await openClickHouseSink({ warehouse, tables, table: 'device_events', logger: silentLogger })
    const chunks = [
      batch([
        {
          deviceId: 'a',
          enqueuedAtMs: startMs,
          body: Buffer.from('{}'),
          properties: { event: 'disconnected', reason: 'INGEST_TAKE_OVER', sequence: '00ff' },
          systemProperties: { moduleId: 'm' },
        },
      ]),
    ]
    await events.insert(selectedOf(range(1, 1), chunks), 'e', later())
    await events.insert(selectedOf(range(1, 1), chunks), 'e', later())
    expect(await events.stored(range(1, 1))).toBe(1)
    expect(await sink.stored(range(1, 1))).toBe(0)
    const rows = await warehouse.query(
      'SELECT device_id, event, module_id, reason, sequence FROM penstock.device_events',
    )
    expect(rows).toEqual([
      { device_id: 'a', event: 'disconnected', module_id: 'm', reason: 'INGEST_TAKE_OVER', sequence: '00ff' },
    ])
  })

  test('tables are made once by several workers at once, and again without effect', async () => {
    await warehouse.command('DROP DATABASE penstock')
    const kept = { ...tables, minutesTtlDays: 30, hoursTtlDays: 90 }
    const prepare = async (): Promise<void> => {
      await prepareTables(warehouse, kept, silentLogger)
      await prepareAnalystTables(warehouse, kept, { ...silentLogger, info: (what) => said.push(what) })
    }
    const said: string[] = []
    await Promise.all([1, 2, 3].map(prepare))
    await prepare()
    // What is made has its time to live from the start.
    expect(said).not.toContain('time to live changed')
    const rows = await warehouse.query('SELECT version FROM penstock.migrations FINAL ORDER BY version')
    expect(rows.map(({ version }) => Number(version))).toEqual(migrations(tables).map(({ version }) => version))
  })

  test('a table without what exactly-once needs stops the start and says the repair, which works', async () => {
    for (const change of [
      'MODIFY SETTING non_replicated_deduplication_window = 0',
      'MODIFY SETTING fsync_after_insert = 0',
      'MODIFY COLUMN log_partition UInt64',
      'DROP COLUMN system_properties',
    ]) {
      await warehouse.command(`ALTER TABLE penstock.telemetry ${change}`)
      const error: unknown = await prepareTables(warehouse, tables, silentLogger).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'WAREHOUSE_TABLE_UNSAFE' })
      const repair = /repair: (ALTER .*)/.exec((error as Error).message)?.[1]
      await warehouse.command(repair!)
      await prepareTables(warehouse, tables, silentLogger)
    }
  })

  test('the table of device events is held to the same', async () => {
    const open = () =>
      openClickHouseSink({ warehouse, tables, tablesReady: true, table: 'device_events', logger: silentLogger })
    await warehouse.command('ALTER TABLE penstock.device_events MODIFY SETTING non_replicated_deduplication_window = 0')
    await expect(open()).rejects.toMatchObject({
      code: 'WAREHOUSE_TABLE_UNSAFE',
      message: expect.stringContaining('repair: ALTER TABLE penstock.device_events'),
    })
    await warehouse.command(
      'ALTER TABLE penstock.device_events MODIFY SETTING non_replicated_deduplication_window = 20000',
    )
    await open()
  })

  test('a table that merges rows away, or splits an insert, stops the start', async () => {
    const columns =
      "device_id String, enqueued_at DateTime64(3, 'UTC'), body String, properties Map(LowCardinality(String), String), system_properties Map(LowCardinality(String), String), log_partition UInt32, log_offset UInt64"
    for (const engineText of [
      'ReplacingMergeTree PARTITION BY toDate(enqueued_at) ORDER BY (device_id, enqueued_at) SETTINGS non_replicated_deduplication_window = 20000, fsync_after_insert = 1, fsync_part_directory = 1',
      'MergeTree PARTITION BY device_id ORDER BY (device_id, enqueued_at) SETTINGS non_replicated_deduplication_window = 20000, fsync_after_insert = 1, fsync_part_directory = 1',
      'MergeTree PARTITION BY toDate(enqueued_at) ORDER BY (device_id, enqueued_at)',
    ]) {
      await warehouse.command('DROP TABLE penstock.telemetry')
      await warehouse.command(`CREATE TABLE penstock.telemetry (${columns}) ENGINE = ${engineText}`)
      await expect(prepareTables(warehouse, tables, silentLogger)).rejects.toMatchObject({
        code: 'WAREHOUSE_TABLE_UNSAFE',
      })
    }
  })

  test('a large merge of telemetry goes column by column', async () => {
    const gathered = async () => {
      const [row] = await warehouse.query("SELECT sum(value) AS n FROM system.events WHERE event = 'GatheredColumns'")
      return Number(row?.n)
    }
    const before = await gathered()
    for (const offset of [1, 2])
      await warehouse.command(
        'INSERT INTO penstock.telemetry (device_id, enqueued_at, body, log_offset) ' +
          `SELECT 'a', fromUnixTimestamp64Milli(toInt64(${startMs}), 'UTC'), toString(number), ${offset} FROM numbers(100000)`,
      )
    await warehouse.command('OPTIMIZE TABLE penstock.telemetry FINAL')
    expect(await count()).toBe(200_000)
    // The engine may have merged them before by itself.
    expect((await gathered()) - before).toBeGreaterThan(0)
  })

  test('the time to live follows its setting', async () => {
    const ttl = async () =>
      /TTL [^S]*/
        .exec(
          String(
            (
              await warehouse.query(
                "SELECT engine_full FROM system.tables WHERE database = 'penstock' AND name = 'telemetry'",
              )
            )[0]?.engine_full,
          ),
        )?.[0]
        ?.trim()
    expect(await ttl()).toBeUndefined()
    for (const days of [30, 60]) {
      await prepareTables(warehouse, { ...tables, ttlDays: days }, silentLogger)
      expect(await ttl()).toBe(`TTL toDateTime(enqueued_at) + toIntervalDay(${days})`)
    }
    await prepareTables(warehouse, tables, silentLogger)
    expect(await ttl()).toBeUndefined()
  })
})

function range(first: number, messageCount: number): DeliveryRange {
  return {
    topic: 'test',
    partition: 3,
    first,
    last: first,
    messageCount,
    enqueuedAtMsFirst: startMs,
    enqueuedAtMsLast: startMs + 999,
  }
}

interface TestEnvelope {
  deviceId: string
  enqueuedAtMs: number
  body: Buffer
  properties: Record<string, string>
  systemProperties: Record<string, string>
}

function envelope(deviceId: string, enqueuedAtMs: number): TestEnvelope {
  return { deviceId, enqueuedAtMs, body: Buffer.from('{"t":1}'), properties: {}, systemProperties: {} }
}

function batch(envelopes: readonly TestEnvelope[]): Buffer {
  return batchFromBlock(
    envelopes.length,
    zstdCompressSync(Buffer.concat(envelopes.map((one) => envelopeType.toBuffer(one)))),
  )
}
