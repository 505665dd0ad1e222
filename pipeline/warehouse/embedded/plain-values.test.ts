import { expect, it } from 'vitest'
import { arePlainValues } from './plain-values.ts'

it.each([
  "(1, 'x'), (2, 'y')",
  "(now(), 1 + 1, toDateTime64('2020-01-01', 3), generateUUIDv4 ())",
  "('y;-- file(1) ß', now(), 'it''s')",
  "(CAST('1' AS Int8), INTERVAL 1 DAY + today(), [upper('a'), 'b'], (1, 2), {'a': 1})",
])('is plain: %s', (rows) => {
  expect(arePlainValues(rows)).toBe(true)
})

it.each([
  "(file('/x'))",
  "(now(), file\n('/x'))",
  "(file/* */('/x'))",
  "(file -- \n('/x'))",
  "(file // \n('/x'))",
  "(`file`('/x'))",
  "(`fi\\x6ce`('/x'))",
  '("file"(1))',
  '(“file”(1))',
  '(file\u00a0(1))',
  '((SELECT 1))',
  "($$'$$, file(1))",
  '(arrayMap(file, [1]))',
  'nowfile(1)',
  "('a\\'', file(1), '')",
  "(now(), 'a",
  "(/* ' */ file(1) /* ' */)",
])('is not: %j', (rows) => {
  expect(arePlainValues(rows)).toBe(false)
})
