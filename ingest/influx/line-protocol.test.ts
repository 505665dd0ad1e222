import { describe, expect, test } from 'vitest'
import { type LineFault, type Point, readLines } from './line-protocol.ts'

function read(text: string): { points: Point[]; faults: LineFault[] } {
  const points: Point[] = []
  const faults: LineFault[] = []
  readLines(
    text,
    (point) => points.push(point),
    (fault) => faults.push(fault),
  )
  return { points, faults }
}

/** The one point of a text, as plain values. */
function one(text: string): unknown {
  const { points, faults } = read(text)
  expect(faults).toEqual([])
  expect(points.length).toBe(1)
  const [{ measurement, tags, fields, timestamp } = {} as Point] = points
  return [measurement, Object.fromEntries(tags), Object.fromEntries(fields), timestamp]
}

describe('line protocol', () => {
  test.each([
    ['m f=1', ['m', {}, { f: '1' }, undefined]],
    ['m,a=b,c=d f=1,g=2 5', ['m', { a: 'b', c: 'd' }, { f: '1', g: '2' }, '5']],
    ['m f=1 -1', ['m', {}, { f: '1' }, '-1']],
    ['m  f=1   7  ', ['m', {}, { f: '1' }, '7']],
    ['m f=1 \r\n', ['m', {}, { f: '1' }, undefined]],
    ['m\\ a\\,b,t\\=x=v\\ w f\\ g=1', ['m a,b', { 't=x': 'v w' }, { 'f g': '1' }, undefined]],
    ['m=x f=1', ['m=x', {}, { f: '1' }, undefined]],
    ['C:\\dir,p=\\x f=1', ['C:\\dir', { p: '\\x' }, { f: '1' }, undefined]],
    ['m,ü=ß f="é\n\\"\\\\ \\n,=" 1', ['m', { ü: 'ß' }, { f: '"é\\n\\"\\\\ \\\\n,="' }, '1']],
    ['m f=""', ['m', {}, { f: '""' }, undefined]],
    [
      'm,__proto__=a __proto__=1',
      ['m', Object.fromEntries([['__proto__', 'a']]), Object.fromEntries([['__proto__', '1']]), undefined],
    ],
    ['m f=1,f=2', ['m', {}, { f: '2' }, undefined]],
  ])('%j is read', (text, point) => {
    expect(one(text)).toEqual(point)
  })

  test.each([
    ['1', '1'],
    ['-0.5', '-0.5'],
    ['1e3', '1e3'],
    ['.5', '0.5'],
    ['1.', '1'],
    ['+7', '7'],
    ['007', '7'],
    ['0.1000000000000000055', '0.1000000000000000055'],
    ['9223372036854775807i', '9223372036854775807'],
    ['-9223372036854775808i', '-9223372036854775808'],
    ['+007i', '7'],
    ['18446744073709551615u', '18446744073709551615'],
    ...['t', 'T', 'true', 'True', 'TRUE'].map((word) => [word, 'true']),
    ...['f', 'F', 'false', 'False', 'FALSE'].map((word) => [word, 'false']),
  ])('a field of %s is %s, with all its digits', (sent, json) => {
    expect(one(`m f=${sent}`)).toEqual(['m', {}, { f: json }, undefined])
    expect(() => JSON.parse(String(json))).not.toThrow()
  })

  test.each([
    ['m', 'there are no fields behind a space'],
    ['m ', 'a field name is missing'],
    [',a=b f=1', 'the measurement is missing'],
    ['m, f=1', 'a tag name is missing'],
    ['m,a f=1', 'tag "a" has no value'],
    ['m,a= f=1', 'the value of tag "a" is missing'],
    ['m,a=b=c f=1', 'the value of tag "a" holds an equals sign without a backslash'],
    ['m,a=b,a=c f=1', 'tag "a" is given twice'],
    ['m,a=b, f=1', 'a tag name is missing'],
    ['m f', 'field "f" has no value'],
    ['m f=', 'field "f" is no number, truth value or text in quotes: ""'],
    ['m f=1,', 'a field name is missing'],
    ['m f=abc', 'field "f" is no number, truth value or text in quotes: "abc"'],
    ['m f=NaN', 'field "f" is no number, truth value or text in quotes: "NaN"'],
    ['m f=1e999', 'field "f" is no number, truth value or text in quotes: "1e999"'],
    ['m f=9223372036854775808i', 'field "f" is no number, truth value or text in quotes: "9223372036854775808i"'],
    ['m f=-1u', 'field "f" is no number, truth value or text in quotes: "-1u"'],
    ['m f=1.5i', 'field "f" is no number, truth value or text in quotes: "1.5i"'],
    ['m f="abc', 'the text of field "f" has no quote behind it'],
    ['m f="abc\\"', 'the text of field "f" has no quote behind it'],
    ['m f="a"b', 'a field is followed by neither a comma nor a space'],
    ['m f=1 abc', 'the time is no whole number of 64 bits: "abc"'],
    ['m f=1 1.5', 'the time is no whole number of 64 bits: "1.5"'],
    ['m f=1 9223372036854775808', 'the time is no whole number of 64 bits: "9223372036854775808"'],
    ['m f=1 5 6', 'there is more behind the time'],
  ])('%j is refused: %s', (text, reason) => {
    expect(read(text)).toEqual({ points: [], faults: [{ line: 1, reason, shown: text.slice(0, 100) }] })
  })

  test('lines that cannot be read are told with their numbers, and cost the others nothing', () => {
    const text = '# a comment\n\nm a=1 1\nbad\r\nm b="two\nlines",c=1 2\n  \nworse f\nm d=1 3\r\n'
    const { points, faults } = read(text)
    expect(points.map(({ line, timestamp }) => [line, timestamp])).toEqual([
      [3, '1'],
      [5, '2'],
      [9, '3'],
    ])
    expect(faults.map(({ line, shown }) => [line, shown.trim()])).toEqual([
      [4, 'bad'],
      [8, 'worse f'],
    ])
  })

  test('a quote that is never closed costs its own line only', () => {
    const { points, faults } = read('m a="open 1\nm b=2\nm c=3')
    expect([points.map(({ line }) => line), faults.map(({ line }) => line)]).toEqual([[2, 3], [1]])
  })

  test('what only looks like a number is refused in one pass, however long it is [G-4]', () => {
    for (const text of [
      `m f=${'1'.repeat(1_000_000)}x`,
      `m f=1 ${'0'.repeat(1_000_000)}x`,
      `m f=${'"m f='.repeat(200_000)}`,
    ])
      expect(read(text).faults.map(({ line }) => line)).toEqual([1])
  })

  test('nothing is no point, and what is shown of a line is bounded', () => {
    expect(read('')).toEqual({ points: [], faults: [] })
    expect(read('\n\r\n # x\n')).toEqual({ points: [], faults: [] })
    expect(read('x'.repeat(5_000)).faults[0]?.shown.length).toBe(100)
  })
})
