/** Where a hub's documentation, its behaviour and sense part: what these conditions come to here. One test for each such place. */
import { describe, expect, test } from 'vitest'
import { type Expected, outcomeOf } from './cases-fixture.ts'
import { readCondition } from './condition.ts'
import type { RoutedMessage } from './message-facts.ts'

const json = { contentType: 'application/json', contentEncoding: 'utf-8', messageId: 'm-1' }
const document = {
  ...{ n: 7, s: 'text', at: '2024-11-05T08:15:00Z', yes: true, no: false, gap: null },
  ...{ object: { a: 1 }, list: [1] },
}

function message(body: unknown = document, system: Readonly<Record<string, string>> = json): RoutedMessage {
  const properties = { level: 'high', from: 'there', $messageId: 'mine', $odd: 'odd', "it's": 'x', x: 'x', y: 'y' }
  return {
    properties: Object.entries(properties),
    systemProperties: Object.entries(system),
    body: body instanceof Uint8Array ? body : JSON.stringify(body),
    twin: { tags: { Site: 'Halle' } },
  }
}

/** Compiled and interpreted alike. */
function expectAll(expected: Readonly<Record<string, Expected>>, given: RoutedMessage = message()): void {
  const outcomes = (interpreted: boolean) =>
    Object.fromEntries(Object.keys(expected).map((text) => [text, outcomeOf(text, given, { interpreted })]))
  expect(outcomes(false)).toEqual(expected)
  expect(outcomes(true)).toEqual(expected)
}

describe('places where others differ', () => {
  test('!= behind a name without a blank is the operator, and is warned of', () => {
    expectAll({ "level!='high'": 'false', '$body.n!=8': 'true', "level! = 'high'": 'undefined', '5!=6': 'true' })
    const { warnings } = readCondition("level!='high'", 'DeviceMessages')
    expect(warnings.map(({ suggestion }) => suggestion)).toEqual(['write level != with a blank'])
  })

  test('a path that is absent is null for operators and is_null, and not defined for is_defined', () => {
    expectAll({
      '$body.lost = null': 'true',
      "$body.lost <> '100'": 'true',
      '$body.lost = $body.gap': 'true',
      'is_null($body.lost)': 'true',
      'is_defined($body.lost)': 'false',
      'is_defined($body.gap)': 'true',
    })
  })

  test('values of different types have no order: what is absent is neither above nor below', () => {
    expectAll({
      '$body.lost > 30': 'undefined',
      '30 > $body.lost': 'undefined',
      '$body.gap < 1': 'undefined',
      '$body.s > 5': 'undefined',
      'level < $body.n': 'undefined',
      '$body.yes > 0': 'undefined',
      '$body.yes > $body.no': 'true',
      '$body.gap >= $body.lost': 'true',
      '$body.gap > null': 'false',
    })
  })

  test('a text that looks like a date is a text', () => {
    expectAll({
      "$body.at <> 'never'": 'true',
      "$body.at > '2024-11-05'": 'true',
      'is_string($body.at)': 'true',
      'length($body.at) = 20': 'true',
    })
  })

  test('$name is the system property, then the application property of that name; {$name} is the system property', () => {
    expectAll({
      "$messageId = 'm-1'": 'true',
      "{$messageId} = 'm-1'": 'true',
      "$odd = 'odd'": 'true',
      "{$odd} = 'odd'": 'undefined',
    })
  })

  test('is_null is true of null and of what is absent, and of nothing else', () => {
    expectAll({
      'is_null($body.gap)': 'true',
      'is_null($body.lost)': 'true',
      'is_null($body.n)': 'false',
      'is_null($body.no)': 'false',
      'is_null($body.object)': 'false',
      'is_null(level)': 'false',
      'is_null(lost)': 'false',
    })
  })

  test('an object or array is none of is_bool, is_number, is_string, is_null, and has no value for is_defined', () => {
    for (const path of ['$body.object', '$body.list']) {
      expectAll({
        [`is_bool(${path})`]: 'false',
        [`is_number(${path})`]: 'false',
        [`is_string(${path})`]: 'false',
        [`is_null(${path})`]: 'false',
        [`is_defined(${path})`]: 'false',
        [`${path} = null`]: 'undefined',
      })
    }
    expectAll({ 'is_object($body.object)': 'true', 'is_array($body.list)': 'true', 'is_object($body.list)': 'false' })
  })

  test('AND and OR take a value of the body: other than true and false it is undefined', () => {
    expectAll({
      '$body.lost OR true': 'true',
      '$body.s OR true': 'true',
      '$body.gap AND false': 'false',
      '$body.n AND true': 'undefined',
      'NOT $body.lost': 'undefined',
      'NOT $body.gap': 'undefined',
      'NOT $body.no': 'true',
    })
  })

  test('AND and OR take a value of the body on their right too', () => {
    expectAll({
      "level = 'high' AND $body.yes": 'true',
      "level = 'low' OR $body.no": 'false',
      'true AND $body.n': 'undefined',
    })
  })

  test('?? puts its right side in the place of a path that is absent, and leaves null where it was sent', () => {
    expectAll({
      '($body.lost ?? 5) = 5': 'true',
      '($body.object ?? 5) = 5': 'true',
      '($body.gap ?? 5) = null': 'true',
      '($body.n ?? 5) = 7': 'true',
    })
  })

  test('% and a sign take a value of the body', () => {
    expectAll({
      '$body.n % 2 = 1': 'true',
      '-($body.n) = -7': 'true',
      '$body.s % 2 = 1': 'undefined',
      "$body.n + 1 = 'x'": 'false',
      "7 + 1 = 'x'": 'error',
      '-($body.s) = 1': 'undefined',
    })
  })

  test('nothing may follow a complete condition', () => {
    expectAll({ 'true true': 'error', "level = 'high' x": 'error', 'true)': 'error', 'true;': 'error', '': 'true' })
  })

  test('select, from, where and into are names as others', () => {
    expectAll({
      "from = 'there'": 'true',
      "FROM <> 'there'": 'false',
      "select = 'x'": 'undefined',
      "into = 'x' OR where = 'x'": 'undefined',
    })
  })

  test('a quote ends a name, and begins none', () => {
    expectAll({ "'x'!='y'": 'true', "x='x'": 'true', "it's = 'x'": 'error', "level'high'": 'error' })
  })

  test('an apostrophe within a word of a path is part of it', () => {
    expectAll({ "$body.d'eau = 'haut'": 'true', "$body.list['0'] = 1": 'error' }, message({ "d'eau": 'haut' }))
  })

  test('as_number takes numbers as JSON has them, with a sign, zeros before and blanks around', () => {
    for (const [text, number] of Object.entries({
      ' 12.5 ': '12.5',
      '+8': '8',
      '007': '7',
      '-0.5e1': '-5',
      '1e999': '1/0',
    })) {
      expectAll({ [`as_number('${text}') = ${number}`]: 'true' })
    }
    for (const text of ['.5', '5.', '1,000', '(5)', '0x1F', '- 5', '5 kg', '', ' ', 'NaN', 'Infinity', '1e']) {
      expectAll({ [`is_defined(as_number('${text}'))`]: 'false' })
    }
  })

  test('$body and $twin alone, or with an index, never have a value', () => {
    expectAll({
      '$body[0] = 1': 'undefined',
      '$body = null': 'undefined',
      'is_defined($body)': 'false',
      '$twin <> null': 'undefined',
      '$messageId[0] = null': 'undefined',
    })
    expect(readCondition('$body[0] = 1', 'DeviceMessages').warnings).toHaveLength(1)
  })

  test('a condition of blanks and comments is true', () => {
    expectAll({ '': 'true', ' \n ': 'true', '/* all of them */': 'true' })
  })

  test('a content type may have parameters, and its charset stands in for a content encoding that is missing', () => {
    const outcome = (contentType: string, contentEncoding?: string) =>
      outcomeOf('$body.n = 7', message(document, { contentType, ...(contentEncoding && { contentEncoding }) }))
    expect(outcome('application/json;charset=utf-8')).toBe('true')
    expect(outcome('Application/JSON; a=b; Charset="UTF-8"')).toBe('true')
    expect(outcome('application/json; a=b', 'utf-8')).toBe('true')
    expect(outcome('application/json; charset=latin1', 'utf-8')).toBe('true')
    expect(outcome('application/json; charset=utf-8', 'latin1')).toBe('undefined')
    expect(outcome('application/json; charset=latin1')).toBe('undefined')
    expect(outcome('application/json; a=b')).toBe('undefined')
    expect(outcome('application/jsonx', 'utf-8')).toBe('undefined')
  })

  test('a byte order mark is skipped', () => {
    const text = JSON.stringify(document)
    expectAll({ '$body.n = 7': 'true' }, message(Buffer.from(`\uFEFF${text}`)))
    const utf16 = { ...json, contentEncoding: 'utf-16' }
    expectAll({ '$body.n = 7': 'true' }, message(Buffer.from(`\uFEFF${text}`, 'utf16le'), utf16))
  })

  test('names in a twin have no case', () => {
    expectAll({ "$TWIN.Tags.SITE = 'Halle'": 'true', "$twin.tags.site = 'halle'": 'false' })
  })

  test('twin_change_includes asks for one path, and only of twin changes', () => {
    const source = 'TwinChangeEvents'
    const change = message({ tags: { bay: null }, properties: { reported: { mode: 1 } } })
    const outcome = (text: string) => outcomeOf(text, change, { source })
    expect(outcome('twin_change_includes(tags.bay)')).toBe('true')
    expect(outcome('twin_change_includes(Properties.Reported.mode)')).toBe('true')
    expect(outcome('twin_change_includes(properties.reported.Mode)')).toBe('false')
    expect(outcome('twin_change_includes(tags.bay, tags.x)')).toBe('error')
    expect(outcome("twin_change_includes('tags.bay')")).toBe('error')
    expect(outcomeOf('twin_change_includes(tags.bay)', change)).toBe('error')
  })

  test('of a body that cannot be read is_defined is false, and every other question undefined', () => {
    const csv = message(document, { contentType: 'text/csv' })
    expectAll(
      {
        'is_defined($body.n)': 'false',
        'is_null($body.n)': 'undefined',
        'is_number($body.n)': 'undefined',
        'NOT (is_null($body.n))': 'undefined',
        '($body.n ?? 5) = 5': 'true',
      },
      csv,
    )
  })

  test('letters change case one by one, and only where their number stays', () => {
    expectAll({
      "upper('straße') = 'STRAßE'": 'true',
      "lower('ΑΣ') = 'ας'": 'false',
      "lower('ΑΣ') = 'ασ'": 'true',
      "upper('ñ') = 'Ñ'": 'true',
    })
  })

  test('a word in another case than the keywords true, false, null, undefined is a property, and is warned of', () => {
    expectAll({ "TRUE = 'x'": 'undefined', 'TRUE = true': 'error' })
    const { warnings } = readCondition("TRUE = 'x'", 'DeviceMessages')
    expect(warnings.map(({ suggestion }) => suggestion)).toEqual(['did you mean true?'])
  })
})
