import { expect, test } from 'vitest'
import { Permits } from './permits.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('so many run at once and no more; the others go in their order, also after one that failed', async () => {
  const permits = new Permits(2)
  const begun: number[] = []
  const ends: { resolve: () => void; reject: (error: Error) => void }[] = []
  const runs = [0, 1, 2, 3, 4].map((run) =>
    permits.with(() => {
      begun.push(run)
      return new Promise<number>((resolve, reject) => ends.push({ resolve: () => resolve(run), reject }))
    }),
  )
  await turn()
  expect(begun).toEqual([0, 1])
  ends[1]?.resolve()
  await turn()
  expect(begun).toEqual([0, 1, 2])
  const failed = expect(runs[0]).rejects.toThrow('lost')
  ends[0]?.reject(new Error('lost'))
  await failed
  await turn()
  expect(begun).toEqual([0, 1, 2, 3])
  for (const index of [2, 3]) ends[index]?.resolve()
  await turn()
  ends[4]?.resolve()
  expect(await Promise.all(runs.slice(1))).toEqual([1, 2, 3, 4])
  // All permits are free again.
  const later = [5, 6, 7].map((run) => permits.with(async () => begun.push(run)))
  await turn()
  expect(begun.slice(5)).toEqual([5, 6, 7])
  await Promise.all(later)
})
