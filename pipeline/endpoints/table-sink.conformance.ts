/** What every table sink holds, whichever kind it is; run from a test file of each kind, against its real server. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sleep, systemClock } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { RowGroup } from './delivery-range.ts'
import { partAt, rangeAt, type TestMessage, tokenAt } from './selected-fixture.ts'
import type { SelectedRange } from './selected-range.ts'
import type { TableSink } from './table-sink.ts'

/** One kind under test. */
export interface TableSinkSubject {
  /** Prepares what all tests share, e.g. a server. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Removes everything that is stored. */
  clear(): Promise<void>
  /** Opens a sink anew, as another process would. */
  open(): Promise<TableSink>
  /** What is stored, by the server's own content and not by the sink: partition by partition, in the order of positions. */
  contents(): Promise<readonly TestMessage[]>
  /** A body that the destination refuses; `undefined` if it takes any. May change the server for the rest of a test. */
  badBody: (() => Promise<string>) | undefined
  /** Takes the server away; the result brings it back. */
  away(): Promise<() => Promise<void>>
  /** Opens a sink that the server lets nothing in from; the result's second undoes that. */
  openWithoutRight: (() => Promise<{ readonly sink: TableSink; readonly mend: () => Promise<void> }>) | undefined
  /** True if tokens are remembered for ever, so that an insert may be as late as it likes. */
  readonly remembersForEver: boolean
}

const rounds = 12

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

export function tableSinkConformance(name: string, subject: TableSinkSubject): void {
  describe(`table sink conformance: ${name}`, () => {
    let sinks: TableSink[] = []

    beforeAll(() => subject.start())
    afterAll(() => subject.stop())
    beforeEach(() => subject.clear())
    afterEach(async () => {
      await Promise.all(sinks.map((sink) => sink.close()))
      sinks = []
    })

    const open = async (): Promise<TableSink> => {
      const sink = await subject.open()
      sinks.push(sink)
      return sink
    }
    const later = () => systemClock.monotonicMs() + limits.insertBeginMsMax
    const insert = (sink: TableSink, selected: SelectedRange) => sink.insert(selected, tokenAt(selected), later())
    const isStored = async (sink: TableSink, { range }: SelectedRange) =>
      (await sink.stored(range)) > (range.part?.storedBefore ?? 0)
    const bodies = async () => (await subject.contents()).map(({ body }) => body)
    /** What the worker does with a range of unknown outcome, until it is stored. */
    const settle = async (sink: TableSink, selected: SelectedRange): Promise<void> => {
      if (!(await isStored(sink, selected))) await insert(sink, selected)
      expect(await isStored(sink, selected)).toBe(true)
    }

    it('stores a range wholly, with every byte and in order, and says so', async () => {
      const sink = await open()
      const selected = rangeAt(5, [['{"n":1}', 'two\r\n\0'], ['{"é":"😀"}']])
      expect(await isStored(sink, selected)).toBe(false)
      await insert(sink, selected)
      expect(await isStored(sink, selected)).toBe(true)
      expect(await subject.contents()).toEqual([
        { deviceId: 'device-0', body: '{"n":1}' },
        { deviceId: 'device-1', body: 'two\r\n\0' },
        { deviceId: 'device-0', body: '{"é":"😀"}' },
      ])
    })

    it('stores a range once, however often and by whomever it is repeated [G-2]', async () => {
      const one = await open()
      const other = await open()
      const selected = rangeAt(0, [['a', 'b']])
      await insert(one, selected)
      await insert(one, selected)
      await insert(other, selected)
      expect(await bodies()).toEqual(['a', 'b'])
    })

    it('stores a range once though two insert it at the same moment [G-2]', async () => {
      const one = await open()
      const other = await open()
      for (let round = 0; round < rounds; round++) {
        const selected = rangeAt(round, [[`${round}`]])
        const results = await Promise.allSettled([insert(one, selected), insert(other, selected)])
        for (const result of results)
          if (result.status === 'rejected') expect(isPenstockError(result.reason), String(result.reason)).toBe(true)
        await settle(one, selected)
      }
      expect(await bodies()).toEqual(Array.from({ length: rounds }, (_, round) => `${round}`))
    })

    it('loses and doubles nothing whenever an insert is cut off, and another goes on [G-2]', async () => {
      const expected: string[] = []
      for (let round = 0; round < rounds; round++) {
        const selected = rangeAt(round, [Array.from({ length: 20 }, (_, index) => `${round}/${index}`)])
        for (let index = 0; index < 20; index++) expected.push(`${round}/${index}`)
        const cut = await open()
        const inserting = insert(cut, selected).catch((error: unknown) => {
          expect(isPenstockError(error), String(error)).toBe(true)
        })
        await sleep(systemClock, round)
        await cut.close()
        await settle(await open(), selected)
        await inserting
      }
      expect(await bodies()).toEqual(expected)
    })

    it('tells ranges apart by partition and position', async () => {
      const sink = await open()
      await insert(sink, rangeAt(7, [['a']]))
      for (const other of [rangeAt(8, [['b']]), rangeAt(7, [['c']], 1), rangeAt(6, [['d']])])
        expect(await isStored(sink, other)).toBe(false)
      await insert(sink, rangeAt(8, [['b']]))
      await insert(sink, rangeAt(7, [['c']], 1))
      expect(await bodies()).toEqual(['a', 'b', 'c'])
    })

    it('stores a batch in parts, each of them once', async () => {
      const sink = await open()
      const batch = ['a', 'b', 'c', 'd']
      for (const [from, length] of [[0, 2] as const, [2, 1] as const, [3, 1] as const]) {
        const part = partAt(3, batch, from, length)
        expect(await isStored(sink, part), `part from ${from}`).toBe(false)
        await insert(sink, part)
        await insert(await open(), part)
        expect(await isStored(sink, part), `part from ${from}`).toBe(true)
      }
      expect(await bodies()).toEqual(batch)
    })

    it('knows what lies under its newest position', async () => {
      const sink = await open()
      expect(await sink.newest(0, 100, 0)).toBeUndefined()
      await insert(sink, rangeAt(3, [['a'], ['b', 'c']]))
      await insert(sink, rangeAt(5, [['d'], ['e']]))
      await insert(sink, rangeAt(9, [['f']], 1))
      // It counts them, or names the last offset.
      const endOf = (found: RowGroup | undefined) => found?.last ?? (found?.rowCount === 2 ? 6 : undefined)
      const newest = await sink.newest(0, 100, 0)
      expect({ offset: newest?.offset, last: endOf(newest) }).toEqual({ offset: 5, last: 6 })
      const before = await sink.newest(0, 5, 0)
      expect({ offset: before?.offset, end: before?.last ?? before?.rowCount }).toEqual({
        offset: 3,
        end: before?.last === undefined ? 3 : 4,
      })
      expect(await sink.newest(0, 3, 0)).toBeUndefined()
      expect(await sink.newest(0, 100, Date.UTC(2026, 0, 3))).toBeUndefined()
    })

    it('tells what it holds, position by position, if it can be asked', async () => {
      const sink = await open()
      if (!sink.held) return
      await insert(sink, rangeAt(3, [['a'], ['b', 'c']]))
      await insert(sink, partAt(7, ['d', 'e', 'f'], 0, 2))
      await insert(sink, partAt(7, ['d', 'e', 'f'], 2, 1))
      await insert(sink, rangeAt(9, [['g']], 1))
      const held = await all(sink.held(0, 0, 100))
      expect([...new Set(held.map(({ offset }) => offset))]).toEqual([3, 7])
      expect([4, undefined]).toContain(held[0]?.last)
      const counts = new Map<number, number>()
      for (const { offset, messageCount } of held)
        if (messageCount !== undefined) counts.set(offset, (counts.get(offset) ?? 0) + messageCount)
      if (counts.size > 0)
        expect([...counts]).toEqual([
          [3, 3],
          [7, 3],
        ])
      expect((await all(sink.held(0, 4, 7))).length).toBe(0)
    })

    it('takes many messages at once', async () => {
      const sink = await open()
      const many = Array.from({ length: 10_000 }, (_, index) => `${index} ${'x'.repeat(50)}`)
      await insert(sink, rangeAt(0, [many]))
      expect(await bodies()).toEqual(many)
    })

    it('an insert that is too late is not begun, or is no second one', async () => {
      const sink = await open()
      const selected = rangeAt(0, [['a']])
      const late = sink.insert(selected, tokenAt(selected), systemClock.monotonicMs() - 10_000)
      if (subject.remembersForEver) await late.catch(() => {})
      else {
        await expect(late).rejects.toMatchObject({ disposition: 'retry' })
        expect(await isStored(sink, selected)).toBe(false)
      }
      await settle(sink, selected)
      expect(await bodies()).toEqual(['a'])
    })

    it('a server that is away makes everything a `retry`; once it is back delivery goes on', async () => {
      const sink = await open()
      const selected = rangeAt(0, [['a']])
      const back = await subject.away()
      try {
        await expect(insert(sink, selected)).rejects.toMatchObject({ disposition: 'retry' })
        await expect(sink.stored(selected.range)).rejects.toMatchObject({ disposition: 'retry' })
      } finally {
        await back()
      }
      await expect
        .poll(
          () =>
            settle(sink, selected).then(
              () => true,
              () => false,
            ),
          { timeout: 30_000 },
        )
        .toBe(true)
      expect(await bodies()).toEqual(['a'])
    })

    const { openWithoutRight, badBody } = subject

    if (openWithoutRight)
      it('a missing right holds: no range is refused for it', async () => {
        const { sink, mend } = await openWithoutRight()
        sinks.push(sink)
        const selected = rangeAt(0, [['a']])
        const fault: unknown = await insert(sink, selected).catch((error: unknown) => error)
        // A sink that can't tell answers the question that the worker asks before it gives anything up.
        const isHeld = isPenstockError(fault) && fault.disposition === 'retry'
        expect(isHeld || !(await sink.accepts()), String(fault)).toBe(true)
        await mend()
        await expect
          .poll(
            () =>
              settle(sink, selected).then(
                () => true,
                () => false,
              ),
            { timeout: 30_000 },
          )
          .toBe(true)
        expect(await bodies()).toEqual(['a'])
      })

    if (badBody)
      it('refuses a range for one message, stores nothing of it, and takes others [G-5]', async () => {
        const sink = await open()
        const bad = await badBody()
        await expect(insert(sink, rangeAt(0, [['a', bad, 'b']]))).rejects.toMatchObject({ disposition: 'reject' })
        expect(await isStored(sink, rangeAt(0, [['a', bad, 'b']]))).toBe(false)
        expect(await sink.accepts()).toBe(true)
        await insert(sink, partAt(0, ['a', bad, 'b'], 0, 1))
        await expect(insert(sink, partAt(0, ['a', bad, 'b'], 1, 1))).rejects.toMatchObject({ disposition: 'reject' })
        expect(await bodies()).toEqual(['a'])
      })
  })
}
