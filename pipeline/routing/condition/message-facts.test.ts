import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { absent, arrayValue, objectValue } from './facts.ts'
import { factsOf, type RoutedMessage } from './message-facts.ts'
import { Needs, type Path } from './needs.ts'

function bodyOf(body: RoutedMessage['body'], contentEncoding: string, ...path: (string | number)[]) {
  const systemProperties = Object.entries({ contentType: 'application/json', contentEncoding })
  return valueIn({ properties: [], systemProperties, body }, path)
}

function valueIn(message: RoutedMessage, path: Path) {
  const needs = new Needs()
  const index = needs.bodyPath(path)
  const facts = factsOf(message, needs)
  const value = facts.body(index)
  return value === undefined ? facts.unreadable() : value
}

const utf32 = (...points: number[]) => Buffer.from(Uint32Array.from(points).buffer)
const pointsOf = (text: string) => Array.from(text, (character) => character.codePointAt(0) ?? 0)

describe('facts of a message', () => {
  test('values of a body keep their types; arrays and objects are named only', () => {
    const body = JSON.stringify({ t: 'x', n: -1.5e3, y: true, z: null, a: [[7]], o: { p: {} } })
    const at = (...path: (string | number)[]) => bodyOf(body, 'utf-8', ...path)
    expect([at('t'), at('n'), at('y'), at('z')]).toEqual(['x', -1500, true, null])
    expect([at('a'), at('o', 'p'), at('a', 0), at('a', 0, 0)]).toEqual([arrayValue, objectValue, arrayValue, 7])
  })

  test('a path is absent beyond an array, below what is no object, and by another kind of step', () => {
    const body = JSON.stringify({ t: 'x', a: [7], o: { '0': 1 }, z: null })
    const at = (...path: (string | number)[]) => bodyOf(body, 'utf-8', ...path)
    for (const path of [
      ['T'],
      ['t', 'length'],
      ['t', 0],
      ['a', 1],
      ['a', 'length'],
      ['a', '0'],
      ['o', 0],
      ['z', 'a'],
    ]) {
      expect(at(...path), path.join()).toBe(absent)
    }
  })

  test('what every object inherits is no member of a body, and __proto__ is one where it is sent', () => {
    for (const name of ['constructor', 'toString', '__proto__']) expect(bodyOf('{}', 'utf-8', name)).toBe(absent)
    expect(bodyOf('{"__proto__": {"a": 1}}', 'utf-8', '__proto__', 'a')).toBe(1)
    expect(bodyOf('{"__proto__": {"a": 1}}', 'utf-8', 'a')).toBe(absent)
  })

  test.each(['utf-8', 'UTF-16', 'utf-32'])(
    'a body in %s is decoded, with a byte order mark and without',
    (encoding) => {
      for (const text of ['{"k":"lä😀uft"}', '\uFEFF{"k":"lä😀uft"}']) {
        const bytes =
          encoding === 'utf-32'
            ? utf32(...pointsOf(text))
            : Buffer.from(text, encoding === 'utf-8' ? 'utf8' : 'utf16le')
        expect(bodyOf(bytes, encoding, 'k')).toBe('lä😀uft')
      }
    },
  )

  test('bytes that are no characters are no JSON, also within a text', () => {
    expect(bodyOf(Buffer.from('{"k":"a\xffb"}', 'latin1'), 'utf-8', 'k')).toBe('not-json')
    const withPoint = (point: number) => utf32(...pointsOf('{"k":"'), point, ...pointsOf('"}'))
    for (const point of [0xd800, 0x110000, 0xffffffff]) expect(bodyOf(withPoint(point), 'utf-32', 'k')).toBe('not-json')
    expect(bodyOf(Buffer.concat([utf32(...pointsOf('{}')), Buffer.of(1)]), 'utf-32', 'k')).toBe('not-json')
    expect(bodyOf(Buffer.from('{}', 'utf16le').swap16(), 'utf-16', 'k')).toBe('not-json')
  })

  test.each(['', '{', '[1]', 'null', '"x"', '7', '{"a":1} x', "{'a':1}", '{"a":01}'])('%j is unreadable', (body) => {
    expect(bodyOf(body, 'utf-8', 'a')).toBe('not-json')
  })

  test('a body that nests as deep as it is long is read, or is not JSON, and nothing else', () => {
    const depth = limits.bodyBytesMax / 8
    expect(bodyOf(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`, 'utf-8', 'a')).toBe(arrayValue)
    expect(bodyOf('{"a":'.repeat(depth), 'utf-8', 'a')).toBe('not-json')
  })

  test('says why a body is unreadable', () => {
    const message = (system: Record<string, string>) => ({
      properties: [],
      systemProperties: Object.entries(system),
      body: '{}',
    })
    expect(valueIn(message({}), ['a'])).toBe('content-type')
    expect(valueIn(message({ contentType: 'text/plain', contentEncoding: 'utf-8' }), ['a'])).toBe('content-type')
    expect(valueIn(message({ contentType: 'application/json' }), ['a'])).toBe('content-encoding')
    expect(valueIn(message({ CONTENTTYPE: 'application/json', contentencoding: 'utf-8' }), ['a'])).toBe(absent)
  })

  test('of names that differ in case only the later one counts', () => {
    const needs = new Needs()
    const [property, tag] = [needs.property('LEVEL'), needs.twinPath(['tags', 'site'])]
    const facts = factsOf(
      {
        properties: [
          ['Level', 'a'],
          ['level', 'b'],
        ],
        systemProperties: [],
        body: '',
        twin: { tags: { Site: 1, SITE: 2 } },
      },
      needs,
    )
    expect([facts.property(property), facts.twin(tag)]).toEqual(['b', 2])
  })
})
