import { describe, expect, test } from 'vitest'
import { type Moment, momentAt, pathOf, scaleOf, ticksOf, timeTicksOf } from './chart-scale.ts'

const frame = { left: 50, width: 650, top: 0, bottom: 100 }
const line = (...points: Moment[]) => [{ points }]

describe('a scale', () => {
  test('begins at nothing, ends at a round value, and spans the points', () => {
    const scale = scaleOf(line([1_000, 3], [2_000, 17]), frame)
    expect([scale.valueFrom, scale.valueTo]).toEqual([0, 20])
    expect([scale.xOf(1_000), scale.xOf(2_000), scale.yOf(0), scale.yOf(20)]).toEqual([50, 650, 100, 0])
    expect(scale.timeAt(350)).toBe(1_500)
  })

  test('begins where the values do if it is to', () => {
    const scale = scaleOf(line([0, 21], [1, 23]), { ...frame, isFromZero: false })
    expect([scale.valueFrom, scale.valueTo]).toEqual([21, 23])
  })

  test.each([
    ['nothing', line()],
    ['one point', line([5, 7])],
    ['only gaps', line([0, undefined], [1, undefined])],
    ['values that are all the same', line([0, 7], [1, 7])],
  ])('is one also of %s', (_, series) => {
    for (const isFromZero of [true, false]) {
      const scale = scaleOf(series, { ...frame, isFromZero })
      expect(scale.valueTo).toBeGreaterThan(scale.valueFrom)
      expect(Number.isFinite(scale.xOf(scale.fromMs))).toBe(true)
      expect(ticksOf(scale.valueFrom, scale.valueTo, 4).length).toBeLessThan(12)
    }
  })
})

test('ticks are round, of values and of time', () => {
  expect(ticksOf(0, 1, 4)).toEqual([0, 0.5, 1])
  expect(ticksOf(-20, 20, 4)).toEqual([-20, -10, 0, 10, 20])
  expect(timeTicksOf(0, 3_600_000, 6).map(([ms]) => ms / 60_000)).toEqual([0, 10, 20, 30, 40, 50, 60])
})

test('a gap breaks the line, and a line with a gap is not filled', () => {
  const points: Moment[] = [
    [0, 1],
    [1, undefined],
    [2, 1],
  ]
  const { line: path, isWhole } = pathOf(points, scaleOf([{ points }], frame))
  expect(path.match(/M/g)).toHaveLength(2)
  expect(isWhole).toBe(false)
})

test('the nearest moment is found', () => {
  expect(
    momentAt(
      [
        [0, 1],
        [10, 2],
      ],
      6,
    ),
  ).toEqual([10, 2])
  expect(momentAt([], 6)).toBeUndefined()
})
