import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { patchFrom, sectionFrom } from './patch-json.ts'

const invalid = (message: RegExp) =>
  expect.objectContaining({ code: 'TWIN_INVALID', message: expect.stringMatching(message) })
const patchOf = (text: string): unknown => patchFrom(Buffer.from(text))
const nested = (depth: number, inner: string): string => '{"a":'.repeat(depth) + inner + '}'.repeat(depth)

describe('a patch as it was sent', () => {
  test.each([
    ['an empty one', '{}'],
    ['every kind of value', '{"t":"x","n":-1.5,"b":true,"z":null,"l":[1,[null,{"k":"v"}]],"o":{}}'],
    ['ten objects below the section', nested(11, '1')],
    ['the largest numbers', `{"a":${2 ** 52},"b":-${2 ** 52}}`],
    ['the longest text', `{"a":"${'é'.repeat(2048)}"}`],
    ['the longest key', `{"${'k'.repeat(1024)}":1}`],
    ['a key as the language has them', '{"__proto__":1,"constructor":{"prototype":2}}'],
    ['braces and quotes in texts', String.raw`{"a":"{[\"\\","b":"]}"}`],
    ['letters beyond the first plane', '{"😀":"😀"}'],
  ])('is taken with %s', (_, text) => {
    expect(JSON.stringify(patchOf(text))).toBe(JSON.stringify(JSON.parse(text)))
  })

  test('what clients send back of what they read is left out', () => {
    expect(JSON.stringify(patchOf('{"a":1,"$version":4,"$metadata":{"$lastUpdated":"t"}}'))).toBe('{"a":1}')
  })

  test.each([
    ['no JSON', '{"a":}', /not JSON/],
    ['nothing', '', /not JSON/],
    ['a list', '[]', /must be a JSON object/],
    ['null', 'null', /must be a JSON object/],
    ['eleven objects below the section', nested(12, '1'), /nests deeper/],
    ['a list too deep', nested(11, '[[1]]'), /nests deeper/],
    ['a million brackets', '['.repeat(40_000), /nests deeper/],
    ['a million braces', `{"a":`.repeat(9_000), /nests deeper/],
    ['too many keys', `{${Array.from({ length: 1025 }, (_, i) => `"k${i}":1`).join()}}`, /more than 1024 entries/],
    ['too many items', `{"a":[${'1,'.repeat(1024)}1]}`, /more than 1024 entries/],
    ['too many bytes', `{"a":"${'x'.repeat(limits.twinPatchBytesMax)}"}`, /bytes/],
    ['a text of more than 4 KiB', `{"a":"${'é'.repeat(2049)}"}`, /text of more than 4096 bytes/],
    ['a key of more than 1 KiB', `{"${'k'.repeat(1025)}":1}`, /key of more than 1024 bytes/],
    ['an empty key', '{"":1}', /empty key/],
    ['a key with a dot', '{"a":{"b.c":1}}', /key with a control character/],
    ['a key with a dollar', '{"$a":1}', /key with a control character/],
    ['$version below the top', '{"a":{"$version":1}}', /key with a control character/],
    ['a key with a space', '{"a b":1}', /key with a control character/],
    ['a key with a control character', '{"a\\u0007":1}', /key with a control character/],
    ['a number too large', `{"a":${2 ** 52 + 1}}`, /number beyond/],
    ['a number that is none any more', '{"a":1e999}', /number beyond/],
    ['a number too large in a list', '{"a":[-1e300]}', /number beyond/],
    ['the zero character', '{"a":"\\u0000"}', /cannot be stored/],
    ['half of a pair', '{"a":"\\ud800"}', /cannot be stored/],
    ['half of a pair as key', '{"\\udc00":1}', /cannot be stored/],
    ['the zero character in a list', '{"a":["\\u0000"]}', /cannot be stored/],
  ])('is refused with %s', (_, text, message) => {
    expect(() => patchOf(text)).toThrow(invalid(message))
  })

  test('a body that is no object has no sections', () => {
    expect(() => sectionFrom(undefined, 'tags')).toThrow(invalid(/^tags must be/))
  })
})
