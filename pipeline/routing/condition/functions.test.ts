import { describe, expect, test } from 'vitest'
import { type Expected, outcomeOf } from './cases-fixture.ts'

const message = { properties: Object.entries({ name: 'gravel' }), systemProperties: [], body: '' }

describe('functions', () => {
  test.each<[condition: string, expected: Expected]>([
    ["substring('gravel', 6) = ''", 'true'],
    ["substring('gravel', 6, 0) = ''", 'true'],
    ["substring('gravel', 7) = ''", 'undefined'],
    ["substring('gravel', -1) = ''", 'undefined'],
    ["substring('gravel', 0, 6) = name", 'true'],
    ["substring('gravel', 0, 7) = name", 'undefined'],
    ["substring('gravel', 1, 6) = ''", 'undefined'],
    ["substring('gravel', 1, -1) = ''", 'undefined'],
    ["substring('gravel', 1, 0) = ''", 'true'],
    ["substring('gravel', 1.9, 1.9) = 'r'", 'true'],
    ["substring('gravel', 1 / 0) = ''", 'undefined'],
    ['power(1, 1 / 0) = 1', 'true'],
    ['power(-1, -1 / 0) = 1', 'true'],
    ['power(-1, 0.5) = 1', 'undefined'],
    ['power(2, 1 / 0) = 1 / 0', 'true'],
    ['power(0, 0) = 1', 'true'],
    ['sqrt(-1) = 0', 'undefined'],
    ["concat('a', 'b', name, 'c') = 'abgravelc'", 'true'],
    ["concat('a', 'b', 5) = 'ab5'", 'error'],
    ["concat(lost ?? 'a', lost ?? 'b') = 'ab'", 'true'],
    ["index_of(name, '') = 0", 'true'],
    ["upper('ﬁ😀é') = 'ﬁ😀É'", 'true'],
    ['is_number(1 / 0)', 'false'],
    ['is_number(undefined)', 'false'],
    ['is_primitive(null)', 'true'],
    ['is_primitive(lost)', 'false'],
    ['is_defined(null)', 'true'],
  ])('%s is %s', (condition, expected) => {
    expect(outcomeOf(condition, message)).toBe(expected)
    expect(outcomeOf(condition, message, { interpreted: true })).toBe(expected)
  })

  test('have names without case, and are called with blanks before the bracket too', () => {
    expect(outcomeOf("LENGTH (name) = Length('gravel')", message)).toBe('true')
  })
})
