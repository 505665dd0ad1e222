import { describe, expect, test } from 'vitest'
import { clipped, runsOf } from './periods.ts'

test('ranges are clipped, and joined where they touch', () => {
  const ranges = [
    { from: 50, to: 60 },
    { from: 0, to: 20 },
    { from: 20, to: 30 },
    { from: 90, to: Number.POSITIVE_INFINITY },
  ]
  expect(clipped(ranges, { from: 10, to: 100 })).toEqual([
    { from: 10, to: 30 },
    { from: 50, to: 60 },
    { from: 90, to: 100 },
  ])
  expect(clipped(ranges, { from: 30, to: 50 })).toEqual([])
})

describe('runs of periods that are due', () => {
  const found = new Map([0, 60, 120, 180, 240].map((start) => [start, 10]))
  const dueOf = (...starts: readonly number[]) => new Map(starts.map((start) => [start, 10]))
  const spans = (due: ReadonlyMap<number, number>, rowsMax: number, gapRowsMax: number) =>
    runsOf(found, due, 60, { rowsMax, gapRowsMax }).map(({ from, to, counts }) => [from, to, counts.length])

  test('have no more rows than may be, though a single period may', () => {
    expect(spans(dueOf(0, 60, 120), 20, 0)).toEqual([
      [0, 120, 2],
      [120, 180, 1],
    ])
    expect(spans(dueOf(60), 5, 0)).toEqual([[60, 120, 1]])
  })

  test('go over gaps of few rows, whose periods are not noted, and not over others', () => {
    expect(spans(dueOf(0, 120, 240), 1_000, 10)).toEqual([[0, 300, 3]])
    expect(spans(dueOf(0, 240), 1_000, 10)).toEqual([
      [0, 60, 1],
      [240, 300, 1],
    ])
  })
})
