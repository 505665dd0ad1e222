import { zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { Assignment, LogRecord } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import { batchFromBlock } from '#schemas/batch.ts'
import { RangeReader } from './range-reader.ts'

const startMs = Date.UTC(2026, 0, 2)

/** A reader over a partition that holds one record, and a clock that only goes where it is told. */
async function readerOfOneRecord(insertDelayMs: number) {
  const timers: { readonly delayMs: number; readonly action: () => void }[] = []
  const time = { nowMs: startMs, monotonicMs: 0 }
  const clock: Clock = {
    nowMs: () => time.nowMs,
    monotonicMs: () => time.monotonicMs,
    after: (delayMs, action) => {
      timers.push({ delayMs, action })
      return () => {}
    },
  }
  const ended = new AbortController()
  const stamp = {
    schemaVersion: 1,
    edgeId: 'e',
    epoch: 1,
    sequence: 0,
    messageCount: 1,
    enqueuedAtMsFirst: startMs,
    enqueuedAtMsLast: startMs,
  }
  const record: LogRecord = { offset: 0, stamp, value: batchFromBlock(1, zstdCompressSync(Buffer.from('block'))) }
  const assignment: Assignment = {
    partition: 0,
    generation: 1,
    position: undefined,
    revoked: ended.signal,
    read: async (offset) => (offset === 0 ? [record] : new Promise<LogRecord[]>(() => {})),
    commit: async () => {},
  }
  const reader = new RangeReader(
    { assignment, logId: 'log', clock, insertDelayMs, readBytesMax: 1_000_000, ended: ended.signal },
    0,
  )
  void reader.run()
  await reader.through(0)
  return { reader, time, timers, end: () => ended.abort() }
}

test('a batch waits for others as long as it may, and no longer', async () => {
  const { reader, time, end } = await readerOfOneRecord(250)
  time.monotonicMs += 249
  expect(reader.due(100)).toBeUndefined()
  time.monotonicMs += 1
  expect(reader.due(100)).toMatchObject({ kind: 'range' })
  end()
})

test('a clock that is set back by a day does not keep a batch waiting for a day', async () => {
  const { reader, time, timers, end } = await readerOfOneRecord(250)
  const cut = reader.cut(100)
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([250])
  time.nowMs -= 86_400_000
  time.monotonicMs += 250
  for (const { action } of timers.splice(0)) action()
  expect(await cut).toMatchObject({ kind: 'range' })
  expect(timers).toEqual([])
  end()
})
