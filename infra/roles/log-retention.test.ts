import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Batcher } from '#ingest/batches/batcher.ts'
import type { Assignment, Log } from '#pipeline/log/log.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { keepRetention } from './log-retention.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-retention-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const open = (topic: string, bytesMax = 0): Promise<Log> =>
  openLog({ kind: 'lmdb', dataDir, topic, partitionCount: 1, logger: silentLogger, bytesMax, sessionMs: 500 })

function stamp(sequence: number, enqueuedAtMs: number) {
  return {
    schemaVersion: 1,
    edgeId: 'e',
    epoch: 1,
    sequence,
    messageCount: 1,
    enqueuedAtMsFirst: enqueuedAtMs,
    enqueuedAtMsLast: enqueuedAtMs,
  }
}

/** Looks after the log once, as the role does every minute. */
async function lookOnce(log: Log, metrics: Metrics<MetricName>, nowMs: number): Promise<string[]> {
  const errors: string[] = []
  const logger: Logger = { ...silentLogger, error: (text: string) => void errors.push(text) }
  const stop = new AbortController()
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => 0,
    after: (delayMs, action) => {
      stop.abort()
      return systemClock.after(Math.min(delayMs, 0), action)
    },
  }
  await keepRetention({
    log,
    group: 'workers',
    ageMsMax: 3_600_000,
    partitionBytesMax: 100_000,
    logger,
    metrics,
    clock,
    stopping: stop.signal,
  })
  return errors
}

test('while nothing is delivered retention removes nothing, says so as an error and in a metric, and catches up afterwards', async () => {
  const log = await open('protected')
  const metrics = new Metrics<MetricName>(metricsTable)
  const nowMs = 10 * 3_600_000
  for (let index = 0; index < 10; index++)
    await log.append(0, stamp(index, index < 5 ? 0 : nowMs), Buffer.alloc(50_000))
  // The warehouse is away: first since ever, so that the worker's group has not joined yet, then with a group that delivers nothing.
  expect(await lookOnce(log, metrics, nowMs)).toEqual([expect.stringContaining('batches are not delivered')])
  expect(await log.ranges()).toEqual([{ first: 0, next: 10 }])
  const assigned = new Promise<Assignment>((resolve) => void log.join('workers', resolve))
  const { commit } = await assigned
  expect(await lookOnce(log, metrics, nowMs)).toEqual([expect.stringContaining('batches are not delivered')])
  expect(await log.ranges()).toEqual([{ first: 0, next: 10 }])
  expect(metrics.series('penstock_log_undelivered_over_limit_bytes').value).toBe(400_000)
  expect(metrics.series('penstock_log_positions_lost_total').value).toBe(0)

  await commit({ offset: 7, metadata: '' })
  expect(await lookOnce(log, metrics, nowMs)).toHaveLength(1)
  expect(await log.ranges()).toEqual([{ first: 7, next: 10 }])
  await commit({ offset: 10, metadata: '' })
  expect(await lookOnce(log, metrics, nowMs)).toEqual([])
  expect(await log.ranges()).toEqual([{ first: 8, next: 10 }])
  expect(metrics.series('penstock_log_kept_bytes').value).toBe(100_000)
  expect(metrics.series('penstock_log_undelivered_over_limit_bytes').value).toBe(0)
  await log.close()
})

test('a log at its size limit makes the edge pause its sockets within its bound; once delivered all flows again, acknowledged and in order [G-1] [G-3] [G-4]', async () => {
  const log = await open('limited', 3_000_000)
  const metrics = new Metrics<MetricName>(metricsTable)
  const pendingBytesMax = 8_000_000
  const assigned = new Promise<Assignment>((resolve) => void log.join('workers', resolve))
  let paused = false
  const batcher = new Batcher({
    log,
    edgeId: 'e',
    epoch: 1,
    clock: systemClock,
    logger: silentLogger,
    metrics,
    batchDelayMs: 1,
    pendingBytesMax,
    onFull: (full) => {
      paused = full
    },
  })
  let acknowledged = 0
  let refused = 0
  const owner = {
    batch: undefined,
    batchIndex: 0,
    sentOver: 'mqtt' as const,
    settled: (count: number) => {
      acknowledged += count
    },
    refused: (count: number) => {
      refused += count
    },
  }
  const partition = batcher.partitionOf(Buffer.from('d'))
  const frame = { prefix: Buffer.from([2, 100]), suffix: Buffer.from([0, 0]) }
  let sent = 0
  // Bodies that don't compress, sent until the edge says stop: what a socket would do.
  const sendUntil = async (done: () => boolean) => {
    while (!done()) {
      batcher.tick()
      const body = crypto.getRandomValues(Buffer.alloc(20_000))
      body.writeUInt32BE(sent++)
      partition.write(frame as never, body, 0, body.length, owner as never)
      if (sent % 8 === 0) await new Promise(setImmediate)
    }
  }
  await sendUntil(() => paused)
  expect(batcher.pendingBytes).toBeLessThan(pendingBytesMax + 1_000_000)
  const failures = metrics.series('penstock_edge_append_failures_total')
  while (failures.value === 0) await new Promise(setImmediate)
  expect((await log.ranges())[0]?.next).toBeGreaterThan(0)
  expect(acknowledged).toBeLessThan(sent)
  const { read, commit } = await assigned
  const sequences: number[] = []
  const lift = async () => {
    for (let offset = sequences.length; ; ) {
      const records = await read(offset, 1_000_000, 0)
      if (records.length === 0) return
      sequences.push(...records.map((record) => record.stamp.sequence))
      offset = sequences.length
      await commit({ offset, metadata: '' })
      await log.retain({ nowMs: 0, ageMsMax: 0, partitionBytesMax: 0, neededBy: ['workers'], force: false })
    }
  }
  // The warehouse is back: delivery makes room, and what the edge held back goes through by itself.
  while (acknowledged < sent) {
    await lift()
    await new Promise(setImmediate)
  }
  expect(paused).toBe(false)
  expect(refused).toBe(0)
  await lift()
  expect(sequences).toEqual(sequences.map((_, index) => index))
  await log.close()
})
