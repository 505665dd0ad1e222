import { expect, test } from 'vitest'
import { mergedNoisiest } from './merge-noisiest.ts'

test('what a device sent to several processes is added up, and the heaviest of all come first', () => {
  const noisy = (deviceId: string, amount: number, error = 0) => ({ deviceId, amount, error })
  const one = { fromMs: 10, toMs: 70, byMessages: [noisy('a', 5), noisy('b', 4, 1)], byBytes: [noisy('a', 50)] }
  const other = { fromMs: 20, toMs: 80, byMessages: [noisy('c', 6), noisy('b', 3, 1)], byBytes: [] }
  expect(mergedNoisiest([one, other], 2)).toEqual({
    fromMs: 10,
    toMs: 80,
    byMessages: [noisy('b', 7, 2), noisy('c', 6)],
    byBytes: [noisy('a', 50)],
  })
  expect(mergedNoisiest([one], 50)).toEqual(one)
})
