import { expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { untilEarlierDelivered } from './earlier-delivered.ts'

/** Partition 11 of a log that grew from 2 to 4 and then to 12: its devices were in 3, and in 1 before. */
async function isBegun(positions: readonly number[], cutOf3: number): Promise<boolean> {
  const ended = new AbortController()
  const clock = virtualClock(0)
  let hasBegun = false
  const begun = untilEarlierDelivered({
    log: {
      positions: async () => positions.map((offset) => ({ offset, metadata: '' })),
      ranges: async () => Array.from({ length: 12 }, () => ({ first: 0, next: 9 })),
    },
    spread: {
      look: async () => {},
      count: 12,
      growths: [
        { from: 2, to: 4, cuts: [5, 5] },
        { from: 4, to: 12, cuts: [5, 6, 0, cutOf3] },
      ],
    },
    group: 'group',
    partition: 11,
    clock,
    ended: ended.signal,
  }).then(() => {
    hasBegun = !ended.signal.aborted
  })
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
  ended.abort()
  await begun
  return hasBegun
}

test('a partition waits also for where its devices were before they sent nothing between two growths [G-3]', async () => {
  expect(await isBegun([9, 4, 0, 0], 0)).toBe(false)
  expect(await isBegun([9, 5, 0, 0], 0)).toBe(true)
  expect(await isBegun([9, 5, 0, 0], 1)).toBe(false)
  expect(await isBegun([9, 5, 0, 1], 1)).toBe(true)
})
