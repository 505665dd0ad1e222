import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import type { Log } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import type { Warehouse, WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { bytesFromLetter, bytesFromSettlement } from '#schemas/dead-letter.ts'
import { PenstockError } from '#schemas/errors.ts'
import { AskedLogs } from './asked-logs.ts'
import { InstallationDelivery } from './delivery-state.ts'
import { LetterBook } from './letter-book.ts'

const nowMs = 1_000_000

const settings = settingsFromEnvironment({ PENSTOCK_DATA_DIR: tmpdir() })

function stampOf(sequence: number, messageCount: number, ageMs: number) {
  const enqueuedAtMsFirst = nowMs - ageMs
  return { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence, messageCount, enqueuedAtMsFirst, enqueuedAtMsLast: nowMs }
}

async function telemetryLog(): Promise<Log> {
  const log = new MemoryLog({ store: new MemoryStore('penstock.telemetry', 2) })
  for (let sequence = 0; sequence < 4; sequence++)
    await log.append(0, stampOf(sequence, 10 * (sequence + 1), 60_000 - sequence * 10_000), Buffer.from('a batch'))
  // Nobody has ever delivered this one.
  await log.append(1, stampOf(0, 7, 5_000), Buffer.from('a batch'))
  log.positions = async () => [{ offset: 1, metadata: '' }, undefined]
  return log
}

async function deadLetterLog(): Promise<Log> {
  const log = new MemoryLog({ store: new MemoryStore('penstock.dead-letters', 1) })
  const letter = {
    topic: 'penstock.telemetry',
    partition: 0,
    reason: 'WAREHOUSE_REFUSED',
    text: 'no',
    atMs: 7,
  } as const
  for (const [offset, endpoint] of ['lake', undefined, 'lake'].entries())
    await log.append(
      0,
      stampOf(offset, 1, 0),
      bytesFromLetter({
        ...letter,
        offset,
        atMs: 7 + offset,
        messageCount: 3,
        bytes: Buffer.from('x'),
        ...(endpoint !== undefined && { endpoint }),
      }),
    )
  await log.append(0, stampOf(9, 1, 0), bytesFromSettlement({ letter: 0, as: 'dropped', atMs: 9 }))
  return log
}

function warehouseOf(query: (statement: string) => Promise<readonly WarehouseRow[]>): Warehouse {
  const never = () => Promise.reject(new Error('nothing is written'))
  return { query, insert: never, command: never, ping: async () => {}, close: async () => {} }
}

async function stateOf(options: { readonly warehouse?: Warehouse; readonly openLog?: () => Promise<Log> }) {
  const logs = {
    telemetry: await telemetryLog(),
    'dead-letters': await deadLetterLog(),
    events: await telemetryLog(),
    'twin-events': await telemetryLog(),
    partitions: await telemetryLog(),
  }
  const clock = virtualClock(nowMs)
  const asked = new AskedLogs(options.openLog ?? (async (topic) => logs[topic]))
  const state = new InstallationDelivery({
    settings,
    logs: asked,
    letters: new LetterBook(() => asked.log('dead-letters')),
    warehouse:
      options.warehouse ??
      warehouseOf(async (statement) =>
        statement.includes('system.parts')
          ? [{ table: 'telemetry', rows: '12', bytes: '3456' }]
          : statement.includes('system.disks')
            ? [{ name: 'default', free: '5', total: '10' }]
            : [],
      ),
    clock,
  })
  return { state, clock }
}

describe('how delivery is', () => {
  test('is what the log has behind the position, how old that is, and what waits elsewhere', async () => {
    const { state } = await stateOf({})
    const report = await state.report()
    expect(report).toMatchObject({
      atMs: nowMs,
      telemetry: {
        topic: 'penstock.telemetry',
        table: 'penstock.telemetry',
        records: 4,
        messagesEstimated: 67,
        oldestSeconds: 50,
        partitions: [
          { partition: 0, first: 0, next: 4, position: 1, records: 3, messagesEstimated: 60, oldestSeconds: 50 },
          { partition: 1, first: 0, next: 1, position: 0, records: 1, messagesEstimated: 7, oldestSeconds: 5 },
        ],
      },
      deadLetters: {
        waiting: 2,
        messagesWaiting: 6,
        dropped: 1,
        replayed: 0,
        oldestAtMs: 8,
        byEndpoint: [
          { endpoint: null, waiting: 1, messages: 3 },
          { endpoint: 'lake', waiting: 1, messages: 3 },
        ],
      },
      views: [],
      tables: [{ table: 'penstock.telemetry', rows: 12, bytes: 3456 }],
      disks: [{ name: 'data folder' }, { name: 'ClickHouse: default', freeBytes: 5, totalBytes: 10 }],
      unknown: [],
    })
    expect(report.events).toBeUndefined()
  })

  test('what does not answer in time, or with a fault, is said not to be known; the rest is', async () => {
    const silent = warehouseOf((statement) =>
      statement.includes('system.parts')
        ? Promise.reject(new PenstockError('WAREHOUSE_REFUSED', 'no right'))
        : new Promise(() => {}),
    )
    const { state, clock } = await stateOf({ warehouse: silent })
    const reporting = state.report()
    // Not before everything that answers at once has.
    await new Promise((resolve) => setImmediate(resolve))
    while (clock.step());
    const { telemetry, views, tables, disks, unknown } = await reporting
    expect(telemetry?.records).toBe(4)
    expect([views, tables, disks?.length]).toEqual([undefined, undefined, 1])
    expect(unknown).toEqual(
      expect.arrayContaining([
        { part: 'tables', reason: 'no right' },
        { part: 'views', reason: 'no answer within 5 s' },
        { part: 'disks', reason: 'no answer within 5 s' },
      ]),
    )
  })

  test('a log that could not be opened is opened when it is asked for again', async () => {
    let away = true
    const there = await telemetryLog()
    const { state, clock } = await stateOf({
      openLog: async () => {
        if (away) throw new PenstockError('LOG_UNAVAILABLE', 'the brokers do not answer')
        return there
      },
    })
    expect((await state.report()).unknown).toContainEqual({ part: 'telemetry', reason: 'the brokers do not answer' })
    away = false
    // Whoever asks at once is told the same.
    expect((await state.report()).telemetry).toBeUndefined()
    clock.after(2_000, () => {})
    while (clock.step());
    expect((await state.report()).telemetry?.records).toBe(4)
  })
})

test('of dead letters only what was written since is read again', async () => {
  const log = await deadLetterLog()
  const reads: number[] = []
  const read = log.read.bind(log)
  log.read = (partition, offset, bytesMax) => {
    reads.push(offset)
    return read(partition, offset, bytesMax)
  }
  const book = new LetterBook(async () => log)
  const [one, other] = await Promise.all([book.letters(), book.letters()])
  expect([one.length, other.length]).toEqual([3, 3])
  await log.append(0, stampOf(10, 1, 0), bytesFromSettlement({ letter: 1, as: 'dropped', atMs: 10 }))
  expect((await book.letters()).map(({ state }) => state)).toEqual(['dropped', 'dropped', 'open'])
  expect(reads).toEqual([0, 4])
})
