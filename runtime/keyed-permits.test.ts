import { expect, test } from 'vitest'
import { KeyedPermits } from './keyed-permits.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('one owner has its own bound, and all together theirs; nothing is kept of who is done', async () => {
  const permits = new KeyedPermits(3, 2)
  const running: string[] = []
  const ends: (() => void)[] = []
  const run = (owner: string) =>
    permits.with(owner, () => {
      running.push(owner)
      return new Promise<void>((resolve) => ends.push(resolve))
    })
  const all = ['a', 'a', 'a', 'b', 'c'].map(run)
  await turn()
  expect(running).toEqual(['a', 'a', 'b'])
  ends.shift()?.()
  await turn()
  expect(running).toHaveLength(4)
  while (ends.length > 0) {
    ends.shift()?.()
    await turn()
  }
  await Promise.all(all)
  expect([running.toSorted(), permits.ownerCount]).toEqual([['a', 'a', 'a', 'b', 'c'], 0])
})

test('what fails frees its place', async () => {
  const permits = new KeyedPermits(1, 1)
  await expect(permits.with('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await permits.with('b', async () => 'done')).toBe('done')
})
