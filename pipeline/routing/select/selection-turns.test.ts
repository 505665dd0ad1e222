import { expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { SelectionTurns } from './selection-turns.ts'

const nowMs = 1_700_000_000_000
const longAgoMs = nowMs - limits.routedBehindMs

/** Turns whose pauses end when they are told to, and what was looked into so far. */
function watched() {
  const pauses: (() => void)[] = []
  const looked: string[] = []
  const turns = new SelectionTurns(() => new Promise((resolve) => pauses.push(resolve)), { nowMs: () => nowMs })
  const take = (enqueuedAtMs: number, name: string, look = async (): Promise<void> => {}, part = '') =>
    turns.take(part, enqueuedAtMs, async () => {
      looked.push(name)
      await look()
    })
  /** Until nothing goes on by itself. */
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
  return { turns, pauses, looked, take, settled }
}

test('who keeps up looks into all its records at once, and before those of who is behind, however many these are', async () => {
  const { pauses, looked, take, settled } = watched()
  await take(nowMs, 'newest')
  const behind = ['1', '2', '3'].map((name) => take(longAgoMs, name))
  await Promise.all(['a', 'b'].map((name) => take(nowMs, name)))
  expect(looked).toEqual(['newest', 'a', 'b'])
  pauses[0]?.()
  await settled()
  await take(nowMs, 'c')
  expect(looked).toEqual(['newest', 'a', 'b', '1', 'c'])
  for (const index of [1, 2]) {
    pauses[index]?.()
    await settled()
  }
  await Promise.all(behind)
  expect(looked.slice(-2)).toEqual(['2', '3'])
})

test('of all that are behind one record is under way, whoever they are', async () => {
  const { pauses, take, settled } = watched()
  await take(nowMs, 'newest')
  let [underWay, most, done] = [0, 0, 0]
  const look = async (): Promise<void> => {
    most = Math.max(most, ++underWay)
    await settled()
    underWay--
    done++
  }
  const all = Array.from({ length: 20 }, (_, index) => take(longAgoMs - index, String(index), look))
  while (done < all.length) {
    pauses.shift()?.()
    await settled()
  }
  await Promise.all(all)
  expect(most).toBe(1)
})

test('one that fails leaves the turn to the next', async () => {
  const { pauses, take, settled, looked } = watched()
  await take(nowMs, 'newest')
  const failing = take(longAgoMs, '1', () => Promise.reject(new Error('corrupt')))
  const next = take(longAgoMs, '2')
  pauses[0]?.()
  await expect(failing).rejects.toThrow('corrupt')
  await settled()
  pauses[1]?.()
  await next
  expect(looked).toEqual(['newest', '1', '2'])
})

test('a record that nobody has to look into says where the head is', async () => {
  const { turns, pauses, looked, take, settled } = watched()
  await take(longAgoMs, 'alone')
  turns.came(nowMs)
  const behind = take(longAgoMs, 'behind')
  await settled()
  expect(looked).toEqual(['alone'])
  pauses[0]?.()
  await behind
})

test('one that waits, for a twin say, keeps those of other parts of the routes from nothing', async () => {
  const { pauses, looked, take, settled } = watched()
  await take(nowMs, 'newest')
  let found = (): void => {}
  const waiting = take(longAgoMs, 'twin', () => new Promise((resolve) => (found = resolve)))
  pauses[0]?.()
  await settled()
  const other = take(longAgoMs, 'other', undefined, 'apart')
  pauses[1]?.()
  await other
  expect(looked).toEqual(['newest', 'twin', 'other'])
  found()
  await waiting
})

test('a record of an edge whose clock is ahead makes nobody fall behind', async () => {
  const { turns, pauses, take } = watched()
  await take(nowMs + 3_600_000, 'ahead')
  turns.came(nowMs + 3_600_000)
  await take(nowMs, 'newest')
  expect(pauses).toEqual([])
})

test('once nobody is ahead none is behind', async () => {
  const { pauses, take } = watched()
  await Promise.all([take(longAgoMs, '1'), take(longAgoMs + 1, '2')])
  expect(pauses).toEqual([])
})
