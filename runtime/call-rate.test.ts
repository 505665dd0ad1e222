import { expect, test } from 'vitest'
import { CallRate } from './call-rate.ts'
import { virtualClock } from './virtual-clock.ts'

test('a caller has so many calls at once, and then so many a minute; others have their own', () => {
  const clock = virtualClock()
  const rate = new CallRate(20, clock)
  const pass = (ms: number): void => {
    clock.after(ms, () => {})
    clock.step()
  }
  const taken = (caller: string, calls: number): number =>
    Array.from({ length: calls }, () => rate.take(caller)).filter((waitMs) => waitMs === 0).length
  expect(taken('one', 30)).toBe(20)
  expect(rate.take('one')).toBe(3_000)
  expect(taken('other', 1)).toBe(1)
  pass(2_999)
  expect(rate.take('one')).toBe(1)
  pass(1)
  expect(taken('one', 5)).toBe(1)
  pass(3_600_000)
  expect(taken('one', 30), 'an hour of rest gives a minute of calls').toBe(20)
})
