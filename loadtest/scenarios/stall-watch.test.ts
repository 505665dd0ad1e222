import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { StallWatch } from './stall-watch.ts'

test('the longest time in which a partition got no newer row is told once; one that never gets any does not count', async () => {
  const clock = virtualClock(1_000_000)
  const newest = new Map([
    [0, 1],
    [1, 1],
    [2, 1],
  ])
  let isAway = false
  const newestSince = async () => {
    if (isAway) throw new Error('away')
    return new Map(newest)
  }
  const watch = new StallWatch({ newestSince }, clock)
  const look = async (times = 1) => {
    for (let time = 0; time < times; time++) {
      await setImmediate()
      clock.step()
    }
    await setImmediate()
  }
  await look()
  newest.set(0, 2)
  await look()
  expect(watch.takeLongest()).toBeCloseTo(0.1)
  await look(3)
  isAway = true
  await look(2)
  isAway = false
  newest.set(0, 3).set(1, 2)
  await look()
  expect(watch.takeLongest()).toBeCloseTo(0.4)
  expect(watch.takeLongest()).toBe(0)
  const stopped = watch.stop()
  await look()
  await stopped
})
