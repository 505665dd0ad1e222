import { expect, test } from 'vitest'
import type { LogRecord } from '#pipeline/log/log.ts'
import type { ShownRecord } from './reading.ts'
import { RecordShelf, type RecordSource } from './record-shelf.ts'

const stamp = {
  schemaVersion: 1,
  edgeId: 'e',
  epoch: 1,
  sequence: 0,
  messageCount: 1,
  enqueuedAtMsFirst: 0,
  enqueuedAtMsLast: 0,
}

/** Ten records of 100 bytes, three of which are read at once; each shows 1,000 bytes. */
function source() {
  const [reads, shows]: [number[], number[]] = [[], []]
  const made: RecordSource = {
    name: 's',
    revision: 0,
    async read(_partition, offset) {
      reads.push(offset)
      return Array.from(
        { length: Math.max(0, Math.min(3, 10 - offset)) },
        (_, index): LogRecord => ({ offset: offset + index, stamp, value: Buffer.alloc(100) }),
      )
    },
    async show({ offset }) {
      shows.push(offset)
      return { offset, stamp, blocks: [Buffer.alloc(1_000)], indexes: undefined, edition: 0 }
    },
  }
  return { made, reads, shows }
}

const offsetOf = (shown: ShownRecord | undefined) => shown?.offset

test('readers at one place share what is read ahead and what is decoded', async () => {
  const { made, reads, shows } = source()
  const shelf = new RecordShelf(100_000)
  const both = await Promise.all([shelf.at(made, 0, 0), shelf.at(made, 0, 0)])
  expect(both.map(offsetOf)).toEqual([0, 0])
  for (const offset of [1, 2, 3]) expect(offsetOf(await shelf.at(made, 0, offset))).toBe(offset)
  expect(shelf.at(made, 0, 2)).not.toBeInstanceOf(Promise)
  expect(await shelf.at(made, 0, 10)).toBeUndefined()
  expect([reads, shows]).toEqual([
    [0, 3, 10],
    [0, 1, 2, 3],
  ])
})

test('what is kept is bounded, and the least recently used goes first', async () => {
  const { made, reads } = source()
  const shelf = new RecordShelf(2_500)
  for (let offset = 0; offset < 10; offset++) {
    await shelf.at(made, 0, offset)
    expect(shelf.bytes).toBeLessThanOrEqual(2_500)
  }
  const before = reads.length
  expect(offsetOf(await shelf.at(made, 0, 9))).toBe(9)
  expect(reads.length).toBe(before)
  await shelf.at(made, 0, 0)
  expect(reads.length).toBe(before + 1)
})

test('a fault is told to all who wait, and the next one asks again', async () => {
  const { made } = source()
  const shelf = new RecordShelf()
  let fails = true
  const failing: RecordSource = {
    ...made,
    read: async (...asked) => (fails ? Promise.reject(new Error('away')) : made.read(...asked)),
  }
  const waiting = [shelf.at(failing, 0, 0), shelf.at(failing, 0, 0)]
  for (const each of waiting) await expect(each).rejects.toThrow('away')
  fails = false
  expect(offsetOf(await shelf.at(failing, 0, 0))).toBe(0)
})

test('records that show nothing are bounded, too', async () => {
  const { made } = source()
  let shows = 0
  const empty: RecordSource = {
    ...made,
    read: async (_partition, offset) => [{ offset, stamp, value: Buffer.alloc(0) }],
    async show({ offset }) {
      shows++
      return { offset, stamp, blocks: [], indexes: new Uint32Array(0), edition: 0 }
    },
  }
  const shelf = new RecordShelf(10_000)
  for (let offset = 0; offset < 100; offset++) await shelf.at(empty, 0, offset)
  expect(shelf.bytes).toBeLessThanOrEqual(10_000)
  await shelf.at(empty, 0, 0)
  expect(shows).toBe(101)
})

test('what was replaced by another revision while it was shown is not kept as of that', async () => {
  const { made } = source()
  const shelf = new RecordShelf()
  let revision = 1
  const [shows, changing]: [number[], RecordSource] = [
    [],
    {
      ...made,
      get revision() {
        return revision
      },
      show: async (record) => {
        shows.push(revision)
        const edition = revision
        if (shows.length === 1) revision = 2
        return { ...(await made.show(record)), edition }
      },
    },
  ]
  for (const edition of [1, 2, 2]) expect((await shelf.at(changing, 0, 0))?.edition).toBe(edition)
  expect(shows).toEqual([1, 2])
})

test('what was being read when its log was replaced is not kept for readers of the log that is there now', async () => {
  const { made, reads, shows } = source()
  let revision = 0
  const replaced: RecordSource = {
    ...made,
    get revision() {
      return revision
    },
    async read(partition, offset) {
      const records = await made.read(partition, offset)
      if (offset === 0) revision = 1
      return records
    },
  }
  const shelf = new RecordShelf(100_000)
  await shelf.at(replaced, 0, 0)
  expect(shelf.bytes).toBe(0)
  expect(offsetOf(await shelf.at(replaced, 0, 1))).toBe(1)
  expect([reads, shows]).toEqual([
    [0, 1],
    [0, 1],
  ])
})
