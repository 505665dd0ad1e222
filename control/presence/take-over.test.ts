import { expect, test } from 'vitest'
import type { Invalidation } from '#control/store/changes.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { ActivityRecord, Announcement } from './presence.ts'
import { TakeOver } from './take-over.ts'

const clock = virtualClock(1_000_000)

/** A registry in memory that tells all edges in the order in which it was told. */
class FakeStore {
  announcements: Announcement[] = []
  failing = false
  attempts = 0
  readonly edges: FakeEdge[] = []

  announce(edge: string, opened: readonly ActivityRecord[], aheadMs: number): number {
    this.attempts++
    if (this.failing) throw new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'silent')
    const announcement = { edge, opened: opened.map((record) => ({ ...record, atMs: record.atMs + aheadMs })) }
    this.announcements.push(announcement)
    for (const heard of this.edges) heard.hear(announcement)
    return aheadMs
  }

  get toldCount(): number {
    return this.announcements.reduce((sum, { opened }) => sum + opened.length, 0)
  }
}

/** An edge process whose clock is behind the store's by `aheadMs`, and its link, which may be cut. */
class FakeEdge {
  readonly open = new Set<string>()
  readonly takeOver: TakeOver
  cut = false
  endedHere = 0
  watches = 2
  #hear = (_: Announcement): void => {}
  #invalidate = (_: Invalidation): void => {}

  constructor(store: FakeStore, name: string, aheadMs = 0) {
    const unwatch = () => {
      this.watches--
    }
    const directory = {
      announce: async (edge: string, opened: readonly ActivityRecord[]) => store.announce(edge, opened, aheadMs),
      onAnnounced: (listener: (announcement: Announcement) => void) => {
        this.#hear = listener
        return unwatch
      },
      onInvalidate: (listener: (invalidation: Invalidation) => void) => {
        this.#invalidate = listener
        return unwatch
      },
    }
    const behind = { ...clock, nowMs: () => clock.nowMs() - aheadMs }
    const end = (sessionId: string) => {
      this.endedHere++
      this.end(sessionId)
    }
    this.takeOver = new TakeOver(directory, behind, silentLogger, end, name)
    store.edges.push(this)
  }

  hear(announcement: Announcement): void {
    if (!this.cut) this.#hear(announcement)
  }

  linked(): void {
    this.cut = false
    this.#invalidate({ kind: 'everything' })
  }

  connect(deviceId: string): void {
    this.open.add(deviceId)
    this.takeOver.opened({ deviceId, moduleId: undefined })
  }

  end(deviceId: string): void {
    this.open.delete(deviceId)
    this.takeOver.ended({ deviceId, moduleId: undefined })
  }
}

/** Turns the clock, with what each step sets off. */
async function pass(ms: number): Promise<void> {
  const untilMs = clock.nowMs() + ms
  clock.after(ms, () => {})
  while (clock.step(untilMs)) for (let i = 0; i < 10; i++) await Promise.resolve()
}

test('the newer of two connections stays, whichever edge tells first and whatever the clocks of edges say [MQTT-3.1.4-2]', async () => {
  for (const [firstAheadMs, secondAheadMs] of [
    [0, 0],
    [-90_000, 90_000],
    [90_000, -90_000],
  ]) {
    const store = new FakeStore()
    const [first, second] = [new FakeEdge(store, 'a', firstAheadMs), new FakeEdge(store, 'b', secondAheadMs)]
    first.connect('moved')
    await pass(50)
    second.connect('moved')
    await pass(1_000)
    expect([first.open.size, second.open.size]).toEqual([0, 1])
    first.connect('moved')
    await pass(1_000)
    expect([first.open.size, second.open.size]).toEqual([1, 0])
  }
})

test('of two connections of one moment exactly one stays', async () => {
  const store = new FakeStore()
  const edges = [new FakeEdge(store, 'a'), new FakeEdge(store, 'b'), new FakeEdge(store, 'c')]
  for (const edge of edges) edge.connect('everywhere')
  await pass(1_000)
  expect(edges.filter(({ open }) => open.size > 0)).toHaveLength(1)
})

test('a connection that ended before it was told of still ends the older one', async () => {
  const store = new FakeStore()
  const [first, second] = [new FakeEdge(store, 'a'), new FakeEdge(store, 'b')]
  first.connect('short')
  await pass(1_000)
  second.connect('short')
  second.end('short')
  await pass(1_000)
  expect(first.open.size).toBe(0)
})

test('what was missed while a link was cut is made good, whichever edge missed it', async () => {
  for (const deaf of [0, 1]) {
    const store = new FakeStore()
    const edges = [new FakeEdge(store, 'a'), new FakeEdge(store, 'b')] as const
    edges[0].connect('moved')
    await pass(1_000)
    const cut = edges[deaf] as FakeEdge
    cut.cut = true
    edges[1].connect('moved')
    await pass(1_000)
    cut.linked()
    await pass(1_000)
    expect(edges.map(({ open }) => open.size)).toEqual([0, 1])
  }
})

test('while the store is away all stay open, and when it is back the older of each two ends, whoever tells first', async () => {
  const store = new FakeStore()
  const [first, second] = [new FakeEdge(store, 'a'), new FakeEdge(store, 'b')]
  store.failing = true
  second.connect('to-a')
  first.connect('to-b')
  await pass(30_000)
  first.connect('to-a')
  second.connect('to-b')
  await pass(10)
  expect([first.open.size, second.open.size]).toEqual([2, 2])
  store.failing = false
  await pass(5_000)
  expect([[...first.open], [...second.open]]).toEqual([['to-a'], ['to-b']])
})

test('a storm of connections is told in few statements, all of it', async () => {
  const store = new FakeStore()
  const edge = new FakeEdge(store, 'a')
  const count = 5 * limits.announcedAtOnceMax
  for (let i = 0; i < count; i++) edge.connect(`device-${i}`)
  await pass(10 * limits.announceDelayMs)
  expect(store.toldCount).toBe(count)
  expect(store.announcements).toHaveLength(5)
})

test('connections that come and go while the store is away cost bounded memory: those that ended are forgotten [G-4]', async () => {
  const store = new FakeStore()
  const edge = new FakeEdge(store, 'a')
  store.failing = true
  for (let i = 0; i < 10 * limits.announcedAtOnceMax; i++) {
    edge.connect(`device-${i}`)
    edge.end(`device-${i}`)
  }
  edge.connect('stays')
  store.failing = false
  await pass(60_000)
  expect(store.toldCount).toBeLessThan(2 * limits.announcedAtOnceMax)
  expect(store.announcements.at(-1)?.opened.at(-1)?.deviceId).toBe('stays')
})

test('a connection that ended is neither ended again nor told of again', async () => {
  const store = new FakeStore()
  const [first, second] = [new FakeEdge(store, 'a'), new FakeEdge(store, 'b')]
  first.connect('gone')
  await pass(1_000)
  first.end('gone')
  first.takeOver.ended({ deviceId: 'never-here', moduleId: undefined })
  first.linked()
  second.connect('gone')
  await pass(1_000)
  expect([first.endedHere, second.endedHere]).toEqual([0, 0])
  expect(store.toldCount).toBe(2)
})

test('while the store is away it is asked at the slower pace', async () => {
  const store = new FakeStore()
  const edge = new FakeEdge(store, 'a')
  store.failing = true
  edge.connect('waiting')
  await pass(limits.announceDelayMs + 10 * limits.announceRetryMs)
  expect(store.attempts).toBe(11)
})

test('what was heard of an earlier store ends nothing once another one is asked', async () => {
  const edge = new FakeEdge(new FakeStore(), 'a')
  edge.connect('stays')
  edge.hear({ edge: 'b', opened: [{ deviceId: 'stays', moduleId: undefined, atMs: clock.nowMs() + 600_000 }] })
  edge.linked()
  await pass(1_000)
  expect(edge.open.size).toBe(1)
})

test('once closed it hears nothing, tells nothing more, and what was under way has ended', async () => {
  const store = new FakeStore()
  const edge = new FakeEdge(store, 'a')
  edge.connect('d')
  const closed = edge.takeOver.close()
  expect(edge.watches).toBe(0)
  await Promise.all([closed, pass(10_000)])
  expect(store.attempts).toBe(0)
})
