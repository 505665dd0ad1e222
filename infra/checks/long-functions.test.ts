import { expect, test } from 'vitest'
import { longFunctions } from './long-functions.ts'

const body = (lines: number) => Array.from({ length: lines }, (_, line) => `  x(${line})`).join('\n')

test.each([
  ['a function', (lines: number) => `\nexport async function f<T>(a: T): Promise<void> {\n${body(lines - 2)}\n}`, 2],
  ['a method', (lines: number) => `class C {\n  readonly #a = 1\n  m(): void {\n${body(lines - 2)}\n  }\n}`, 3],
  ['an arrow function', (lines: number) => `const f = <T>(a: T) => ({\n  a,\n${'  b,\n'.repeat(lines - 3)}})`, 1],
  ['one inside a short one', (lines: number) => `f(() => {\n${body(lines - 2)}\n})`, 1],
])('%s is too long from one line more than may be on', (_, source, line) => {
  expect(longFunctions(source(10), 10)).toEqual([])
  expect(longFunctions(source(11), 10)).toEqual([{ line, lines: 11 }])
})

test('a long function inside a long one is told of as well', () => {
  expect(longFunctions(`function f() {\n  return () => {\n${body(9)}\n  }\n}`, 10)).toEqual([
    { line: 1, lines: 13 },
    { line: 2, lines: 11 },
  ])
})
