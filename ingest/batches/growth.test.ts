import { expect, onTestFinished, test } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import type { BatchOwner } from './batch.ts'
import { Batcher } from './batcher.ts'
import { routeOfReading } from './route.ts'

/** A device that has another partition among four than among two. */
const moving = ['a', 'b', 'c', 'd', 'e', 'f'].find((id) => partitionOfDevice(Buffer.from(id), 4) >= 2) as string
const [home, away] = [2, 4].map((count) => partitionOfDevice(Buffer.from(moving), count)) as [number, number]

/** A batcher over two partitions of a log that has more; `spread` says what it is told. */
function growing(cuts: readonly number[]) {
  const spread = {
    count: 2,
    isCertain: () => spread.count === 2,
    counts: async (partition: number, offset: number, count: number) =>
      count === spread.count || offset < (cuts[partition] ?? 0),
  }
  let appendNow = (): void => {}
  const appended = new Promise<void>((resolve) => {
    appendNow = resolve
  })
  let askedNow = (): void => {}
  const asked = new Promise<void>((resolve) => {
    askedNow = resolve
  })
  const store = new MemoryStore('t', 8)
  const full: boolean[] = []
  const batcher = new Batcher({
    log: new MemoryLog({
      store,
      beforeAppend: (partition) => {
        askedNow()
        return partition === home ? appended : undefined
      },
    }),
    spread,
    edgeId: 'edge',
    epoch: 1,
    clock: systemClock,
    logger: silentLogger,
    metrics: new Metrics<MetricName>(metricsTable),
    batchDelayMs: 1,
    pendingBytesMax: 1e9,
    onFull: (isFull) => full.push(isFull),
  })
  onTestFinished(() => {
    appendNow()
    return batcher.drain(AbortSignal.abort())
  })
  const route = routeOfReading(batcher, { deviceId: moving, properties: new Map(), systemProperties: new Map() })
  const send = (body: string) =>
    new Promise<'settled' | 'refused'>((resolve) => {
      const owner: BatchOwner = {
        sentOver: 'mqtt',
        batch: undefined,
        batchIndex: 0,
        settled: () => resolve('settled'),
        refused: () => resolve('refused'),
      }
      batcher.tick()
      route.partition.write(route.frame, Buffer.from(body), 0, body.length, owner)
    })
  const grow = (count = 4): void => {
    spread.count = count
    batcher.spread(count)
  }
  return { batcher, store, full, send, grow, asked, appendNow }
}

/** Resolves once the next block is compressed and who waits for it knows. */
function nextCompressed({ compressor }: Batcher): Promise<void> {
  const compress = compressor.compress.bind(compressor)
  return new Promise((resolve) => {
    compressor.compress = (bytes, onCompressed) =>
      compress(bytes, (block) => {
        onCompressed(block)
        resolve()
      })
  })
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise(setImmediate)
}

test.each([
  ['before', 'acknowledged', 1, 'settled'],
  ['behind', 'refused', 0, 'refused'],
] as const)(
  'a batch that the log confirms after the partitions grew, %s the cut, is %s [G-1] [G-3]',
  async (_where, _told, cut, outcome) => {
    const { send, grow, asked, appendNow } = growing([cut, cut])
    const sent = send('x')
    await asked
    grow()
    appendNow()
    expect(await sent).toBe(outcome)
  },
)

test('what is open when the partitions grow is refused, and what follows goes where the device is now', async () => {
  const { store, send, grow } = growing([0, 0])
  const before = send('before')
  grow()
  const after = send('after')
  expect(await Promise.all([before, after])).toEqual(['refused', 'settled'])
  expect(store.partitions.map(({ records }) => records.length)).toEqual(
    store.partitions.map((_, partition) => (partition === away ? 1 : 0)),
  )
})

test('what comes behind waits until all that was under way is settled: an owner is told of its oldest messages [G-1]', async () => {
  const { batcher, send, grow, asked, appendNow } = growing([1, 1])
  const told: string[] = []
  const before = send('before').then((outcome) => told.push(`before ${outcome}`))
  await asked
  grow()
  const compressed = nextCompressed(batcher)
  const after = send('after').then((outcome) => told.push(`after ${outcome}`))
  await compressed
  // Nothing but the log is waited for.
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  expect(told).toEqual([])
  appendNow()
  await Promise.all([before, after])
  expect(told).toEqual(['before settled', 'after settled'])
})

test('what waits for those before one growth gives way to the next, and nobody waits for it for ever', async () => {
  const { batcher, send, grow, asked, appendNow } = growing([1, 1, 1, 1])
  const first = send('first')
  await asked
  grow()
  const compressed = nextCompressed(batcher)
  const second = send('second')
  await compressed
  grow(8)
  appendNow()
  expect(await Promise.all([first, second])).toEqual(['settled', 'refused'])
})

test('while devices wait sockets pause, also if it is full besides, and what was open is settled', async () => {
  const { batcher, full, send, appendNow } = growing([0, 0])
  appendNow()
  const sent = send('x')
  batcher.suspend()
  batcher.suspend()
  expect([batcher.full, full]).toEqual([true, [true]])
  expect(await sent).toBe('settled')
  await until(() => batcher.isIdle)
  batcher.resume()
  expect([batcher.full, full]).toEqual([false, [true, false]])
})
