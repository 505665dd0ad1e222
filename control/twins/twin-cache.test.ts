import { expect, test } from 'vitest'
import { emptyObject } from './section.ts'
import { type KeptTwin, TwinCache } from './twin-cache.ts'

const kept = (bytes: number): KeptTwin => ({
  birth: '1',
  section: { value: emptyObject, marks: {}, version: 1, floor: 0 },
  bytes,
})

test('what was not used for longest goes first, and no more stays than may', () => {
  const cache = new TwinCache(5_000)
  for (const key of ['a', 'b', 'c']) cache.set(key, kept(300))
  cache.get('a')
  cache.set('d', kept(300))
  expect(['a', 'b', 'c', 'd'].filter((key) => cache.get(key) !== undefined)).toEqual(['a', 'c', 'd'])
  expect(cache.bytes).toBe(4_500)
  cache.set('a', kept(10))
  cache.delete('c')
  cache.delete('c')
  expect(cache.bytes).toBe(1_840)
  cache.set('large', kept(5_000))
  expect(cache.bytes).toBe(0)
})
