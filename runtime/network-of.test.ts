import { expect, test } from 'vitest'
import { networkOf } from './network-of.ts'

test('a subscriber with 2^64 addresses counts as one', () => {
  expect(networkOf('2001:db8:1:2::7')).toBe(networkOf('2001:0db8:0001:0002:ffff:ffff:ffff:ffff'))
  expect(networkOf('2001:db8::7')).toBe('2001:db8:0:0')
  expect(networkOf('::1')).toBe('0:0:0:0')
  expect(networkOf('::ffff:10.0.0.1')).toBe('10.0.0.1')
  expect(networkOf('10.0.0.1')).toBe('10.0.0.1')
  expect(networkOf('not an address')).toBe('not an address')
})
