import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sequenceBase } from '#loadtest/generate/body-layout.ts'
import { type FakeRow, fakeRowSource } from '#loadtest/ledger/row-source.fake.ts'
import { startEmbeddedWarehouse } from '#pipeline/warehouse/embedded/start-embedded.ts'
import { silentLogger } from '#runtime/logger.ts'
import { type ClickhouseRows, clickhouseRows } from './clickhouse-rows.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'loadtest-rows-'))
let warehouse: { readonly port: number; close(): Promise<void> }
let rows: ClickhouseRows
const seed = Number(process.env.SEED ?? Date.now() % 100_000)

beforeAll(async () => {
  warehouse = await startEmbeddedWarehouse({
    dataDir,
    bind: '127.0.0.1',
    port: 0,
    password: '',
    readonlyPassword: '',
    logger: silentLogger,
  })
  const table =
    "CREATE TABLE rows_test (device_id String, body String, log_partition UInt32, log_offset UInt64, enqueued_at DateTime64(3, 'UTC') DEFAULT fromUnixTimestamp64Milli(1700000000000 + log_offset, 'UTC')) ENGINE = MergeTree ORDER BY (device_id, enqueued_at)"
  await execute(table)
  rows = clickhouseRows(`http://127.0.0.1:${warehouse.port}`, 'default.rows_test')
})

afterAll(async () => {
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

describe(`the checker's SQL (SEED=${seed})`, () => {
  test('answers as the model over lists does, on rows with planted loss, repetition and disorder', async () => {
    const random = seeded(seed)
    for (let round = 0; round < 12; round++) {
      const run = `load-r${round}-`
      const planted = plantedRows(run, random)
      await store(planted)
      const model = fakeRowSource(planted)
      const devices = [...new Set(planted.map(({ deviceId }) => deviceId))]
      expect(await rows.rowCount(run)).toBe(planted.length)
      expect(sorted(await rows.summaries(run))).toEqual(sorted(await model.summaries(run)))
      expect(sorted(await rows.disorders(run))).toEqual(sorted(await model.disorders(run)))
      for (const device of devices) {
        expect(await rows.storedRanges(device)).toEqual(await model.storedRanges(device))
        const bySequence = (a: { sequence: number }, b: { sequence: number }) => a.sequence - b.sequence
        expect([...(await rows.repeats(device))].sort(bySequence)).toEqual(
          [...(await model.repeats(device))].sort(bySequence),
        )
        const except = [
          { from: 3, to: 6 },
          { from: 10, to: 11 },
        ]
        expect(await rows.disordersOf(device, except)).toBe(await model.disordersOf(device, except))
      }
    }
  })

  test('rows that became visible are told with the moment they were to be sent', async () => {
    const offsets = [0, 5, 5, 9]
    await store(offsets.map((offset, sequence) => ({ deviceId: 'load-v-000000', sequence, partition: 0, offset })))
    const beyond = (sequence: number, enqueuedAtMs: number) =>
      rows.visibleAfter(new Map([['load-v-000000', { sequence, enqueuedAtMs }]]))
    const news = { deviceId: 'load-v-000000', sentAtMs: 1_700_000_000_000 }
    const last = { sequence: 3, enqueuedAtMs: 1_700_000_000_009 }
    expect(await beyond(-1, 0)).toEqual([{ ...news, count: 4, last }])
    // A later row may be of the same millisecond as the last one seen.
    expect(await beyond(1, 1_700_000_000_005)).toEqual([{ ...news, count: 2, last }])
    expect(await beyond(3, 1_700_000_000_009)).toEqual([])
  })

  test('a table that is not there is refused, a server that is not there unavailable', async () => {
    const missing = clickhouseRows(`http://127.0.0.1:${warehouse.port}`, 'default.nothing')
    await expect(missing.rowCount('load-')).rejects.toMatchObject({ code: 'WAREHOUSE_REFUSED' })
    const nobody = clickhouseRows('http://127.0.0.1:1', 'default.rows_test')
    await expect(nobody.rowCount('load-')).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' })
  })
})

/** Three devices, a few rows to an offset, with faults of every kind in some of them. */
function plantedRows(run: string, random: () => number): FakeRow[] {
  const planted: FakeRow[] = []
  for (let device = 0; device < 3; device++) {
    const partition = device
    for (let sequence = 0; sequence < 30; sequence++) {
      const row = { deviceId: `${run}${device}`, sequence, partition, offset: Math.floor(sequence / 4) * 3 }
      const dice = device === 0 ? 1 : random()
      if (dice < 0.05) continue
      planted.push(dice < 0.1 ? { ...row, offset: Math.floor(random() * 24) } : row)
      if (dice > 0.1 && dice < 0.15) planted.push({ ...row, offset: Math.floor(random() * 24) })
      if (dice > 0.15 && dice < 0.17) planted.push({ ...row, partition: 3, sequence: sequence + 30 })
    }
  }
  return planted
}

async function store(planted: readonly FakeRow[]): Promise<void> {
  const values = planted.map(({ deviceId, sequence, partition, offset }) => {
    const body = `{"seq":${sequenceBase + sequence},"at":1700000000000,"v":"1"}`
    return `('${deviceId}','${body}',${partition},${offset})`
  })
  await execute(`INSERT INTO rows_test (device_id, body, log_partition, log_offset) VALUES ${values.join(',')}`)
}

async function execute(statement: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${warehouse.port}/`, { method: 'POST', body: statement })
  expect(response.status, await response.text()).toBe(200)
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

function seeded(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
