import { expect, test } from 'vitest'
import { Pace } from './pace.ts'
import { virtualClock } from './virtual-clock.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const never = new AbortController().signal

test('so much begins in a second, whoever begins it and however many at a time', async () => {
  const clock = virtualClock()
  const pace = new Pace(50, clock)
  expect([pace.atOnce, new Pace(1, clock).atOnce]).toEqual([5, 1])
  let begun = 0
  const begin = async (): Promise<void> => {
    for (let count = 0; count < 10; count++) {
      await pace.ready(never)
      pace.charge(pace.atOnce)
      begun += pace.atOnce
    }
  }
  const beginning = Promise.all([begin(), begin()])
  for (let isOver = false; !isOver; await turn()) {
    isOver = begun === 100
    // One that was ready at the same moment as another begins too.
    expect(begun).toBeLessThanOrEqual((clock.monotonicMs() / 1_000) * 50 + 2 * pace.atOnce)
    clock.step()
  }
  await beginning
  expect(clock.monotonicMs()).toBeGreaterThanOrEqual(1_700)
})

test('time in which nothing began is not made up for', async () => {
  const clock = virtualClock()
  const pace = new Pace(1, clock)
  clock.after(60_000, () => {})
  clock.step()
  await pace.ready(never)
  pace.charge(2)
  let isReady = false
  void pace.ready(never).then(() => {
    isReady = true
  })
  await turn()
  expect(isReady).toBe(false)
  clock.step()
  await turn()
  expect([isReady, clock.monotonicMs()]).toEqual([true, 62_000])
})

test('nobody waits any more once it is over', async () => {
  const clock = virtualClock()
  const pace = new Pace(1, clock)
  pace.charge(1_000)
  const over = new AbortController()
  const waiting = pace.ready(over.signal)
  over.abort()
  await waiting
  expect(clock.monotonicMs()).toBe(0)
})
