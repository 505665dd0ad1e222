import { expect, test } from 'vitest'
import { assert } from './assert.ts'

test('what holds passes, and is known to hold from there on', () => {
  const found: string | undefined = ['a'].find(() => true)
  assert(found !== undefined, 'something is found')
  expect(found.length).toBe(1)
})

test.each([false, undefined, null, 0, ''])('%j is a fault of a program that names what was expected', (condition) => {
  expect(() => assert(condition, 'an answer names its partition')).toThrow(
    expect.objectContaining({
      code: 'INTERNAL_EXPECTATION_FAILED',
      disposition: 'fatal',
      message: 'expected that an answer names its partition',
    }),
  )
})
