import { expect, test } from 'vitest'
import { forgetOldest } from './forget-oldest.ts'

test.each([
  [5, ['a', 'b', 'c', 'd']],
  [4, ['a', 'b', 'c', 'd']],
  [3, ['b', 'c', 'd']],
  [1, ['d']],
  [0, []],
])('of four at most %i are left, those that were set last', (countMax, left) => {
  const map = new Map([...'abcd'].map((key) => [key, 1]))
  forgetOldest(map, countMax)
  expect([...map.keys()]).toEqual(left)
})

test('what is set again keeps its place, but where it was deleted before', () => {
  const map = new Map([...'abcd'].map((key) => [key, 1]))
  map.set('b', 2)
  map.delete('a')
  map.set('a', 2)
  forgetOldest(map, 2)
  expect([...map.keys()]).toEqual(['d', 'a'])
})
