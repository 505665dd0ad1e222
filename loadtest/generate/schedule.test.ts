import { expect, test } from 'vitest'
import type { RateSegment } from '#loadtest/options/load-options.ts'
import { RateSchedule, TurnOrder, zipfWeights } from './schedule.ts'

const shapes: Record<string, RateSegment[]> = {
  steady: [{ seconds: 10, from: 100, to: 100 }],
  ramp: [{ seconds: 10, from: 0, to: 200 }],
  'ramp down': [{ seconds: 4, from: 50, to: 0 }],
  spike: [
    { seconds: 3, from: 10, to: 10 },
    { seconds: 1, from: 500, to: 500 },
    { seconds: 3, from: 10, to: 10 },
  ],
  pause: [
    { seconds: 2, from: 30, to: 30 },
    { seconds: 2, from: 0, to: 0 },
    { seconds: 2, from: 30, to: 60 },
  ],
}

test.each(Object.entries(shapes))('%s: a message is due at its moment, and not before', (_, segments) => {
  const schedule = new RateSchedule(segments, 1)
  const total = Math.floor(schedule.total + 1e-6)
  let before = -1
  for (let number = 0; number < total; number++) {
    const atS = schedule.secondsOf(number)
    expect(atS).toBeGreaterThanOrEqual(before)
    expect(schedule.dueAt(atS)).toBeGreaterThanOrEqual(number + 1)
    if (number > 0 && atS > before) expect(schedule.dueAt((atS + before) / 2)).toBeLessThanOrEqual(number)
    before = atS
  }
  expect(schedule.dueAt(0)).toBe(1)
  expect(schedule.dueAt(schedule.seconds)).toBe(total)
  expect(schedule.dueAt(1e9)).toBe(total)
})

test('no message falls into a pause', () => {
  const schedule = new RateSchedule(shapes.pause as RateSegment[], 1)
  for (let number = 0; number < 60; number++) expect(schedule.secondsOf(number)).toBeLessThan(2)
  for (let number = 60; number < 150; number++) expect(schedule.secondsOf(number)).toBeGreaterThanOrEqual(4)
})

test('nothing is due in a pause before the first message', () => {
  const schedule = new RateSchedule(
    [
      { seconds: 3, from: 0, to: 0 },
      { seconds: 1, from: 10, to: 10 },
    ],
    1,
  )
  expect([0, 2.9, 3.01, 3.15, 9].map((atS) => schedule.dueAt(atS))).toEqual([0, 0, 1, 2, 10])
})

test('shares of several processes add up to the whole', () => {
  const parts = [0.5, 0.3, 0.2].map((factor) => new RateSchedule(shapes.spike as RateSegment[], factor))
  const whole = new RateSchedule(shapes.spike as RateSegment[], 1)
  for (const atS of [0.5, 3.2, 4, 6.9])
    expect(parts.reduce((sum, part) => sum + part.integralAt(atS), 0)).toBeCloseTo(whole.integralAt(atS), 6)
})

test.each([0, 0.8, 1.2])(
  'exponent %d: a turn belongs to one device, and the device knows which of its turns it is',
  (exponent) => {
    const ranks = Array.from({ length: 37 }, (_, rank) => rank)
    const order = new TurnOrder(37, exponent === 0 ? undefined : zipfWeights(ranks, exponent))
    const turnsOf = new Map<number, number>()
    for (let turn = 0; turn < 2_000; turn++) {
      const device = order.deviceOf(turn)
      const k = turnsOf.get(device) ?? 0
      expect(order.turnOf(device, k)).toBe(turn)
      turnsOf.set(device, k + 1)
    }
    expect(turnsOf.size).toBe(37)
    const [hot = 0, cold = 0] = [turnsOf.get(0), turnsOf.get(36)]
    if (exponent === 0) expect(hot - cold).toBeLessThanOrEqual(1)
    else expect(hot).toBeGreaterThan(5 * cold)
  },
)

test('the hot device is hot all the time, not in one block', () => {
  const order = new TurnOrder(
    20,
    zipfWeights(
      Array.from({ length: 20 }, (_, rank) => rank),
      1,
    ),
  )
  let longest = 0
  for (let turn = 0, last = 0; turn < 1_000; turn++) {
    if (order.deviceOf(turn) !== 0) continue
    longest = Math.max(longest, turn - last)
    last = turn
  }
  expect(longest).toBeLessThanOrEqual(8)
})
