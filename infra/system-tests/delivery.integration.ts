/** Workers and the ClickHouse sink together, on the embedded log and the embedded engine. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Log } from '#pipeline/log/log.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { dropDeadLetter, readDeadLetter, replayDeadLetter } from '#pipeline/operate/dead-letter-commands.ts'
import { renderDeadLetter, renderDeadLetters } from '#pipeline/operate/render-dead-letters.ts'
import { isVerified, renderVerdicts, verify } from '#pipeline/operate/verify.ts'
import { openClickHouseSink } from '#pipeline/sinks/clickhouse/clickhouse-sink.ts'
import { embeddedWarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { listDeadLetters } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { startWorker, type Worker } from '#pipeline/workers/worker.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { batchFromBlock, batchFromMessages, envelopeBytes, envelopesOfBatch } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'

const tables = { replicated: false, ttlDays: 0 }
const group = 'workers'
const startMs = Date.UTC(2026, 0, 2, 23, 59, 59, 900)

describe('delivery from log to ClickHouse', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-delivery-'))
  let warehouse: Warehouse
  let sink: TableSink
  let log: Log
  let deadLetters: Log
  let sequence = 0
  const workers: Worker[] = []

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
    const folder = join(dataDir, randomBytes(4).toString('hex'))
    log = await openLog({
      kind: 'lmdb',
      topic: 'penstock.telemetry',
      partitionCount: 3,
      dataDir: folder,
      logger: silentLogger,
    })
    deadLetters = await openLog({
      kind: 'lmdb',
      topic: 'penstock.dead-letters',
      partitionCount: 1,
      dataDir: folder,
      logger: silentLogger,
    })
  })
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.close()
    await log.close()
    await deadLetters.close()
  })

  async function start(through: TableSink = sink, insertBeginMsMax?: number, as = group): Promise<Worker> {
    const box = openDeadLetterBox({ log: deadLetters, warehouse, logger: silentLogger })
    const metrics = new Metrics(metricsTable)
    const worker = await startWorker({
      log,
      group: as,
      destination: through,
      deadLetters: box,
      logger: silentLogger,
      metrics,
      insertDelayMs: 20,
      insertBeginMsMax,
    })
    workers.push(worker)
    return worker
  }

  function throughSink(insert: TableSink['insert'], insertMsMax = sink.insertMsMax): TableSink {
    return {
      atomic: true,
      name: sink.name,
      insertMsMax,
      insert,
      stored: (range) => sink.stored(range),
      newest: (partition, end, sinceMs) => sink.newest(partition, end, sinceMs),
      accepts: () => sink.accepts(),
      close: () => sink.close(),
    }
  }

  /** Appends one batch of `count` messages of one device, numbered on. */
  async function append(
    partition: number,
    count: number,
    enqueuedAtMs: number,
    bytes?: Buffer,
    timeOf = (_index: number) => enqueuedAtMs,
  ): Promise<number> {
    const first = sequence
    sequence += count
    const messages = Array.from({ length: count }, (_, index) => ({
      bytes: envelopeBytes({
        deviceId: `d${partition}`,
        enqueuedAtMs: timeOf(index),
        body: Buffer.from(String(first + index)),
        properties: {},
        systemProperties: {},
      }),
    }))
    const value = bytes ?? batchFromMessages(messages)
    const stamp = {
      schemaVersion: 1,
      edgeId: 'e',
      epoch: 1,
      sequence: first,
      messageCount: count,
      enqueuedAtMsFirst: enqueuedAtMs,
      enqueuedAtMsLast: enqueuedAtMs,
    }
    return await log.append(partition, stamp, value)
  }

  /** Resolves when the group has nothing left to deliver; the test's time-out bounds it. */
  async function delivered(as = group): Promise<void> {
    for (;;) {
      const [ranges, positions] = await Promise.all([log.ranges(), log.positions(as)])
      if (
        ranges.every(
          ({ next }, partition) =>
            next === 0 || (positions[partition]?.offset === next && !positions[partition]?.metadata.includes('"b":')),
        )
      )
        return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  const verdicts = () => verify({ log, group, warehouse, deadLetters })
  const count = async (where = '1') =>
    Number(
      (await warehouse.query(`SELECT count() AS n, uniqExact(body) AS u FROM penstock.telemetry WHERE ${where}`))[0]?.n,
    )

  test('every message of every batch is one row, across midnight and partitions; an insert is one part [G-2] [G-3]', async () => {
    for (let index = 0; index < 60; index++) await append(index % 3, 1 + (index % 7), startMs + index * 10)
    const total = sequence
    await start()
    await delivered()
    expect(await count()).toBe(sequence)
    const positions = await warehouse.query(
      'SELECT count() AS n FROM (SELECT DISTINCT log_partition, log_offset FROM penstock.telemetry)',
    )
    const parts = await warehouse.query(
      "SELECT count() AS n FROM system.parts WHERE database = 'penstock' AND table = 'telemetry' AND level = 0",
    )
    expect(Number(parts[0]?.n)).toBeLessThanOrEqual(Number(positions[0]?.n))
    const result = await verdicts()
    expect(result.map(({ missing, double, lagBatches }) => ({ missing, double, lagBatches }))).toEqual(
      Array(3).fill({ missing: 0, double: 0, lagBatches: 0 }),
    )
    expect(result.reduce((sum, { rows }) => sum + rows, 0)).toBe(total)
    expect(isVerified(result)).toBe(true)
  })

  test('a worker cut off after the insert and before its position leaves an intent, and the next one stores nothing twice [G-2]', async () => {
    await append(0, 5, startMs)
    let reached = () => {}
    const stored = new Promise<void>((resolve) => {
      reached = resolve
    })
    // Stands for a process that dies here: the insert took effect, nobody hears of it.
    const cut = throughSink(async (...request) => {
      await sink.insert(...request)
      reached()
      throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'the answer is lost')
    })
    const first = await start(cut)
    await stored
    await first.close()
    expect((await log.positions(group))[0]?.metadata).toContain('"b":0')
    await start()
    await delivered()
    expect(await count()).toBe(5)
    expect(isVerified(await verdicts())).toBe(true)
  })

  test('a token that ClickHouse remembers without its rows loses nothing [G-2]', async () => {
    await append(0, 5, startMs)
    // ClickHouse writes the token down before the part, so a kill between the two leaves this. Deleting the rows does too.
    let attempts = 0
    const burnt = throughSink(async (selected, token) => {
      await sink.insert(selected, token, systemClock.monotonicMs() + 60_000)
      if (attempts++ > 0) return
      await warehouse.command('ALTER TABLE penstock.telemetry DELETE WHERE 1 SETTINGS mutations_sync = 2')
      throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'killed while committing')
    }, 100)
    await start(burnt, 1_000)
    await delivered()
    // The first, one that was taken for its repetition, and one under a new token.
    expect(attempts).toBe(3)
    expect(await count()).toBe(5)
  })

  test('a bad batch goes to dead letters with its reason and bytes, the others around it become rows [G-5]', async () => {
    const bytes = batchFromBlock(
      2,
      Buffer.concat([zstdCompressSync(Buffer.from('x')).subarray(0, 6), Buffer.from('damage in the middle')]),
    )
    for (let index = 0; index < 5; index++) await append(0, 2, startMs)
    const refusedOffset = await append(0, 2, startMs, bytes)
    for (let index = 0; index < 5; index++) await append(0, 2, startMs)
    const corruptOffset = await append(0, 2, startMs, Buffer.from('no batch at all'))
    await append(0, 2, startMs)
    await start()
    await delivered()
    expect(await count()).toBe(22)
    const open = await listDeadLetters(deadLetters)
    expect(open.map(({ letter: { reason, offset } }) => ({ reason, offset }))).toEqual([
      { reason: 'BATCH_CORRUPT', offset: refusedOffset },
      { reason: 'BATCH_CORRUPT', offset: corruptOffset },
    ])
    const [refused, corrupt] = open
    expect(refused!.letter.text).toMatch(/cannot be read: insert: code \d+ \(\w+\): /)
    expect(Buffer.from((await readDeadLetter(deadLetters, refused!.id)).bytes)).toEqual(bytes)
    expect(renderDeadLetters(open)).toContain('BATCH_CORRUPT')
    expect(renderDeadLetter(await readDeadLetter(deadLetters, corrupt!.id))).toContain('no batch at all')
    const rows = await warehouse.query(
      'SELECT reason, log_offset, hex(bytes) AS bytes FROM penstock.dead_letters FINAL ORDER BY log_offset',
    )
    expect(rows.map(({ reason, bytes: hex }) => [reason, hex])).toEqual([
      ['BATCH_CORRUPT', bytes.toString('hex').toUpperCase()],
      ['BATCH_CORRUPT', Buffer.from('no batch at all').toString('hex').toUpperCase()],
    ])
    const result = await verdicts()
    expect(result[0]).toMatchObject({ missing: 0, double: 0, deadLetters: 4, rows: 22 })

    await dropDeadLetter(deadLetters, corrupt!.id, Date.now())
    const offset = await replayDeadLetter(deadLetters, log, refused!.id, Date.now())
    await delivered()
    expect((await listDeadLetters(deadLetters)).map(({ letter, state }) => [letter.offset, state])).toEqual([
      [refusedOffset, 'replayed'],
      [corruptOffset, 'dropped'],
      [offset, 'open'],
    ])
    const after = await verdicts()
    expect(after[0]).toMatchObject({ missing: 0, double: 0, deadLetters: 6, replayed: 2, dropped: 2, rows: 22 })
    expect(renderVerdicts(after)).toContain(
      '6 messages became dead letters: 2 open (penstock dead-letters list), 2 replayed, 2 dropped',
    )
  })

  test('of a batch with bad messages only these become letters; the others are rows, once and in order [G-2] [G-3] [G-5]', async () => {
    const dayMs = 86_400_000
    const first = sequence
    await append(0, 10, startMs)
    // Messages of another day than their batch is stamped with: the sink refuses them, and nothing else is wrong with them.
    const bad = [7, 8, 41]
    const offset = await append(0, 50, startMs, undefined, (index) => startMs - (bad.includes(index) ? dayMs : 0))
    await append(0, 10, startMs)
    await start()
    await delivered()
    const open = await listDeadLetters(deadLetters)
    expect(
      open.map(({ letter: { reason, messageFirst, messageCount, ...letter } }) => [
        reason,
        letter.offset,
        messageFirst,
        messageCount,
      ]),
    ).toEqual(bad.map((index) => ['WAREHOUSE_REFUSED', offset, index, 1]))
    const bodies = async (where: string) =>
      (
        await warehouse.query(
          `SELECT toUInt64(body) AS n FROM penstock.telemetry WHERE ${where} ORDER BY log_offset, n`,
        )
      ).map(({ n }) => Number(n))
    expect(await bodies(`log_offset = ${offset}`)).toEqual(
      Array.from({ length: 50 }, (_, index) => first + 10 + index).filter((n) => !bad.includes(n - first - 10)),
    )
    expect(await count()).toBe(67)
    for (const { letter } of open)
      expect(letter.text).toMatch(/^the sink refused message \d+ of this batch: insert: code \d+/)
    expect(await verdicts()).toMatchObject([
      { missing: 0, double: 0, deadLetters: 3, rows: 67, foreignRows: 0 },
      {},
      {},
    ])
    const copies = await warehouse.query(
      'SELECT log_offset, message_first, message_count FROM penstock.dead_letters FINAL ORDER BY message_first',
    )
    expect(copies.map((row) => Number(row.message_first))).toEqual(bad)

    // A letter is a batch of its own with its own times, so what was only stamped wrongly can be delivered now.
    for (const { id } of open) {
      const letter = await readDeadLetter(deadLetters, id)
      expect(envelopesOfBatch(letter.bytes)).toHaveLength(1)
      await replayDeadLetter(deadLetters, log, id, Date.now())
    }
    await delivered()
    expect((await listDeadLetters(deadLetters)).map(({ state }) => state)).toEqual(bad.map(() => 'replayed'))
    expect(await count()).toBe(70)
    expect(await count('enqueued_at < ' + `toDateTime64('2026-01-02', 3, 'UTC')`)).toBe(3)
    const after = await verdicts()
    expect(isVerified(after)).toBe(true)
    expect(renderVerdicts(after)).toContain('3 messages became dead letters: 0 open, 3 replayed, 0 dropped')
  })

  test('of a batch full of bad messages a bounded number is found one by one, the rest is one letter [G-5]', async () => {
    await append(0, 200, startMs, undefined, () => startMs - 86_400_000)
    await append(0, 5, startMs)
    await start()
    await delivered()
    const open = await listDeadLetters(deadLetters)
    expect(open).toHaveLength(limits.deadLettersPerBatchMax + 1)
    expect(open.at(-1)?.letter).toMatchObject({ messageFirst: 16, messageCount: 184 })
    expect(await count()).toBe(5)
    expect(await verdicts()).toMatchObject([{ missing: 0, double: 0, deadLetters: 200, rows: 5 }, {}, {}])
  })

  /** Stands for a ClickHouse that does not know how to ignore errors of views. */
  async function sinkOfOlderServer(): Promise<TableSink> {
    const older: Warehouse = {
      insert: (...request) => warehouse.insert(...request),
      query: async (...request) =>
        (await warehouse.query(...request)).filter(({ name }) => name !== 'materialized_views_ignore_errors'),
      command: (...request) => warehouse.command(...request),
      ping: () => warehouse.ping(),
      close: () => warehouse.close(),
    }
    return await openClickHouseSink({ warehouse: older, tables, tablesReady: true, logger: silentLogger })
  }

  async function makeView(): Promise<void> {
    await warehouse.command('CREATE TABLE penstock.target (n UInt64) ENGINE = MergeTree ORDER BY n')
    await warehouse.command(
      'CREATE MATERIALIZED VIEW penstock.view TO penstock.target AS ' +
        'SELECT throwIf(toUInt64(body) % 4 = 2) + 1 AS n FROM penstock.telemetry',
    )
  }

  test.each([
    ['ignores its errors', () => Promise.resolve(sink)],
    ['answers with its errors', sinkOfOlderServer],
  ])(
    'a view that fails at some rows costs no row, makes none twice and no letter, where the server %s [G-2] [G-5]',
    async (_, open) => {
      // A partition's first insert is asked for in any case; the fault shows in later ones.
      for (const partition of [0, 1]) await append(partition, 1, startMs)
      await start(await open())
      await delivered()
      await makeView()
      for (let index = 0; index < 6; index++) await append(index % 2, 3, startMs)
      await delivered()
      expect(await count()).toBe(20)
      expect(await listDeadLetters(deadLetters)).toEqual([])
      expect(isVerified(await verdicts())).toBe(true)
    },
  )

  test('a view whose target was dropped stops no partition', async () => {
    await makeView()
    await warehouse.command('DROP TABLE penstock.target')
    for (let index = 0; index < 6; index++) await append(index % 2, 3, startMs)
    await start()
    await delivered()
    expect(await count()).toBe(18)
  })

  test('where an older server stops at a dropped target, delivery goes on once it is there again, and stores nothing twice [G-2]', async () => {
    await makeView()
    await warehouse.command('DROP TABLE penstock.target')
    for (let index = 0; index < 6; index++) await append(index % 2, 1, startMs)
    let asked = 0
    const older = await sinkOfOlderServer()
    await start(
      throughSink(async (...request) => {
        asked++
        await older.insert(...request)
      }),
    )
    await expect.poll(() => asked, { timeout: 30_000 }).toBeGreaterThan(3)
    expect(await count()).toBe(0)
    await warehouse.command('CREATE TABLE penstock.target (n UInt64) ENGINE = MergeTree ORDER BY n')
    await delivered()
    expect(await count()).toBe(6)
    expect(await listDeadLetters(deadLetters)).toEqual([])
  })

  test('a batch that an edge appended twice becomes rows once, before and after a restart of the worker [G-2]', async () => {
    const again = async () => {
      const [record] = await log.read(0, 0, 1)
      await log.append(0, record!.stamp, record!.value)
    }
    await append(0, 3, startMs)
    await again()
    const first = await start()
    await delivered()
    await first.close()
    await again()
    await append(0, 3, startMs)
    await start()
    await delivered()
    expect(await count()).toBe(6)
    expect(await verdicts()).toMatchObject([{ batches: 4, missing: 0, double: 0, rows: 6 }, {}, {}])
  })

  test('a group without positions goes on behind the newest rows and their letters, not at the oldest batch [G-2]', async () => {
    for (let index = 0; index < 6; index++) for (const partition of [0, 1]) await append(partition, 3, startMs)
    await append(1, 2, startMs, Buffer.from('not a batch'))
    const before = await start()
    await delivered()
    await before.close()
    for (const partition of [0, 1, 2]) await append(partition, 2, startMs)
    // Another group is one whose positions the log forgot; nothing of the first is on its way any more.
    await start(throughSink(sink.insert.bind(sink), 100), 1_000, 'forgotten')
    await delivered('forgotten')
    expect(await count()).toBe(2 * 6 * 3 + 3 * 2)
    expect(await listDeadLetters(deadLetters)).toHaveLength(1)
  })

  test('verify counts what is missing and what is double, and names the offset', async () => {
    for (let index = 0; index < 4; index++) {
      await append(1, 10, startMs)
      if (index === 0) await start()
      await delivered()
    }
    await warehouse.command('ALTER TABLE penstock.telemetry DELETE WHERE log_offset = 1 SETTINGS mutations_sync = 2')
    await warehouse.command(
      'INSERT INTO penstock.telemetry SELECT * FROM penstock.telemetry WHERE log_offset = 3 SETTINGS insert_deduplicate = 0',
    )
    const result = await verdicts()
    expect(result[1]).toMatchObject({ missing: 10, double: 10 })
    expect(isVerified(result)).toBe(false)
    expect(renderVerdicts(result)).toContain('NOT as it should be: 10 messages missing, 10 rows double')
  })

  test('verify takes neither rows of an older log nor what the TTL removed for a fault, and says so', async () => {
    for (let index = 0; index < 3; index++) await append(2, 4, startMs)
    await start()
    await delivered()
    const older = (offset: number) =>
      warehouse.command(
        'INSERT INTO penstock.telemetry (device_id, enqueued_at, body, log_partition, log_offset) ' +
          `SELECT 'old', toDateTime64('2025-06-01 00:00:00', 3, 'UTC'), '', 2, ${offset} FROM numbers(7)`,
      )
    // At the group's own position and in the middle of it.
    for (const offset of [0, 1, 2]) await older(offset)
    const mixed = await verdicts()
    expect(mixed[2]).toMatchObject({ missing: 0, double: 0, rows: 12, foreignRows: 21 })
    expect(renderVerdicts(mixed)).toContain('21 rows have these positions from another time')

    await warehouse.command(
      'ALTER TABLE penstock.telemetry MODIFY TTL toDateTime(enqueued_at) + INTERVAL 30 DAY DELETE',
    )
    await warehouse.command('ALTER TABLE penstock.telemetry DELETE WHERE 1 SETTINGS mutations_sync = 2')
    const expired = await verify({ log, group, warehouse, deadLetters, nowMs: startMs + 31 * 86_400_000 })
    expect(expired[2]).toMatchObject({ missing: 0, double: 0, rows: 0, expired: 12 })
    expect(renderVerdicts(expired)).toContain('12 messages have no rows and are older than')
    const early = await verify({ log, group, warehouse, deadLetters, nowMs: startMs + 29 * 86_400_000 })
    expect(early[2]).toMatchObject({ missing: 12, expired: 0 })
  })
})
