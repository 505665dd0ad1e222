import { expect, test } from 'vitest'
import { unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { partAt, rangeAt } from '#pipeline/endpoints/selected-fixture.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { ObjectSink } from './object-sink.ts'
import { objectSettings } from './object-sink-fixture.ts'
import type { ObjectStore } from './object-store.ts'

/** Names only. */
class MemoryStore implements ObjectStore {
  readonly names: string[] = []
  readonly swept: string[] = []
  /** Called while an object is stored. */
  during: (ended: AbortSignal) => Promise<void> = async () => {}

  async put(name: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
    for await (const chunk of content) void chunk
    await this.during(ended)
    if (ended.aborted) throw unavailable('too late', 'Timeout')
    this.names.push(name)
  }
  async has(name: string): Promise<boolean> {
    return this.names.includes(name)
  }
  async *list(prefix: string): AsyncGenerator<string> {
    yield* this.names.filter((name) => name.startsWith(prefix))
  }
  async accepts(): Promise<boolean> {
    return true
  }
  async sweep(prefix: string, isOwn: (name: string) => boolean): Promise<void> {
    this.swept.push(prefix)
    expect(isOwn('hub/0/of-somebody-else')).toBe(false)
    throw unavailable('no right to list uploads', 'Transient')
  }
  async close(): Promise<void> {}
}

function opened() {
  const store = new MemoryStore()
  const clock = virtualClock()
  const sink = new ObjectSink({ name: 'x', store, settings: objectSettings, hubName: 'hub', group: 'test', clock })
  const insert = (selected: SelectedRange) => sink.insert(selected, '', clock.monotonicMs() + limits.insertBeginMsMax)
  return { store, clock, sink, insert }
}

/** A range of one day whose batches came in at these times. */
function rangeBetween(first: number, fromMs: number, toMs: number): SelectedRange {
  const selected = rangeAt(first, [['a'], ['b']])
  return { ...selected, range: { ...selected.range, enqueuedAtMsFirst: fromMs, enqueuedAtMsLast: toMs } }
}

test('an object that takes too long does not appear any more', async () => {
  const { store, clock, insert } = opened()
  store.during = async (ended) => {
    expect(ended.aborted).toBe(false)
    expect(clock.step(limits.objectPutMsMax)).toBe(true)
    expect(ended.aborted).toBe(true)
  }
  await expect(insert(rangeAt(0, [['a']]))).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
  expect(store.names).toEqual([])
})

test('what others left behind is swept once, and a store that forbids it is used all the same', async () => {
  const { store, insert } = opened()
  await insert(rangeAt(0, [['a']]))
  await insert(rangeAt(1, [['a']]))
  expect(store.swept).toEqual(['hub/'])
  expect(store.names).toHaveLength(2)
})

test('the newest object counts if its last message came in late enough, whenever its first one did', async () => {
  const { sink, insert } = opened()
  const dayMs = Date.UTC(2026, 0, 2)
  await insert(rangeBetween(10, dayMs, dayMs + 1_000))
  await insert(rangeBetween(12, dayMs + 2_000, dayMs + 70_000))
  expect(await sink.newest(0, 100, dayMs + 70_000)).toEqual({
    offset: 12,
    rowCount: 1,
    enqueuedAtMsFirst: dayMs + 2_000,
    enqueuedAtMsLast: dayMs + 70_000,
    last: 13,
  })
  expect(await sink.newest(0, 100, dayMs + 70_001)).toBeUndefined()
  expect(await sink.newest(0, 12, dayMs)).toMatchObject({ offset: 10, last: 11 })
})

test('parts of a batch are added up', async () => {
  const { sink, insert } = opened()
  const batch = ['a', 'b', 'c', 'd']
  await insert(rangeAt(3, [['x']]))
  await insert(partAt(7, batch, 0, 2))
  await insert(partAt(7, batch, 3, 1))
  const parts = await sink.newest(0, 100, 0)
  expect(parts).toMatchObject({ offset: 7, rowCount: 3 })
  expect(parts?.last).toBeUndefined()
  expect(await sink.newest(0, 7, 0)).toMatchObject({ offset: 3, last: 3 })
})
