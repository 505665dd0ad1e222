import { describe, expect, test } from 'vitest'
import { type Moment, momentAt, pathOf, scaleOf, timeTicksOf } from './chart-scale.ts'

const frame = { width: 636, top: 0, bottom: 100, valueText: String }
const line = (...points: Moment[]) => [{ points }]

const ticksBetween = (from: number, to: number, isDuration = false): number[] =>
  scaleOf(line([0, from], [1, to]), { ...frame, isFromZero: false, isDuration }).valueTicks.map(([value]) => value)

describe('a scale', () => {
  test('begins at nothing, ends at a round value, and spans the points', () => {
    const scale = scaleOf(line([1_000, 3], [2_000, 17]), frame)
    expect([scale.valueFrom, scale.valueTo]).toEqual([0, 20])
    expect([scale.xOf(1_000), scale.xOf(2_000), scale.yOf(0), scale.yOf(20)]).toEqual([36, 636, 100, 0])
    expect(scale.timeAt(336)).toBe(1_500)
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
      expect(scale.valueTicks.length).toBeLessThan(12)
    }
  })
})

test('ticks are round, of values and of time', () => {
  expect(ticksBetween(0, 1)).toEqual([0, 0.5, 1])
  expect(ticksBetween(0, 0.3)).toEqual([0, 0.1, 0.2, 0.3])
  expect(ticksBetween(-20, 20)).toEqual([-20, -10, 0, 10, 20])
  expect(ticksBetween(1_234_567_890_120, 1_234_567_890_124)).toHaveLength(5)
  expect(timeTicksOf(0, 3_600_000, 6).map(([ms]) => ms / 60_000)).toEqual([0, 10, 20, 30, 40, 50, 60])
})

test('an axis of durations has the steps of a clock', () => {
  expect(ticksBetween(0, 170_000, true)).toEqual([0, 60_000, 120_000, 180_000])
  expect(ticksBetween(0, 800, true)).toEqual([0, 200, 400, 600, 800])
})

test.each([
  ['an hour', 3_600_000],
  ['three days', 3 * 86_400_000],
  ['a year', 365 * 86_400_000],
  ['forty years', 40 * 365 * 86_400_000],
])('%s has a few ticks, and no two beside each other read the same', (_, spanMs) => {
  const fromMs = new Date(2026, 0, 31, 7).getTime()
  const texts = timeTicksOf(fromMs, fromMs + spanMs, 6).map(([, text]) => text)
  expect(texts.length).toBeGreaterThan(1)
  expect(texts.length).toBeLessThan(8)
  expect(texts.filter((text, index) => text === texts[index + 1])).toEqual([])
})

test('where a day begins its date is written', () => {
  const noon = new Date(2026, 0, 31, 12).getTime()
  expect(timeTicksOf(noon, noon + 86_400_000, 2).map(([, text]) => text)).toEqual(['12:00', '2026-02-01', '12:00'])
})

test('there is room for what is written on the axis, and values that are near to each other are told apart', () => {
  const scale = scaleOf(line([0, 12_345_671], [1, 12_345_674]), {
    ...frame,
    isFromZero: false,
    valueText: () => '12.3M',
  })
  expect(scale.valueTicks.map(([, text]) => text)).toEqual(['12,345,671', '12,345,672', '12,345,673', '12,345,674'])
  expect(scale.left).toBeGreaterThan(70)
})

test('values that are all the same lie in the middle', () => {
  const scale = scaleOf(line([0, 21.5], [1, 21.5]), { ...frame, isFromZero: false })
  expect(Math.abs(scale.yOf(21.5) - 50)).toBeLessThan(15)
})

test('the axis ends at ticks, above and below', () => {
  const { valueTicks, valueFrom, valueTo } = scaleOf(line([0, 1_394], [1, 1_577]), { ...frame, isFromZero: false })
  expect([valueFrom, valueTo]).toEqual([1_350, 1_600])
  expect(valueTicks.map(([value]) => value)).toEqual([1_350, 1_400, 1_450, 1_500, 1_550, 1_600])
})

test('a point alone is drawn', () => {
  const series = line([5, 7])
  const scale = scaleOf(series, frame)
  expect(pathOf(series[0]?.points ?? [], scale).line).toBe(`M${(36 + 300).toFixed(1)} ${scale.yOf(7).toFixed(1)}h0`)
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
