import { expect, test } from 'vitest'
import { sleep } from './clock.ts'
import { virtualClock } from './virtual-clock.ts'

test('actions run in the order of their moments, and of one moment in the order asked for', () => {
  const clock = virtualClock(1_000)
  const ran: string[] = []
  const delays = [5, 1, 9, 1, 7, 0, 3, 3, 8, 2, 6, 4]
  for (const [index, delay] of delays.entries()) clock.after(delay, () => ran.push(`${delay}.${index}`))
  const expected = delays
    .map((delay, index) => ({ delay, index }))
    .sort((a, b) => a.delay - b.delay || a.index - b.index)
  while (clock.step());
  expect(ran).toEqual(expected.map(({ delay, index }) => `${delay}.${index}`))
  expect(clock.nowMs()).toBe(1_009)
  expect(clock.monotonicMs()).toBe(9)
})

test('a cancelled action never runs, and what waits beyond the bound stays', () => {
  const clock = virtualClock()
  const ran: number[] = []
  clock.after(1, () => ran.push(1))()
  clock.after(2, () => ran.push(2))
  clock.after(20, () => ran.push(20))
  expect(clock.step(10)).toBe(true)
  expect(clock.step(10)).toBe(false)
  expect(clock.nowMs()).toBe(2)
  expect(clock.step()).toBe(true)
  expect(ran).toEqual([2, 20])
})

test('a sleep ends at its moment or at once when aborted', async () => {
  const clock = virtualClock()
  const abort = new AbortController()
  const long = sleep(clock, 1_000_000, abort.signal)
  const short = sleep(clock, 5)
  clock.step()
  await short
  abort.abort()
  await long
  expect(clock.nowMs()).toBe(5)
})
