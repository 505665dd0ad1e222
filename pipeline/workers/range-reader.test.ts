import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { Assignment, LogRecord } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import { batchFromBlock } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { insertRange } from './range-limits.ts'
import { RangeReader } from './range-reader.ts'

const startMs = Date.UTC(2026, 0, 2)

const oneMessage = batchFromBlock(1, zstdCompressSync(Buffer.from('block')))

/** A reader that has read all of a partition, and a clock that only goes where it is told. */
async function readerOf(
  insertDelayMs: number,
  values: readonly Uint8Array[],
  messageCount = 1,
  readBytesMax = Number.MAX_SAFE_INTEGER,
) {
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
    messageCount,
    enqueuedAtMsFirst: startMs,
    enqueuedAtMsLast: startMs,
  }
  const records: LogRecord[] = values.map((value, offset) => ({ offset, stamp, value }))
  const assignment: Assignment = {
    partition: 0,
    generation: 1,
    position: undefined,
    revoked: ended.signal,
    read: async (offset) => (offset === 0 ? records : new Promise<LogRecord[]>(() => {})),
    commit: async () => {},
  }
  const reader = new RangeReader(
    { assignment, logId: 'log', clock, insertDelayMs, readBytesMax, rangeLimits: insertRange, ended: ended.signal },
    0,
  )
  void reader.run()
  await reader.through(values.length - 1)
  return { reader, time, timers, end: () => ended.abort() }
}

test('what fills the room to read ahead waits for nothing, since nothing more is read [G-4]', async () => {
  const bytes = 2 * oneMessage.length
  for (const [readBytesMax, length] of [
    [bytes, 2],
    [bytes + 1, undefined],
  ] as const) {
    const { reader, end } = await readerOf(60_000, [oneMessage, oneMessage], 1, readBytesMax)
    const cut = reader.due(100)
    expect(cut?.kind === 'range' ? cut.records.length : undefined).toBe(length)
    end()
  }
})

test('a batch waits for others as long as it may, and no longer', async () => {
  const { reader, time, end } = await readerOf(250, [oneMessage])
  time.monotonicMs += 249
  expect(reader.due(100)).toBeUndefined()
  time.monotonicMs += 1
  expect(reader.due(100)).toMatchObject({ kind: 'range' })
  end()
})

test('a clock that is set back by a day does not keep a batch waiting for a day', async () => {
  const { reader, time, timers, end } = await readerOf(250, [oneMessage])
  const cut = reader.cut(100)
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([250])
  time.nowMs -= 86_400_000
  time.monotonicMs += 250
  for (const { action } of timers.splice(0)) action()
  expect(await cut).toMatchObject({ kind: 'range' })
  expect(timers).toEqual([])
  end()
})

/** The largest block that an edge makes, and one that is as small on the log as it can be. */
const incompressible = batchFromBlock(1, zstdCompressSync(randomBytes(limits.blockBytesMax)))
const compressible = batchFromBlock(1, zstdCompressSync(Buffer.alloc(limits.blockBytesMax)))
const manyMessages = batchFromBlock(limits.recordMessagesMax, zstdCompressSync(Buffer.from('block')))

// One more would be a second block of ClickHouse's, so a second part: an insert that can be there in half.
test.each([
  ['rows', manyMessages, limits.recordMessagesMax, Math.floor(limits.insertRowsMax / limits.recordMessagesMax)],
  ['bytes on the log', incompressible, 1, Math.floor(limits.insertBytesMax / incompressible.length)],
  ['bytes uncompressed', compressible, 1, Math.floor(limits.insertBodyBytesMax / limits.blockBytesMax)],
])(
  'a range holds as many %s as an insert may have and not one batch more, and then waits for nothing [G-2]',
  async (_, value, messageCount, countMax) => {
    expect(countMax).toBeGreaterThan(1)
    const fitting = await readerOf(250, Array(countMax).fill(value), messageCount)
    expect(fitting.reader.due(Number.POSITIVE_INFINITY)).toBeUndefined()
    fitting.end()
    const overfull = await readerOf(250, Array(countMax + 1).fill(value), messageCount)
    const cut = overfull.reader.due(Number.POSITIVE_INFINITY)
    expect(cut?.kind === 'range' && cut.records.length).toBe(countMax)
    overfull.end()
  },
)

test('a range holds no more batches than asked for', async () => {
  const { reader, end } = await readerOf(250, Array(5).fill(oneMessage))
  const cut = reader.due(2)
  expect(cut?.kind === 'range' && cut.records.length).toBe(2)
  end()
})

test('what waited for a reader as long as it may is the first range at once; what comes behind it waits for its turn', async () => {
  const { reader, time, end } = await readerOf(250, [oneMessage, oneMessage])
  time.nowMs += 249
  expect(reader.due(100)).toBeUndefined()
  time.nowMs += 1
  expect(reader.due(100)).toMatchObject({ kind: 'range' })
  reader.take(0)
  reader.settle(0)
  expect(reader.due(100)).toBeUndefined()
  end()
})
