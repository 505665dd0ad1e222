import { describe, expect, test } from 'vitest'
import {
  aBoolean,
  aCount,
  aNumber,
  aText,
  listOf,
  mapOf,
  nothing,
  oneOf,
  optional,
  recordOf,
  variantsOf,
  wholeAs,
} from './json-check.ts'

describe('checks of JSON', () => {
  test('give what is right, and say where it is not', () => {
    const check = recordOf<{ readonly name: string; readonly parts: readonly { readonly size: number }[] }>({
      name: aText,
      parts: listOf(recordOf<{ readonly size: number }>({ size: aCount })),
    })
    const right = { name: 'n', parts: [{ size: 0 }] }
    expect(check(right)).toEqual(right)
    expect(() => check(null)).toThrow(/^is no object$/)
    expect(() => check([])).toThrow(/^is no object$/)
    expect(() => check({ parts: [] })).toThrow(/^\.name is no text$/)
    expect(() => check({ name: 'n', parts: {} })).toThrow(/^\.parts is no list$/)
    expect(() => check({ name: 'n', parts: [{ size: 0 }, { size: 1.5 }] })).toThrow(/^\.parts\[1\]\.size is no count$/)
  })

  test('leave out what they do not name, so that a newer writer may say more', () => {
    expect(recordOf<{ readonly a: number }>({ a: aNumber })({ a: 1, b: 2 })).toEqual({ a: 1 })
  })

  test('know a kind by its own name only, and a map’s names whatever they are', () => {
    const union = variantsOf<'kind', { readonly kind: 'a'; readonly n: number } | { readonly kind: 'b' }>('kind', {
      a: recordOf<{ readonly kind: 'a'; readonly n: number }>({ kind: oneOf('a'), n: aNumber }),
      b: () => ({ kind: 'b' }),
    })
    expect([union({ kind: 'a', n: 1 }), union({ kind: 'b' })]).toEqual([{ kind: 'a', n: 1 }, { kind: 'b' }])
    for (const kind of ['c', 'toString', undefined, 1]) expect(() => union({ kind })).toThrow('.kind')
    const map = mapOf(aBoolean)(JSON.parse('{"__proto__":true,"x":false}'))
    expect(Object.entries(map)).toEqual([
      ['__proto__', true],
      ['x', false],
    ])
    expect(() => mapOf(aBoolean)({ x: 1 })).toThrow('.x is neither true nor false')
  })

  test('give what is passed on whole, once its essentials are right', () => {
    const check = wholeAs<{ readonly a: number }>(recordOf({ a: aNumber }))
    const value = { a: 1, b: 2 }
    expect(check(value)).toBe(value)
    expect(() => check({ b: 2 })).toThrow('.a is no number')
  })

  test('take what is left out where it may be, also as the null that JSON makes of it', () => {
    for (const value of [undefined, null]) expect(optional(aText)(value)).toBe(undefined)
    expect(() => optional(aText)(1)).toThrow('is no text')
    expect(nothing('anything')).toBe(undefined)
    expect(() => oneOf('a', 'b')('c')).toThrow('is none of a, b')
    for (const value of [-1, 0.5, 2 ** 53, '1', Number.NaN]) expect(() => aCount(value)).toThrow('is no count')
  })
})
