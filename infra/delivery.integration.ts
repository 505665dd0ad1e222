/** Workers and the ClickHouse sink together, on the embedded log and the embedded engine. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import avsc from 'avsc'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Log } from '#pipeline/log/log.ts'
import { openLog } from '#pipeline/log/open-log.ts'
import { openClickHouseSink } from '#pipeline/sinks/clickhouse-sink.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from '#pipeline/warehouse/embedded/start-embedded.ts'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letter-box.ts'
import {
  dropDeadLetter,
  listDeadLetters,
  readDeadLetter,
  renderDeadLetter,
  renderDeadLetters,
  replayDeadLetter,
} from '#pipeline/workers/dead-letters.ts'
import { isVerified, renderVerdicts, verify } from '#pipeline/workers/verify.ts'
import { startWorker, type Worker } from '#pipeline/workers/worker.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { batchFromBlock, envelopeSchema } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { Sink } from '#schemas/sink.ts'

const envelopeType = avsc.Type.forSchema(JSON.parse(JSON.stringify(envelopeSchema)))
const tables = { replicated: false, ttlDays: 0 }
const group = 'workers'
const startMs = Date.UTC(2026, 0, 2, 23, 59, 59, 900)

describe('delivery from log to ClickHouse', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-delivery-'))
  let engine: EmbeddedWarehouse
  let warehouse: Warehouse
  let sink: Sink
  let log: Log
  let deadLetters: Log
  let sequence = 0
  const workers: Worker[] = []

  beforeAll(async () => {
    const bind = '127.0.0.1'
    engine = await startEmbeddedWarehouse({
      dataDir,
      bind,
      port: 0,
      password: '',
      readonlyPassword: '',
      logger: silentLogger,
    })
    warehouse = openWarehouse({
      url: `http://${bind}:${engine.port}`,
      user: 'default',
      password: '',
      requestMsMax: 60_000,
    })
  })
  afterAll(async () => {
    await warehouse?.close()
    await engine?.close()
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

  async function start(through: Sink = sink, insertBeginMsMax?: number): Promise<Worker> {
    const box = openDeadLetterBox({ log: deadLetters, warehouse, logger: silentLogger })
    const metrics = new Metrics(metricsTable)
    const worker = await startWorker({
      log,
      group,
      sink: through,
      deadLetters: box,
      logger: silentLogger,
      metrics,
      insertDelayMs: 20,
      insertBeginMsMax,
    })
    workers.push(worker)
    return worker
  }

  function throughSink(insert: Sink['insert'], insertMsMax = sink.insertMsMax): Sink {
    return {
      name: sink.name,
      insertMsMax,
      insert,
      stored: (range) => sink.stored(range),
      accepts: () => sink.accepts(),
    }
  }

  /** Appends one batch of `count` messages of one device, numbered on. */
  async function append(partition: number, count: number, enqueuedAtMs: number, bytes?: Buffer): Promise<number> {
    const first = sequence
    sequence += count
    const envelopes = Array.from({ length: count }, (_, index) =>
      envelopeType.toBuffer({
        deviceId: `d${partition}`,
        enqueuedAtMs,
        body: Buffer.from(String(first + index)),
        properties: {},
        systemProperties: {},
      }),
    )
    const value = bytes ?? batchFromBlock(count, zstdCompressSync(Buffer.concat(envelopes)))
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
  async function delivered(): Promise<void> {
    for (;;) {
      const [ranges, positions] = await Promise.all([log.ranges(), log.positions(group)])
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
    const burnt = throughSink(async (range, token, chunks) => {
      const expiresAtMs = Date.now() + 60_000
      await sink.insert(range, token, chunks, expiresAtMs)
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
      { reason: 'WAREHOUSE_REFUSED', offset: refusedOffset },
      { reason: 'BATCH_CORRUPT', offset: corruptOffset },
    ])
    const [refused, corrupt] = open
    expect(Buffer.from((await readDeadLetter(deadLetters, refused!.id)).bytes)).toEqual(bytes)
    expect(renderDeadLetters(open)).toContain('BATCH_CORRUPT')
    expect(renderDeadLetter(await readDeadLetter(deadLetters, corrupt!.id))).toContain('no batch at all')
    const rows = await warehouse.query(
      'SELECT reason, log_offset, hex(bytes) AS bytes FROM penstock.dead_letters FINAL ORDER BY log_offset',
    )
    expect(rows.map(({ reason, bytes: hex }) => [reason, hex])).toEqual([
      ['WAREHOUSE_REFUSED', bytes.toString('hex').toUpperCase()],
      ['BATCH_CORRUPT', Buffer.from('no batch at all').toString('hex').toUpperCase()],
    ])
    const result = await verdicts()
    expect(result[0]).toMatchObject({ missing: 0, double: 0, deadLetters: 2, rows: 22 })

    await dropDeadLetter(deadLetters, corrupt!.id, Date.now())
    const offset = await replayDeadLetter(deadLetters, log, refused!.id, Date.now())
    await delivered()
    expect((await listDeadLetters(deadLetters)).map(({ letter }) => letter.offset)).toEqual([offset])
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
})
