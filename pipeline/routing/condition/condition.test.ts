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

  test('orders hold on both sides of equality, for constants and for values of a body', () => {
    const ascending = [
      ['7', '8'],
      ["'a'", "'b'"],
      ['false', 'true'],
    ] as const
    const holds = {
      '<': [true, false, false],
      '<=': [true, true, false],
      '>': [false, false, true],
      '>=': [false, true, true],
    }
    for (const [less, more] of ascending) {
      const body = `{"less":${less.replaceAll("'", '"')},"more":${more.replaceAll("'", '"')}}`
      const systemProperties = Object.entries({ contentType: 'application/json', contentEncoding: 'utf-8' })
      const message = { properties: [], systemProperties, body }
      for (const [operator, expected] of Object.entries(holds)) {
        for (const [left, right] of [
          [less, more],
          ['$body.less', '$body.more'],
          ['$body.less', more],
          [less, '$body.more'],
        ] as const) {
          const conditions = [
            `${left} ${operator} ${right}`,
            `${left} ${operator} ${left}`,
            `${right} ${operator} ${left}`,
          ]
          for (const interpreted of [false, true]) {
            const outcomes = conditions.map((condition) => outcomeOf(condition, message, { interpreted }))
            expect(outcomes, conditions.join()).toEqual(expected.map(String))
          }
        }
      }
    }
  })
})
