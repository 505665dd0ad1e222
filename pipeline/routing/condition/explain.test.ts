import { describe, expect, test } from 'vitest'
import { conditionFrom } from './cases-fixture.ts'
import { readCondition } from './condition.ts'
import { factsOf, type RoutedMessage } from './message-facts.ts'

const message: RoutedMessage = {
  properties: [['level', 'high']],
  systemProperties: Object.entries({ contentType: 'application/json', contentEncoding: 'utf-8' }),
  body: JSON.stringify({ t: 12.5, s: 'text', list: [1] }),
}

function explain(text: string, given: RoutedMessage = message) {
  const condition = conditionFrom(readCondition(text, 'DeviceMessages'))
  return condition.explain(factsOf(given, condition.needs))
}

describe('an explanation', () => {
  test('has the value of every part but what stands there as a value, with its place, inner parts first, the whole last', () => {
    const { verdict, steps } = explain("NOT (level = 'low')\n AND $body.t > 30")
    expect(verdict).toBe(false)
    expect(steps.map(({ text, value }) => [text, value])).toEqual([
      ['level', '"high"'],
      ["(level = 'low')", 'false'],
      ["NOT (level = 'low')", 'true'],
      ['$body.t', '12.5'],
      ['$body.t > 30', 'false'],
      ["NOT (level = 'low')\n AND $body.t > 30", 'false'],
    ])
    expect(steps[3]?.location).toEqual({ start: { line: 2, column: 6 }, end: { line: 2, column: 13 } })
  })

  test.each([
    ["lost = 'x'", 'property-absent'],
    ["$lost = 'x'", 'property-absent'],
    ["true AND (upper(lost) = 'X' OR false)", 'property-absent'],
    ['$body.lost > 30', 'path-absent'],
    ['$body.lost', 'path-absent'],
    ['NOT $body.lost', 'path-absent'],
    ['$body.list = 1', 'type'],
    ['$body.s > 30', 'type'],
    ['abs($body.s) = 1', 'type'],
    ['$body[0] = 1', 'type'],
    ['level', 'type'],
    ['3 % 0 = 3', 'value'],
    ['as_number(level) = 3', 'value'],
    ['substring(level, 9) = level', 'value'],
    ['undefined', 'value'],
  ])('says why %s is undefined: %s', (text, reason) => {
    expect(explain(text)).toMatchObject({ verdict: undefined, reason })
  })

  test.each([
    [{}, 'content-type'],
    [{ contentType: 'application/json' }, 'content-encoding'],
    [{ contentType: 'application/json', contentEncoding: 'utf-32' }, 'not-json'],
  ])('says why the body of a message with %j is not read: %s', (system, reason) => {
    const given = { ...message, body: Buffer.from('{}'), systemProperties: Object.entries(system) }
    expect(explain('$body.t > 30', given)).toMatchObject({ verdict: undefined, reason })
  })

  test('has no reason where the verdict is true or false, but for the parts that have no value', () => {
    const explanation = explain("$body.list = 1 OR lost = 'x' OR level = 'high'")
    expect(explanation.verdict).toBe(true)
    expect(explanation).not.toHaveProperty('reason')
    expect(
      explanation.steps.filter(({ reason }) => reason !== undefined).map(({ text, value }) => [text, value]),
    ).toEqual([
      ['$body.list', 'an array'],
      ['$body.list = 1', 'undefined'],
      ['lost', 'undefined'],
      ["lost = 'x'", 'undefined'],
      ["$body.list = 1 OR lost = 'x'", 'undefined'],
    ])
  })
})
