import { expect, test } from 'vitest'
import { Selection } from './selection.ts'
import { SelectionCache, type SelectionKey } from './selection-cache.ts'
import { RouteTally } from './selection-pass.ts'

const keyOf = (offset: number, other: Partial<SelectionKey> = {}): SelectionKey => ({
  topic: 'telemetry',
  partition: 0,
  offset,
  stamp: { edgeId: 'e', epoch: 1, sequence: offset },
  revision: '1',
  ...other,
})

const selectionOf = (bytes: number): Selection => {
  const block = {
    source: 'DeviceMessages',
    plain: Buffer.alloc(bytes),
    firstIndex: 0,
    messageCount: 0,
    starts: new Uint32Array(1),
    masks: new Uint32Array(0),
    stored: undefined,
  } as const
  return Selection.decoded(0, [block], 1, 1, new RouteTally(1))
}
const overhead = selectionOf(0).bytes

/** Counts how often it was called for each record. */
function selecting(bytes: number): { calls: number; select: () => Promise<Selection> } {
  const counter = {
    calls: 0,
    select: async () => {
      counter.calls++
      return selectionOf(bytes)
    },
  }
  return counter
}

test('endpoints that ask for a record at the same time or later share one selection', async () => {
  const cache = new SelectionCache(10_000)
  const counter = selecting(100)
  const [first, second] = await Promise.all([cache.get(keyOf(1), counter.select), cache.get(keyOf(1), counter.select)])
  expect(first).toBe(second)
  expect(await cache.get(keyOf(1), () => Promise.reject(new Error('asked again')))).toBe(first)
  expect([cache.hits, cache.misses, counter.calls]).toEqual([2, 1, 1])
})

test('another topic, partition, offset, batch or revision is another selection', async () => {
  const cache = new SelectionCache(100_000)
  const counter = selecting(10)
  const batches = [
    { edgeId: 'f', epoch: 1, sequence: 1 },
    { edgeId: 'e', epoch: 2, sequence: 1 },
    { edgeId: 'e', epoch: 1, sequence: 2 },
  ].map((stamp) => ({ stamp }))
  for (const other of [{}, { topic: 'events' }, { partition: 1 }, { offset: 2 }, { revision: '2' }, ...batches])
    await cache.get(keyOf(1, other), counter.select)
  expect(counter.calls).toBe(8)
})

test('without room everything is still right, and those that ask at once share', async () => {
  const cache = new SelectionCache(0)
  const counter = selecting(10)
  await Promise.all([cache.get(keyOf(1), counter.select), cache.get(keyOf(1), counter.select)])
  expect(counter.calls).toBe(1)
  await cache.get(keyOf(1), counter.select)
  expect(counter.calls).toBe(2)
  expect(cache.bytes).toBe(0)
})

test('the least recently used goes first, and no more bytes are kept than there is room for', async () => {
  const room = 2 * (1_000 + overhead)
  const cache = new SelectionCache(room)
  const counter = selecting(1_000)
  for (const offset of [1, 2, 1, 3]) {
    await cache.get(keyOf(offset), counter.select)
    expect(cache.bytes).toBeLessThanOrEqual(room)
  }
  expect(counter.calls).toBe(3)
  await cache.get(keyOf(1), counter.select)
  expect(counter.calls).toBe(3)
  await cache.get(keyOf(2), counter.select)
  expect(counter.calls).toBe(4)
  await cache.get(keyOf(9), async () => selectionOf(room))
  expect(cache.bytes).toBe(room)
})

test('a failure reaches all who wait, and the next one tries again', async () => {
  const cache = new SelectionCache(10_000)
  const failing = () => Promise.reject(new Error('corrupt'))
  const results = await Promise.allSettled([cache.get(keyOf(1), failing), cache.get(keyOf(1), failing)])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  const counter = selecting(1)
  await cache.get(keyOf(1), counter.select)
  expect(counter.calls).toBe(1)
})
