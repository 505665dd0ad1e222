import { expect, test } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { offsetAt } from './offset-at.ts'

/** One batch a second from 1,000 s on, with its stamp from `first` to `first` + 500 ms. */
async function logOf(count: number): Promise<MemoryLog> {
  const log = new MemoryLog({ store: new MemoryStore('test', 1) })
  for (let sequence = 0; sequence < count; sequence++) {
    const enqueuedAtMsFirst = (1_000 + sequence) * 1_000
    const stamp = {
      schemaVersion: 1,
      edgeId: 'e',
      epoch: 1,
      sequence,
      messageCount: 1,
      enqueuedAtMsFirst,
      enqueuedAtMsLast: enqueuedAtMsFirst + 500,
    }
    await log.append(0, stamp, Buffer.from('value'))
  }
  return log
}

test.each([0, 1, 2, 3, 7, 8, 100])(
  'among %i batches the first that holds a message of the time is found',
  async (count) => {
    const log = await logOf(count)
    const [range = { first: 0, next: 0 }] = await log.ranges()
    expect(await offsetAt(log, 0, range, 0)).toBe(0)
    for (let offset = 0; offset < count; offset++) {
      const startMs = (1_000 + offset) * 1_000
      expect(await offsetAt(log, 0, range, startMs)).toBe(offset)
      expect(await offsetAt(log, 0, range, startMs + 500)).toBe(offset)
      expect(await offsetAt(log, 0, range, startMs + 501)).toBe(offset + 1)
    }
    expect(await offsetAt(log, 0, range, Number.MAX_SAFE_INTEGER)).toBe(count)
  },
)

test('what retention removes while it looks is passed over', async () => {
  const log = await logOf(8)
  const [range = { first: 0, next: 0 }] = await log.ranges()
  await log.retain({ nowMs: 1_006_000, ageMsMax: 500, partitionBytesMax: 1_000_000, neededBy: [], force: false })
  expect(await offsetAt(log, 0, range, 0)).toBeGreaterThanOrEqual(5)
  expect(await offsetAt(log, 0, range, 1_007_000)).toBe(7)
})

test('an answer with nothing is no record that is gone: it is asked for again, and in the end refused', async () => {
  const log = await logOf(8)
  const [range = { first: 0, next: 0 }] = await log.ranges()
  const read = log.read.bind(log)
  let reads = 0
  log.read = async (...position) => (reads++ % 3 === 2 ? await read(...position) : [])
  expect(await offsetAt(log, 0, range, 0)).toBe(0)
  log.read = async () => []
  await expect(offsetAt(log, 0, range, 0)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' })
})
