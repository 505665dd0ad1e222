/** What the sink says to ClickHouse; `clickhouse-sink.integration.ts` shows that ClickHouse takes it so. */
import { expect, test } from 'vitest'
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { selectedOf } from '#pipeline/endpoints/selected-fixture.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { batchHeader } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { insertStatement, openClickHouseSink } from './clickhouse-sink.ts'

const range: DeliveryRange = {
  topic: 't',
  partition: 3,
  first: 17,
  last: 19,
  messageCount: 5,
  enqueuedAtMsFirst: 1_700_000_000_001,
  enqueuedAtMsLast: 1_700_000_000_009,
}

/** A stand-in that keeps what it is told, knows all settings but `unknown`, and answers as the test says. */
function standIn(unknown = '') {
  const told: string[] = []
  const inserts: { readonly settings: Readonly<Record<string, string>>; readonly chunks: readonly Uint8Array[] }[] = []
  const answers: Record<string, unknown>[][] = []
  const behaviour = { refusal: undefined as PenstockError | undefined }
  const warehouse = {
    query: async (statement: string) => {
      if (statement.includes('now64')) return [{ now_ms: '1700000000000' }]
      if (statement.includes('system.settings'))
        return [...statement.matchAll(/'(\w+)'/g)].map(([, name]) => ({ name })).filter(({ name }) => name !== unknown)
      told.push(statement)
      return answers.shift() ?? []
    },
    command: async (statement: string) => {
      told.push(statement)
    },
    insert: async (_: string, chunks: readonly Uint8Array[], settings: Readonly<Record<string, string>>) => {
      if (behaviour.refusal) throw behaviour.refusal
      inserts.push({ settings, chunks })
    },
  } as unknown as Warehouse
  const open = (replicated: boolean) =>
    openClickHouseSink({ warehouse, tables: { replicated, ttlDays: 0 }, tablesReady: true, logger: silentLogger })
  return { told, inserts, answers, behaviour, open }
}

test('a range is one statement: golden', () => {
  expect(insertStatement(range, 1_700_000_060_000)).toBe(
    'INSERT INTO penstock.telemetry (device_id, enqueued_at, body, properties, system_properties, log_partition, log_offset) ' +
      'SELECT deviceId, enqueuedAtMs, body, properties, systemProperties, 3, 17 ' +
      "FROM input('deviceId String, enqueuedAtMs DateTime64(3, \\'UTC\\'), body String, properties Map(String, String), systemProperties Map(String, String)') " +
      "WHERE throwIf(now64(3) > fromUnixTimestamp64Milli(toInt64(1700000060000), 'UTC'), 'penstock: this insert began too late') = 0 " +
      "AND throwIf(toDate(enqueuedAtMs) != toDate(fromUnixTimestamp64Milli(toInt64(1700000000001), 'UTC')), " +
      "'penstock: a message lies outside the day that its batch is stamped with') = 0 FORMAT Avro",
  )
})

test('an insert carries its token and what makes it one block, a repetition, and durable on replicas', async () => {
  for (const replicated of [false, true]) {
    const { inserts, open } = standIn()
    const sink = await open(replicated)
    await sink.insert(selectedOf(range, [batchHeader, Buffer.from('x')]), 'the token', Number.MAX_SAFE_INTEGER / 4)
    const [insert] = inserts
    expect(insert?.chunks).toEqual([batchHeader, Buffer.from('x')])
    expect(insert?.settings).toMatchObject({
      insert_deduplication_token: 'the token',
      async_insert: '0',
      wait_end_of_query: '1',
      insert_deduplicate: '1',
      deduplicate_insert: 'enable',
      deduplicate_insert_select: 'force_enable',
      deduplicate_blocks_in_dependent_materialized_views: '1',
      max_insert_threads: '1',
      max_threads: '1',
      materialized_views_ignore_errors: '1',
    })
    expect(insert?.settings.insert_quorum).toBe(replicated ? 'auto' : undefined)
    expect(insert?.settings.insert_quorum_parallel).toBe(replicated ? '1' : undefined)
  }
})

test('a setting that the server does not know is left out, and the others stay', async () => {
  const { inserts, open } = standIn('deduplicate_insert_select')
  await (await open(false)).insert(selectedOf(range, [batchHeader]), 't', Number.MAX_SAFE_INTEGER / 4)
  expect(inserts[0]?.settings).not.toHaveProperty('deduplicate_insert_select')
  expect(inserts[0]?.settings).toHaveProperty('insert_deduplicate', '1')
})

test('a replica is synchronised before each question, and a lone server is not', async () => {
  const synchronise = 'SYSTEM SYNC REPLICA penstock.telemetry LIGHTWEIGHT'
  for (const replicated of [false, true]) {
    const { told, open } = standIn()
    const sink = await open(replicated)
    await sink.stored(range)
    await sink.newest(3, 20, 0)
    expect(told.map((statement) => statement === synchronise)).toEqual(
      replicated ? [true, false, true, false] : [false, false],
    )
  }
})

test('rows of a range are asked for under its position and within its times', async () => {
  const { told, answers, open } = standIn()
  const sink = await open(false)
  answers.push([{ rows: '5' }], [])
  expect([await sink.stored(range), await sink.stored(range)]).toEqual([5, 0])
  expect(told[0]).toBe(
    'SELECT count() AS rows FROM penstock.telemetry WHERE log_partition = 3 AND log_offset = 17 ' +
      "AND enqueued_at >= fromUnixTimestamp64Milli(toInt64(1700000000001), 'UTC') " +
      "AND enqueued_at <= fromUnixTimestamp64Milli(toInt64(1700000000009), 'UTC')",
  )
})

test('the newest rows below an offset are one group, or none', async () => {
  const { told, answers, open } = standIn()
  const sink = await open(false)
  answers.push(
    [{ offset: '17', rows: '5', from_ms: '1', to_ms: '2' }],
    [{ offset: '0', rows: '0', from_ms: '0', to_ms: '0' }],
    [],
  )
  expect(await sink.newest(3, 20, 1)).toEqual({ offset: 17, rowCount: 5, enqueuedAtMsFirst: 1, enqueuedAtMsLast: 2 })
  expect([await sink.newest(3, 20, 1), await sink.newest(3, 20, 1)]).toEqual([undefined, undefined])
  const mine = "log_partition = 3 AND log_offset < 20 AND enqueued_at >= fromUnixTimestamp64Milli(toInt64(1), 'UTC')"
  expect(told[0]?.split(mine)).toHaveLength(3)
})

test('a sink that is refused does not accept, and one that does not answer says so', async () => {
  const { behaviour, inserts, open } = standIn()
  const sink = await open(false)
  expect(await sink.accepts()).toBe(true)
  expect(inserts[0]?.chunks).toEqual([batchHeader])
  behaviour.refusal = new PenstockError('WAREHOUSE_REFUSED', 'Code: 497: not enough privileges')
  expect(await sink.accepts()).toBe(false)
  await expect(sink.insert(selectedOf(range, [batchHeader]), 't', Number.MAX_SAFE_INTEGER / 4)).rejects.toBe(
    behaviour.refusal,
  )
  behaviour.refusal = new PenstockError('WAREHOUSE_UNAVAILABLE', 'silent')
  await expect(sink.accepts()).rejects.toBe(behaviour.refusal)
})
