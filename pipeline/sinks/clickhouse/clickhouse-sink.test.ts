import { expect, test } from 'vitest'
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { selectedOf } from '#pipeline/endpoints/selected-fixture.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import type { Clock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { batchHeader } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { openClickHouseSink } from './clickhouse-sink.ts'

const startMs = Date.UTC(2026, 0, 2)
const range: DeliveryRange = {
  topic: 't',
  partition: 0,
  first: 0,
  last: 0,
  messageCount: 1,
  enqueuedAtMsFirst: startMs,
  enqueuedAtMsLast: startMs,
}

/** A sink on a stand-in of ClickHouse, with the three clocks that are at work; they go only where they are told. */
async function sinkWithClocks() {
  const time = { wallMs: startMs, monotonicMs: 5_000.25, warehouseMs: startMs + 3_000, answerMs: 0 }
  const expiries: number[] = []
  const warehouse = {
    query: async (statement: string) => {
      if (!statement.includes('now64')) return []
      const nowMs = time.warehouseMs
      time.monotonicMs += time.answerMs
      return [{ now_ms: String(nowMs) }]
    },
    insert: async (statement: string) => {
      const expiresAtMs = Number(/now64\(3\) > fromUnixTimestamp64Milli\(toInt64\((\d+)\)/.exec(statement)?.[1])
      expiries.push(expiresAtMs)
      if (time.warehouseMs > expiresAtMs)
        throw new PenstockError('WAREHOUSE_REFUSED', 'Code: 395: penstock: this insert began too late')
    },
  } as unknown as Warehouse
  const clock: Clock = {
    nowMs: () => time.wallMs,
    monotonicMs: () => time.monotonicMs,
    after: () => () => {},
  }
  const tables = { replicated: false, ttlDays: 0 }
  const open = () => openClickHouseSink({ warehouse, tables, tablesReady: true, logger: silentLogger, clock })
  /** Everything moves on by so much. */
  const pass = (ms: number) => {
    time.wallMs += ms
    time.monotonicMs += ms
    time.warehouseMs += ms
  }
  return { time, expiries, open, pass }
}

test('the latest moment to begin is the same however the wall clock of the worker is set [G-2]', async () => {
  const { time, expiries, open, pass } = await sinkWithClocks()
  const sink = await open()
  for (const jumpMs of [0, 3_600_000, -7_200_000]) {
    pass(1_000)
    time.wallMs += jumpMs
    await sink.insert(selectedOf(range, [batchHeader]), 't', time.monotonicMs + 60_000)
    expect(expiries.pop()).toBe(time.warehouseMs + 60_000)
    expect(await sink.accepts()).toBe(true)
    expect(expiries.pop()).toBe(time.warehouseMs + limits.insertBeginMsMax)
  }
})

test('an answer that was long on its way makes the latest moment earlier, never later [G-2]', async () => {
  const { time, expiries, open } = await sinkWithClocks()
  time.answerMs = 10_000
  const sink = await open()
  time.warehouseMs += 10_000
  await sink.insert(selectedOf(range, [batchHeader]), 't', time.monotonicMs + 60_000)
  expect(expiries).toEqual([time.warehouseMs + 50_000])
})

test("a ClickHouse whose clock was set is measured anew: set forward at once, set back within a minute's time [G-2]", async () => {
  const { time, expiries, open, pass } = await sinkWithClocks()
  const sink = await open()
  const insert = () => sink.insert(selectedOf(range, [batchHeader]), 't', time.monotonicMs + 60_000)
  time.warehouseMs += 3_600_000
  await expect(insert()).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' })
  await insert()
  expect(expiries.at(-1)).toBe(time.warehouseMs + 60_000)
  time.warehouseMs -= 1_800_000
  pass(limits.warehouseClockMeasuredMsMax + 1)
  await insert()
  expect(expiries.at(-1)).toBe(time.warehouseMs + 60_000)
})

test('a question that is refused is no answer about rows: it is WAREHOUSE_UNAVAILABLE, and so is an insert that had to ask [G-2]', async () => {
  const refused = () => Promise.reject(new PenstockError('WAREHOUSE_REFUSED', 'query: code 60 (UNKNOWN_TABLE)'))
  let isRefusing = false
  const warehouse = {
    query: async () => (isRefusing ? refused() : [{ now_ms: String(startMs) }]),
    insert: async () => {},
  } as unknown as Warehouse
  let monotonicMs = 0
  const clock: Clock = { nowMs: () => startMs, monotonicMs: () => monotonicMs, after: () => () => {} }
  const tables = { replicated: false, ttlDays: 0 }
  const sink = await openClickHouseSink({ warehouse, tables, tablesReady: true, logger: silentLogger, clock })
  isRefusing = true
  monotonicMs += limits.warehouseClockMeasuredMsMax + 1
  const unavailable = { code: 'WAREHOUSE_UNAVAILABLE', message: expect.stringContaining('code 60') }
  await expect(sink.stored(range)).rejects.toMatchObject(unavailable)
  await expect(sink.newest(0, 1, 0)).rejects.toMatchObject(unavailable)
  await expect(sink.insert(selectedOf(range, [batchHeader]), 't', monotonicMs + 60_000)).rejects.toMatchObject(
    unavailable,
  )
})
