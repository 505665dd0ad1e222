import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { type Problem, readCondition } from './condition.ts'
import { Needs } from './needs.ts'

/** Where the problem is, as the text there; over lines their numbers. */
function placeOf(text: string, { location: { start, end } }: Problem): string {
  const line = text.split('\n')[start.line - 1] ?? ''
  return start.line === end.line ? line.slice(start.column - 1, end.column - 1) : `lines ${start.line}-${end.line}`
}

function errorsOf(text: string): readonly Problem[] {
  const reading = readCondition(text, 'DeviceMessages')
  return 'errors' in reading ? reading.errors : []
}

/** What is wrong, where, and what is to be done: the last is the suggestion, or else what was expected. */
const faults: readonly (readonly [condition: string, place: string, message: string, hint: string | undefined])[] = [
  ['label =', '=', '= has nothing on its right', 'a property, a value or a bracket'],
  ['(true OR', 'OR', 'OR has nothing on its right', 'a property, a value or a bracket'],
  ['NOT', '', 'the condition ends where a value should follow', 'a property, a value or a bracket'],
  ['true OR OR false', 'OR', 'OR stands where a value should', 'a property, a value or a bracket'],
  ["(label = 'a'", '(', 'the bracket has no closing )', ')'],
  ["(label = 'a' zone", 'zone', 'zone follows without an operator', 'an operator or )'],
  ["label = 'a')", ')', 'a closing bracket without an opening one', 'an operator or the end'],
  ["length('a' = 1", '(', 'the bracket has no closing )', ')'],
  ['label = {$x', '{', 'the bracket has no closing }', '}'],
  ['{label} = 1', 'label', 'braces hold a system property or a path', '{$name}'],
  ["label = 'amber", "'amber", 'the text has no closing quote', "'"],
  ["label = 'a\\q'", '\\q', '\\q is no escape', 'write \\\\ for a backslash'],
  ['true /* why', '/*', 'the comment has no end', '*/'],
  ["label == 'a'", '==', '== is no operator', 'write = to compare'],
  ["label => 'a'", '=>', '=> is no operator', 'write >= for "at least"'],
  ['true && false', '&&', '&& follows without an operator', 'write AND'],
  ['!(true)', '!', 'there is no function !', 'did you mean NOT?'],
  ['lenght(label) = 5', 'lenght', 'there is no function lenght', 'did you mean length?'],
  ['STARTSWITH(label)', 'STARTSWITH', 'there is no function STARTSWITH', 'did you mean starts_with?'],
  ['median(label) = 5', 'median', 'there is no function median', undefined],
  ['TRUE = true', '=', '= cannot compare a text with true or false', 'TRUE is read as a property: write true'],
  ['flag AND True', 'flag', 'AND takes no operand that is a text', 'true or false'],
  ['grade > 3', '>', '> cannot compare a text with a number', 'properties are text: write as_number(grade)'],
  [
    '$messageId + 1 = 2',
    '$messageId',
    '+ takes no operand that is a text',
    'properties are text: write as_number($messageId)',
  ],
  ['abs(grade) = 7', 'grade', 'abs cannot take a text here', 'properties are text: write as_number(grade)'],
  [
    'fan-speed > 3',
    '>',
    '> cannot compare a text with a number',
    'properties are text: write as_number(fan-speed), or put blanks around operators',
  ],
  ['5+3 = 8', '=', '= cannot compare a text with a number', '5+3 is one name: put blanks around operators'],
  [
    'as_number(a) -1 = 2',
    '-1',
    '-1 follows without an operator',
    'write - with blanks around it: without them it is part of the word',
  ],
  [
    "$body.t||'b' = 'c'",
    "'b'",
    "'b' follows without an operator",
    'write || with blanks around it: without them it is part of the word',
  ],
  [
    "NOT label = 'a'",
    'NOT',
    'NOT cannot be asked of a text',
    'NOT comes before = and <: put the comparison in brackets',
  ],
  [
    '-label = 1 AND - (label) = 1',
    '=',
    '= cannot compare a text with a number',
    '-label is one name: put blanks around operators',
  ],
  ['label = null', '=', '= cannot compare a text with null', 'two values of one type'],
  ['undefined = 7', '=', '= cannot compare undefined with a number', 'two values of one type'],
  ["(undefined ?? 'a') = 'a'", '??', '?? cannot choose between undefined and a text', 'two values of one type'],
  ["'a' || 5 = 'a5'", '5', '|| takes no operand that is a number', 'a text'],
  ['substring(label) = 1', 'substring', 'substring was given 1 argument', 'substring(text, number[, number])'],
  ["concat('a') = 'a'", 'concat', 'concat was given 1 argument', 'concat(text, text, …)'],
  ['as_number() = 0', 'as_number', 'as_number was given 0 arguments', 'as_number(text or number)'],
  ['is_null(a, b)', 'is_null', 'is_null was given 2 arguments', 'is_null(value)'],
  ['$body. = 1', '.', 'the path has a dot without a name behind it', 'a name'],
  ['$body.a..b = 1', '.', 'the path has a dot without a name behind it', 'a name'],
  ['$body.a.list[] = 1', 'list[]', 'list[] is no step of a path', 'a name, or a name with an index: list[0]'],
  ['$body.a.* = 1', '*', '* is no step of a path', 'a name, or a name with an index: list[0]'],
  ['$ = 1', '$', 'a $ without a name', 'the name of a system property, or $body and a path'],
  ['label = [7]', '[', '[ has no meaning here', 'an index stands behind a name in a path: $body.list[0]'],
  [
    'twin_change_includes(tags.x)',
    'twin_change_includes',
    'twin_change_includes cannot be asked of DeviceMessages',
    'the source TwinChangeEvents',
  ],
  [
    "twin_change_includes('tags.x')",
    "'tags.x'",
    'twin_change_includes asks for one path',
    'a path without quotes: properties.reported.mode',
  ],
  ['twin_change_includes(tags.x, tags.y)', ',', ', cannot stand here', ')'],
  [
    'twin_change_includes(other.x)',
    'other.x',
    'other.x is no path below a part of a twin',
    'tags.…, properties.desired.… or properties.reported.…',
  ],
  ["label = 'a\nb'\n AND zone 'c'", "'c'", "'c' follows without an operator", 'an operator or the end'],
]

describe('a condition that does not compile', () => {
  test.each(faults)('%j: at %j: %s', (condition, place, message, hint) => {
    const [first] = errorsOf(condition)
    expect(first).toMatchObject({ severity: 'error', message })
    expect(first && placeOf(condition, first)).toBe(place)
    expect(first?.suggestion ?? first?.expected).toBe(hint)
  })

  test('has all its errors of type told at once, and none that only follow from another', () => {
    expect(errorsOf('abs(a) = 1 AND b > 3').map(({ location }) => location.start.column)).toEqual([5, 18])
    expect(errorsOf("NOT label = 'teal'")).toHaveLength(1)
    expect(errorsOf('-(label) = 7')).toHaveLength(1)
    expect(errorsOf('nope(1) = 1')).toHaveLength(1)
  })

  test('is located by lines and columns from 1, the end behind the last', () => {
    expect(errorsOf("label = 'a'\n  AND grade > 3")[0]?.location).toEqual({
      start: { line: 2, column: 13 },
      end: { line: 2, column: 14 },
    })
    expect(errorsOf('\nlabel zone\n')[0]?.location).toEqual({
      start: { line: 2, column: 7 },
      end: { line: 2, column: 11 },
    })
  })

  test('is never told about at length', () => {
    const long = 'a'.repeat(2000)
    for (const condition of [
      `${long}()`,
      `true ${long}`,
      `$body.${long}[`,
      `${long} > 3`,
      `${long} AND true`,
      `NOT ${long}`,
    ]) {
      const [{ message, suggestion = '' } = { message: '' }] = errorsOf(condition)
      expect(message, condition.slice(0, 20)).not.toBe('')
      expect(message.length + suggestion.length).toBeLessThan(150)
    }
  })
})

describe('a condition that may not mean what it says', () => {
  test.each([
    ["label!='a'", 'write label != with a blank'],
    ["flag = 'x' OR flag = Null", 'did you mean null?'],
    ['label = ‘amber’', `put texts between ' or "`],
    ['label = 5+3', 'put blanks around operators'],
    ["$mesageId = 'x'", 'did you mean $messageId?'],
    ["$body = 'x'", 'name what is below it: $body.name'],
  ])('%s compiles with a warning: %s', (condition, suggestion) => {
    const { warnings, ...reading } = readCondition(condition, 'DeviceMessages')
    expect(Object.keys(reading)).toEqual(['condition'])
    expect(warnings).toMatchObject([{ severity: 'warning', suggestion }])
  })

  test.each(["label != 'a'", "$connectionDeviceId = 'x'", '$body.TRUE = 1', "rate% = 'x'"])(
    '%s has none',
    (condition) => {
      expect(readCondition(condition, 'DeviceMessages').warnings).toEqual([])
    },
  )
})

describe('the size of a condition is bounded', () => {
  const operands = (count: number) => Array.from({ length: count }, () => 'true').join(' OR ')

  test('by bytes, not characters', () => {
    const condition = (bytes: number) => `'${'é'.repeat((bytes - 6) / 2)}'=''`
    expect(Buffer.byteLength(condition(limits.conditionBytesMax))).toBe(limits.conditionBytesMax - 1)
    expect(errorsOf(condition(limits.conditionBytesMax))).toEqual([])
    expect(errorsOf(condition(limits.conditionBytesMax + 2))).toMatchObject([
      { message: 'the condition has more than 4096 bytes', location: { start: { line: 1, column: 1 } } },
    ])
  })

  test('by names, values and operators', () => {
    // Between so many operands there is one operator less.
    const condition = operands(limits.conditionNodesMax / 2)
    expect(errorsOf(`NOT ${condition}`)).toEqual([])
    expect(errorsOf(`NOT NOT ${condition}`)[0]?.message).toContain('more than 256 names')
  })

  test.each([
    ['brackets', (depth: number) => `${'('.repeat(depth)}true${')'.repeat(depth)}`],
    ['NOTs', (depth: number) => `${'NOT '.repeat(depth)}true`],
    ['signs', (depth: number) => `${'- '.repeat(depth)}1`],
    ['calls', (depth: number) => `${'is_null('.repeat(depth)}true${')'.repeat(depth)}`],
    ['brackets on the right', (depth: number) => `${'true OR ('.repeat(depth)}true${')'.repeat(depth)}`],
  ])('by %s within one another', (_, nested) => {
    expect(errorsOf(nested(limits.conditionDepthMax))).toEqual([])
    expect(errorsOf(nested(limits.conditionDepthMax + 1))[0]?.message).toContain('deeper than 64')
  })

  test('and by none that stand side by side', () => {
    expect(errorsOf(Array.from({ length: limits.conditionDepthMax + 1 }, () => '(true)').join(' OR '))).toEqual([])
  })

  test('and no text within it exhausts the stack or takes long', () => {
    for (const part of [
      '(',
      '((a,',
      '{',
      '- ',
      'NOT ',
      'abs(',
      '??',
      "'a'||",
      'x!=',
      '[',
      '$body.a.',
      '/**/',
      '\n',
      '\\',
    ]) {
      const text = part.repeat(Math.floor(limits.conditionBytesMax / part.length))
      readCondition(text, 'DeviceMessages')
      readCondition(`$body.${text}`.slice(0, limits.conditionBytesMax), 'TwinChangeEvents')
    }
  })

  test('by the paths into bodies that a set of conditions reads together', () => {
    const needs = new Needs()
    const paths = Array.from({ length: limits.conditionBodyPathsMax }, (_, index) => `$body.p${index} = 1`)
    for (const condition of paths)
      expect('condition' in readCondition(condition, 'DeviceMessages', { needs })).toBe(true)
    const reading = readCondition("$body.p0 = 1 OR $body.other = 'x'", 'DeviceMessages', { needs })
    expect(reading).toMatchObject({
      errors: [
        { message: 'all conditions together read more than 32 paths of a body', location: { start: { column: 17 } } },
      ],
    })
    expect('condition' in readCondition('$body.p0 = 1 AND $body.p31 = 2', 'DeviceMessages', { needs })).toBe(true)
  })
})
