import { describe, expect, test } from 'vitest'
import { isInt64Text, isoFromNanoseconds, isUint64Text } from './nanoseconds.ts'

describe('moments in nanoseconds', () => {
  test.each([
    ['0', '1970-01-01T00:00:00.000Z'],
    ['1', '1970-01-01T00:00:00.000000001Z'],
    ['1500', '1970-01-01T00:00:00.000001500Z'],
    ['1000000', '1970-01-01T00:00:00.001Z'],
    ['1700000000123456000', '2023-11-14T22:13:20.123456Z'],
    ['+1700000000000000000', '2023-11-14T22:13:20.000Z'],
    ['-1', '1969-12-31T23:59:59.999999999Z'],
    ['-1000000000', '1969-12-31T23:59:59.000Z'],
    ['-1500000000', '1969-12-31T23:59:58.500Z'],
    ['9223372036854775807', '2262-04-11T23:47:16.854775807Z'],
    ['-9223372036854775808', '1677-09-21T00:12:43.145224192Z'],
  ])('%s is %s', (nanoseconds, iso) => {
    expect(isoFromNanoseconds(nanoseconds)).toBe(iso)
  })

  test('what is no number of 64 bits is no moment', () => {
    for (const text of ['', '-', '1.5', 'x', ' 1', '9223372036854775808', '-9223372036854775809'])
      expect([isoFromNanoseconds(text), isInt64Text(text)]).toEqual([undefined, false])
    expect([isUint64Text('18446744073709551615'), isUint64Text('18446744073709551616'), isUint64Text('-1')]).toEqual([
      true,
      false,
      false,
    ])
  })

  test('leading zeros are as many as anybody likes; what only looks like a number is refused in one pass [G-4]', () => {
    const zeros = '0'.repeat(1_000_000)
    expect([isInt64Text(`${zeros}7`), isInt64Text(zeros), isInt64Text(`${zeros}x`)]).toEqual([true, true, false])
    expect([isUint64Text(`+${zeros}18446744073709551615`), isUint64Text(`${zeros} `)]).toEqual([true, false])
  })
})
