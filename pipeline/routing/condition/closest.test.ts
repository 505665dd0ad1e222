import { expect, test } from 'vitest'
import { closest } from './closest.ts'

const candidates = ['abs', 'length', 'power', 'starts_with', 'ends_with']

test.each([
  ['length', 'length'],
  ['LENGTH', 'length'],
  ['lenght', 'length'],
  ['lngth', 'length'],
  ['lengths', 'length'],
  ['xlength', 'length'],
  ['strats_with', 'starts_with'],
  ['ends_wit', 'ends_with'],
  ['bs', undefined],
  ['ab', undefined],
  ['abx', 'abs'],
  ['axx', undefined],
  ['powxx', 'power'],
  ['poxxx', undefined],
  ['starts', undefined],
  ['', undefined],
  ['l'.repeat(4_000), undefined],
])('%s was meant to be %s', (name, meant) => {
  expect(closest(name, candidates)).toBe(meant)
})

test('the nearest is taken, and of two as near the first', () => {
  expect(closest('abcd', ['abxx', 'abcx', 'xbcd'])).toBe('abcx')
})
