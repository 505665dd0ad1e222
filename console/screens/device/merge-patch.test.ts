import { describe, expect, test } from 'vitest'
import { differences, mergePatchOf, readObject } from './merge-patch.ts'

/** As the server applies it (RFC 7396). */
function applied(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = applied(result[name], value)
  }
  return result
}

describe('a merge patch', () => {
  test.each([
    [{ a: 1 }, { a: 2 }, { a: 2 }],
    [{ a: 1, b: 2 }, { a: 1 }, { b: null }],
    [{ a: { b: 1, c: 2 } }, { a: { b: 1 } }, { a: { c: null } }],
    [{ a: [1, 2] }, { a: [1] }, { a: [1] }],
    [{ a: 1 }, { a: { b: 1 } }, { a: { b: 1 } }],
    [{ a: { b: 1 } }, { a: 1 }, { a: 1 }],
    [{ a: 1 }, { a: 1 }, {}],
    [{}, JSON.parse('{"toString":1}'), { toString: 1 }],
  ])('from %j to %j is %j, and makes the one into the other', (from, to, patch) => {
    expect(mergePatchOf(from, to)).toEqual(patch)
    expect(applied(from, mergePatchOf(from, to))).toEqual(to)
  })
})

test('what is desired and not reported so is named by its path', () => {
  const desired = { a: 1, b: { c: 2, d: 3 }, e: [1] }
  expect(differences(desired, { a: 1, b: { c: 2 }, e: [2] })).toEqual(['b.d', 'e'])
  expect(differences(desired, desired)).toEqual([])
})

test('what was typed must be a JSON object', () => {
  expect(readObject('{"a":1}')).toEqual({ value: { a: 1 } })
  expect(readObject('[1]').fault).toMatch(/object/)
  expect(readObject('{').fault).toBeTypeOf('string')
})
