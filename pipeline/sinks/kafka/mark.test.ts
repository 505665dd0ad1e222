import { expect, it } from 'vitest'
import { partAt, rangeAt } from '#pipeline/endpoints/selected-fixture.ts'
import { bytesOfMark, emptyMark, holds, isPassed, type Mark, markFromBytes, newestBelow, withStored } from './mark.ts'

const at = (first: number, batches = 1) =>
  rangeAt(
    first,
    Array.from({ length: batches }, () => ['x', 'y']),
  ).range
const part = (offset: number, from: number, length: number) => partAt(offset, ['a', 'b', 'c', 'd'], from, length).range
const stored = (...ranges: readonly ReturnType<typeof at>[]): Mark =>
  ranges.reduce((mark, range) => withStored(mark, range), emptyMark)

it('holds what was stored, and what lies within it; neither what comes after nor what lies before', () => {
  const mark = stored(at(5, 3), at(9))
  for (const range of [at(5, 3), at(6), at(7), at(9), part(9, 1, 2)]) expect(holds(mark, range)).toBe(true)
  for (const range of [at(4), at(8), at(7, 2), at(10), part(10, 0, 1)]) expect(holds(mark, range)).toBe(false)
})

it('has passed what lies before its newest range or across it', () => {
  const mark = stored(at(5, 3), at(9, 2))
  for (const range of [at(4), at(8), at(8, 2), at(10, 3), part(8, 0, 1)]) expect(isPassed(mark, range)).toBe(true)
  for (const range of [at(11), at(100), part(11, 0, 1)]) expect(isPassed(mark, range)).toBe(false)
  expect(isPassed(emptyMark, at(0))).toBe(false)
})

it('follows a batch in parts', () => {
  let mark = stored(at(2), part(3, 0, 2))
  expect(holds(mark, part(3, 0, 2))).toBe(true)
  expect(holds(mark, part(3, 1, 1))).toBe(true)
  for (const range of [part(3, 2, 1), part(3, 0, 3), at(3)]) expect(holds(mark, range)).toBe(false)
  expect(isPassed(mark, part(3, 2, 1))).toBe(false)
  expect(isPassed(mark, part(3, 1, 2))).toBe(true)
  // Its third message was refused.
  mark = withStored(mark, part(3, 3, 1))
  expect(newestBelow(mark, 100, 0)).toMatchObject({ offset: 3, rowCount: 3 })
  expect(newestBelow(mark, 100, 0)).not.toHaveProperty('last')
  expect(newestBelow(mark, 3, 0)).toMatchObject({ offset: 2, rowCount: 2, last: 2 })
})

it('a log that was made anew begins again at 0, with messages newer than any that was stored', () => {
  const mark = stored(at(0), at(100, 5))
  const minuteMs = 60_000
  const { enqueuedAtMsFirst, enqueuedAtMsLast } = at(0)
  const anew = {
    ...at(0),
    enqueuedAtMsFirst: enqueuedAtMsFirst + minuteMs,
    enqueuedAtMsLast: enqueuedAtMsLast + minuteMs,
  }
  expect(holds(mark, anew)).toBe(false)
  expect(isPassed(mark, anew)).toBe(false)
  const next = withStored(mark, anew)
  expect(next.ranges).toHaveLength(1)
  expect(holds(next, anew)).toBe(true)
})

it('a worker that is late stores nothing, though its messages are newer than those of the ranges that are remembered', () => {
  // By a clock that is ahead.
  const ahead = { ...at(0), enqueuedAtMsLast: at(0).enqueuedAtMsLast + 3_600_000 }
  const later = Array.from({ length: 20 }, (_, index) => at(index + 1))
  expect(isPassed(stored(ahead, ...later), ahead)).toBe(true)
})

it('is not written of a range that lies before what it says, or ends before it begins', () => {
  expect(() => withStored(stored(at(5, 3), at(9)), at(6))).toThrow('a range from 6 on is stored behind 9')
  expect(() => withStored(emptyMark, { ...at(5), last: 4 })).toThrow('a range ends at its end')
})

it('stays small, and comes back from its bytes', () => {
  const mark = stored(...Array.from({ length: 100 }, (_, index) => at(index)), part(100, 0, 2))
  const bytes = bytesOfMark(mark)
  expect(bytes.length).toBeLessThan(2_000)
  expect(markFromBytes(bytes)).toEqual(mark)
})

it.each([
  '',
  '{',
  'null',
  '[]',
  '{"v":2,"latestMs":0,"ranges":[]}',
  '{"v":1,"latestMs":0,"ranges":[{"first":-1}]}',
  '{"v":1,"latestMs":2,"ranges":[{"first":7,"last":6,"messages":1,"fromMs":1,"toMs":2}]}',
])('takes %s for no mark', (text) => expect(markFromBytes(Buffer.from(text))).toBeUndefined())
