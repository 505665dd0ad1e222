import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { RowGroup } from '#pipeline/endpoints/delivery-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Assignment, BatchStamp, LogRecord } from '#pipeline/log/log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type FoundPosition, searchPosition } from './position-search.ts'

const insertBeginMsMax = 2_000
const insertMsMax = 3_000

/** A partition whose batch at offset n was written at n * 10 and holds two messages; no one has a position in it. */
class Partition {
  readonly records: LogRecord[] = []
  first = 0
  readonly rows: { readonly offset: number; readonly atMs: number }[] = []
  readonly letters = new Map<number, number>()
  readonly clock = virtualClock()
  readonly ended = new AbortController()
  /** Reads that are answered with nothing, as Kafka does where none came in time. */
  emptyReads = 0
  failures = 0

  append(stamp: Partial<BatchStamp> = {}): void {
    const offset = this.records.length
    const times = { enqueuedAtMsFirst: offset * 10, enqueuedAtMsLast: offset * 10 + 5 }
    const whole = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence: offset, messageCount: 2, ...times, ...stamp }
    this.records.push({ offset, stamp: whole, value: new Uint8Array() })
  }

  retainFrom(first: number): void {
    this.first = first
  }

  /** Rows of the batches `first` to `last`, under `first`, as one insert stores them. */
  store(first: number, last: number): void {
    for (let offset = first; offset <= last; offset++)
      for (const atMs of [offset * 10, offset * 10 + 5]) this.rows.push({ offset: first, atMs })
  }

  async newest(end: number, sinceMs: number): Promise<RowGroup | undefined> {
    if (this.failures-- > 0) throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'down')
    const mine = this.rows.filter(({ offset, atMs }) => offset < end && atMs >= sinceMs)
    if (mine.length === 0) return undefined
    const offset = Math.max(...mine.map((row) => row.offset))
    const times = mine.filter((row) => row.offset === offset).map(({ atMs }) => atMs)
    return {
      offset,
      rowCount: times.length,
      enqueuedAtMsFirst: Math.min(...times),
      enqueuedAtMsLast: Math.max(...times),
    }
  }

  /** @param onWait called at each moment of waiting */
  async search(onWait: () => void = () => {}): Promise<FoundPosition | undefined> {
    const assignment: Assignment = {
      partition: 0,
      generation: 1,
      position: undefined,
      revoked: this.ended.signal,
      read: async (offset) => {
        if (this.emptyReads-- > 0) return []
        return this.records.filter((record) => record.offset >= offset).slice(0, 3)
      },
      commit: async () => {},
    }
    const searching = searchPosition({
      topic: 't',
      group: 'g',
      assignment,
      logId: async () => 'log',
      range: async () => ({ first: this.first, next: this.records.length }),
      sink: { insertMsMax, newest: (_, end, sinceMs) => this.newest(end, sinceMs) } as TableSink,
      deadLetters: { put: async () => {}, lettered: async () => this.letters },
      clock: this.clock,
      logger: silentLogger,
      insertBeginMsMax,
      readBytesMax: 1_000,
      ended: this.ended.signal,
      skipSteps: new Set(),
      onWait: () => {},
    })
    const done = searching.then(
      () => true,
      () => true,
    )
    while (!(await Promise.race([done, setImmediate(false)]))) if (this.clock.step()) onWait()
    return await searching
  }
}

function partitionOf(count: number): Partition {
  const partition = new Partition()
  for (let index = 0; index < count; index++) partition.append()
  return partition
}

describe('without a position', () => {
  test('a group that never delivered begins at the oldest batch, and waits for nothing', async () => {
    const partition = partitionOf(10)
    partition.retainFrom(3)
    expect(await partition.search()).toMatchObject({ offset: 3, fromRows: false })
    expect(partition.clock.nowMs()).toBe(0)
  })

  test('delivery goes on behind the batch with which the newest rows add up [G-2]', async () => {
    const partition = partitionOf(10)
    partition.store(0, 3)
    partition.store(4, 6)
    partition.emptyReads = 2
    partition.failures = 1
    const found = await partition.search()
    expect(found).toMatchObject({ offset: 7, fromRows: true })
    const known = partition.records.map(({ stamp }) => found?.delivered.has(stamp))
    expect(known).toEqual([true, true, true, true, true, true, true, false, false, false])
  })

  test('an insert that lands while the search waits counts [G-2]', async () => {
    const partition = partitionOf(10)
    partition.store(0, 3)
    let stored = false
    const found = await partition.search(() => {
      if (!stored && partition.clock.nowMs() >= insertBeginMsMax + insertMsMax) partition.store(4, 8)
      stored ||= partition.clock.nowMs() >= insertBeginMsMax + insertMsMax
    })
    expect(found).toMatchObject({ offset: 9 })
  })

  test('a batch that an edge appended twice does not count twice', async () => {
    const partition = partitionOf(2)
    partition.append({ ...partition.records[0]!.stamp })
    partition.append()
    partition.append()
    partition.store(0, 0)
    for (const atMs of [10, 15, 30, 35]) partition.rows.push({ offset: 1, atMs })
    expect(await partition.search()).toMatchObject({ offset: 4 })
  })

  test('rows that an older log left under these positions are not taken for this one', async () => {
    const partition = new Partition()
    for (let index = 0; index < 5; index++)
      partition.append({ enqueuedAtMsFirst: 9_000 + index, enqueuedAtMsLast: 9_000 + index })
    partition.store(0, 2)
    partition.store(3, 40)
    expect(await partition.search()).toMatchObject({ offset: 0, fromRows: false })
    expect(partition.clock.nowMs()).toBe(0)
    // Two batches of its own, one row of each message, among them.
    for (const atMs of [9_000, 9_000, 9_001, 9_001]) partition.rows.push({ offset: 0, atMs })
    expect(await partition.search()).toMatchObject({ offset: 2, fromRows: true })
  })

  test('what became letters is settled: beside the newest rows and behind them [G-5]', async () => {
    const partition = partitionOf(8)
    partition.store(0, 2)
    partition.rows.push({ offset: 3, atMs: 30 })
    partition.letters.set(3, 1).set(4, 2)
    const found = await partition.search()
    expect(found).toMatchObject({ offset: 5 })
    expect(partition.records.map(({ stamp }) => found?.delivered.has(stamp)).slice(2, 6)).toEqual([
      true,
      false,
      false,
      false,
    ])
  })

  test.each<[string, (partition: Partition) => void]>([
    ['a batch of which only a part is rows', (partition) => partition.rows.push({ offset: 3, atMs: 30 })],
    ['rows that are too many', (partition) => partition.rows.push({ offset: 0, atMs: 25 })],
    ['rows of another time', (partition) => partition.rows.push({ offset: 3, atMs: 39 }, { offset: 3, atMs: 30 })],
    ['a batch of which only a part is letters', (partition) => void partition.letters.set(3, 1)],
    ['letters behind batches of which nothing is known', (partition) => void partition.letters.set(5, 2)],
    ['rows that begin before the oldest batch that is kept', (partition) => partition.retainFrom(2)],
  ])('%s proves no position: the worker ends, and says how one is set', async (_, change) => {
    const partition = partitionOf(8)
    partition.store(0, 2)
    change(partition)
    await expect(partition.search()).rejects.toMatchObject({
      code: 'LOG_POSITION_UNKNOWN',
      message: expect.stringContaining('--group g --topic t:0 --reset-offsets'),
    })
  })

  test('a task that ends meanwhile finds nothing', async () => {
    const partition = partitionOf(8)
    partition.store(0, 2)
    expect(await partition.search(() => partition.ended.abort())).toBeUndefined()
    expect(await partition.search()).toBeUndefined()
  })
})
