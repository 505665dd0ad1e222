import { describe, expect, test } from 'vitest'
import { desiredFrom, patchBetween } from './desired-content.ts'

const between = (from: object | undefined, to: object | undefined) =>
  patchBetween(from as never, to as never).desired as unknown

describe('the content of a configuration', () => {
  test('is read from paths of desired properties', () => {
    const read = desiredFrom(
      { 'properties.desired.a.b': 1, 'properties.desired.a.c': { d: [1] }, 'properties.desired.e': 'f' },
      'it',
    )
    expect(read).toEqual({ a: { b: 1, c: { d: [1] } }, e: 'f' })
    expect(desiredFrom({ 'properties.desired': { a: 1 } }, 'it')).toEqual({ a: 1 })
    const named = desiredFrom(JSON.parse('{"properties.desired.__proto__.x":1}'), 'it')
    expect(Object.keys(named)).toEqual(['__proto__'])
  })

  test.each([
    [[], /must be a JSON object/],
    [{ 'tags.a': 1 }, /properties.desired and nothing else, not tags.a/],
    [{ 'properties.desired': 1 }, /must be a JSON object/],
    [{ 'properties.desired.a': 1, 'properties.desired.a.b': 2 }, /more than one thing/],
    [{ 'properties.desired.a..b': 1 }, /empty key/],
    [{ 'properties.desired.a': 'x'.repeat(5_000) }, /a text of more than/],
  ])('%o is refused, with what is allowed', (content, reason) => {
    expect(() => desiredFrom(content, 'deviceContent')).toThrow(reason)
  })

  test('takes away what the one before set, and nothing else', () => {
    expect(between(undefined, { a: 1 })).toEqual({ a: 1 })
    expect(between({ a: { b: 1, c: 2 }, d: 3 }, { a: { b: 4 } })).toEqual({ a: { b: 4, c: null }, d: null })
    expect(between({ a: { b: 1 } }, { a: 2 })).toEqual({ a: 2 })
    expect(between({ a: 1 }, { a: { b: 2 } })).toEqual({ a: { b: 2 } })
    expect(between({ a: { b: 1 }, e: [1] }, undefined)).toEqual({ a: { b: null }, e: null })
    const named = between(JSON.parse('{"__proto__":1}'), {}) as object
    expect(Object.entries(named)).toEqual([['__proto__', null]])
  })
})
