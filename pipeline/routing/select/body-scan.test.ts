import { describe, expect, test } from 'vitest'
import { absent } from '#pipeline/routing/condition/facts.ts'
import type { Path } from '#pipeline/routing/condition/needs.ts'
import { limits } from '#schemas/limits.ts'
import { BodyScan, unreadText } from './body-scan.ts'
import { watchedBytes } from './watched-bytes-fixture.ts'

const bytesOf = (document: string | readonly number[]) => Buffer.from(document as string)

const foundAt = (scan: BodyScan, index: number) =>
  scan.values[index] === unreadText ? scan.text(index) : scan.values[index]

function read(document: string | readonly number[], ...paths: Path[]): unknown {
  const scan = new BodyScan(paths)
  const bytes = bytesOf(document)
  return scan.read(bytes, 0, bytes.length) ? paths.map((_, index) => foundAt(scan, index)) : 'refused'
}

// The kinds of cases that "Parsing JSON is a minefield" gathers: what RFC 8259 allows, and what it does not.
const valid = [
  '{}',
  ' { } ',
  '\ufeff{}',
  '{"a":[]}',
  '{"a":[[]   ]}',
  '{"a":[""]}',
  '{"a":[1\n]}',
  '{"a":[ 1]}',
  '{"a":[1,null,null,null,2]}',
  '{"a":2 }',
  '{"a":-0}',
  '{"a":-0.0}',
  '{"a":0e+1}',
  '{"a":0e1}',
  '{"a":20e1}',
  '{"a":123.456e78}',
  '{"a":1E-2}',
  '{"a":-123}',
  '{"a":1.5E+9}',
  '{"a":0.00000000000000000000000000000000000000000000000000000001}',
  '{"a":123123123123123123123123123123}',
  '{"a":1e999}',
  '{"a":"","b":"\\u0000"}',
  '{"a\\u0000b":1}',
  '{"a":"\\u0060\\u012a\\u12AB"}',
  '{"a":"\\uD801\\udc37"}',
  '{"a":"\\ud800abc"}',
  '{"":0}',
  '{"a":"\u2028\u2029"}',
  '{"a":"\uffff"}',
  '{"a":"\\\\a"}',
  '{"a":"\\\\\\""}',
  '{"a":"\\/"}',
  '{"a":"\u007f"}',
  '{"a":"𝄞"}',
  '{"a":"\\u005C"}',
  '{"a":1,"a":2}',
  '{"a":{"a":1},"a":{}}',
  '{"a":true,"b":false,"c":null}',
  '\t\n\r {"a" : 1\t}\n',
]
const invalid = [
  '',
  ' ',
  '\ufeff',
  '\ufeff\ufeff{}',
  '{',
  '}',
  '{]',
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  '{,}',
  '{"a",}',
  '{"a":1 "b":2}',
  '{"a"::1}',
  '{"a";1}',
  '{a:1}',
  "{'a':1}",
  '{1:1}',
  '{"a":1}}',
  '{"a":1}{',
  '{"a":1}x',
  '{"a":1},',
  '{} {}',
  '{"a":[1,]}',
  '{"a":[,1]}',
  '{"a":[1,,2]}',
  '{"a":[1 2]}',
  '{"a":[1:2]}',
  '{"a":[1}',
  '{"a":[}',
  '{"a":{]}',
  '{"a":[1]]}',
  '{"a":+1}',
  '{"a":-}',
  '{"a":-a}',
  '{"a":01}',
  '{"a":-01}',
  '{"a":00}',
  '{"a":1.}',
  '{"a":.5}',
  '{"a":-.5}',
  '{"a":1.e1}',
  '{"a":1e}',
  '{"a":1e+}',
  '{"a":1eE2}',
  '{"a":1+2}',
  '{"a":0x1}',
  '{"a":1_000}',
  '{"a":1.2.3}',
  '{"a":--1}',
  '{"a":Infinity}',
  '{"a":-Infinity}',
  '{"a":NaN}',
  '{"a":nan}',
  '{"a":１}',
  '{"a":True}',
  '{"a":TRUE}',
  '{"a":tru}',
  '{"a":truee}',
  '{"a":nul}',
  '{"a":nulll}',
  '{"a":falsy}',
  '{"a":undefined}',
  '{"a":"}',
  '{"a":"\n"}',
  '{"a":"\t"}',
  '{"a":"\0"}',
  '{"a":"\\"}',
  '{"a":"\\x00"}',
  '{"a":"\\a"}',
  '{"a":"\\u00"}',
  '{"a":"\\u00g0"}',
  '{"a":"\\U0041"}',
  '{"a":"\\uD83D\\"}',
  '{"a":"\\\u00e9"}',
  '{"a":\'b\'}',
  '{"a":b}',
  '{"a":/*c*/1}',
  '{"a":1}//c',
  '{"a":1}#',
  '{"a":\f1}',
  '{"a":\u00a01}',
  '{"a":1}\u00a0',
  '\u200b{}',
  '{"a":1}\0',
  '\0{}',
  '{\\"a":1}',
  '{"a" 1}',
  '{"a":"b""c"}',
  '{"a":"b"c}',
  '{"a":{"b":1},}',
  '{"a":{"b"}}',
  '{"a":{1}}',
  '{"a":[1],"b"}',
]
const invalidBytes: (readonly [string, readonly number[]])[] = (
  [
    ['a continuation alone', [0x80]],
    ['a sequence that ends early', [0xc3]],
    ['two bytes for ASCII', [0xc0, 0xaf]],
    ['three bytes for two', [0xe0, 0x80, 0xaf]],
    ['four bytes for three', [0xf0, 0x80, 0x80, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['five bytes', [0xf8, 0x88, 0x80, 0x80, 0x80]],
    ['Latin-1', [0xe9]],
    ['a sequence without its last byte', [0xf0, 0x9f, 0x98]],
  ] as const
).map(([name, bytes]) => [name, [...Buffer.from('{"a":"'), ...bytes, ...Buffer.from('"}')]])
const noObjects = ['[]', '1', '"a"', 'null', 'true', '[{"a":1}]']

describe('the scan of bodies', () => {
  // Read with a path into the document and with one that leads nowhere, since two parts of the scan share it.
  describe.each([[['a', 'a', 0]], [['other']], [['a', 0, 'b']], [['a']]] as Path[][])('for the path %j', (path) => {
    test.each(valid)('takes %j', (document) => {
      expect(() => JSON.parse(document.replace('\ufeff', ''))).not.toThrow()
      expect(read(document, path)).not.toBe('refused')
    })

    test.each(invalid)('refuses %j', (document) => {
      expect(() => JSON.parse(document.replace('\ufeff', ''))).toThrow()
      expect(read(document, path)).toBe('refused')
    })

    test.each(invalidBytes)('refuses a text with %s', (_name, document) => {
      expect(read(document, path)).toBe('refused')
    })

    test.each(noObjects)('refuses %j, which is no object', (document) => {
      expect(read(document, path)).toBe('refused')
    })
  })

  test('no byte outside the document is read, wherever it ends', () => {
    const scan = new BodyScan([['a', 'a', 0], ['b']])
    for (const document of [...valid, ...invalid]) {
      const bytes = Buffer.from(`}"${document}}"`)
      for (let end = 2; end <= bytes.length - 2; end++) scan.read(watchedBytes(bytes, 2, end), 2, end)
    }
  })

  test('of a name given twice the last counts, with all that is below it', () => {
    const paths: Path[] = [['a'], ['a', 'b'], ['a', 'c', 0]]
    expect(read('{"a":{"b":1,"c":[2]},"a":{"b":3}}', ...paths)).toEqual([expect.anything(), 3, absent])
    expect(read('{"a":{"b":1,"c":[2]},"\\u0061":4}', ...paths)).toEqual([4, absent, absent])
  })

  test('nothing of one document is left in the next', () => {
    const scan = new BodyScan([['a'], ['b', 0]])
    const read = (text: string) => scan.read(Buffer.from(text), 0, text.length)
    expect(read('{"a":1,"b":["x"]}')).toBe(true)
    expect(read('{"a":1,"b":["x"]')).toBe(false)
    expect(read('{}')).toBe(true)
    expect([foundAt(scan, 0), foundAt(scan, 1)]).toEqual([absent, absent])
  })

  test('the deepest nesting that a body has room for is read, and its last bracket missed', () => {
    const depth = (limits.bodyBytesMax - 10) / 2
    for (const [open, close] of [
      ['[', ']'],
      ['{"":', '}'],
    ] as const) {
      const levels = Math.floor(depth / open.length)
      const deep = `{"a":${open.repeat(levels)}1${close.repeat(levels)}}`
      expect(read(deep, ['b'])).toEqual([absent])
      expect(read(deep.slice(0, -2), ['b'])).toBe('refused')
      expect(read(`${deep.slice(0, -2)}${open === '[' ? '}' : ']'}}`, ['b'])).toBe('refused')
    }
  })

  test('a path may be as long as a condition', () => {
    const steps = Array.from({ length: 2_000 }, (_, index) => (index % 2 === 0 ? 'a' : 0))
    const document = `${'{"a":['.repeat(1_000)}7${']}'.repeat(1_000)}`
    expect(read(document, steps)).toEqual([7])
  })
})
