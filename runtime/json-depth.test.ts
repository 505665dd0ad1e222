import { expect, test } from 'vitest'
import { isWithinDepth } from './json-depth.ts'

test.each([
  ['1', 0, true],
  ['[]', 0, false],
  ['[]', 1, true],
  ['{"a":[1,{"b":2}]}', 3, true],
  ['{"a":[1,{"b":2}]}', 2, false],
  ['[[],[],[]]', 2, true],
  ['"[[[["', 0, true],
  ['"\\"[[[["', 0, true],
  ['"\\\\"', 0, true],
  ['["\\\\",[]]', 1, false],
  ['['.repeat(100_000), 32, false],
])('%.30s lies within %i levels: %s', (json, depthMax, expected) => {
  expect(isWithinDepth(Buffer.from(json), depthMax)).toBe(expected)
})
