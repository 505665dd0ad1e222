import { describe, expect, test } from 'vitest'
import { cases, messageOf, outcomeOf } from './cases-fixture.ts'

describe('conditions', () => {
  test('there are cases of all kinds', () => {
    expect(cases.length).toBe(461)
    expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length)
    for (const outcome of ['true', 'false', 'undefined', 'error']) {
      expect(cases.filter(({ expect }) => expect === outcome).length).toBeGreaterThan(40)
    }
  })

  test.each(cases)('$id: $condition is $expect: $why', ({ condition, message, source, expect: expected }) => {
    expect(outcomeOf(condition, messageOf(message), { source })).toBe(expected)
    expect(outcomeOf(condition, messageOf(message), { source, interpreted: true })).toBe(expected)
  })
})
