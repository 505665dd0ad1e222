import { expect, it } from 'vitest'
import { arePlainValues } from './plain-values.ts'

it.each([
  "(1, 'x'), (2, 'y')",
  "(now(), 1 + 1, toDateTime64('2020-01-01', 3), generateUUIDv4 ())",
  "('y;-- file(1) ß', now(), 'it''s')",
  "(CAST('1' AS Int8), INTERVAL 1 DAY + today(), [upper('a'), 'b'], (1, 2), {'a': 1})",
  String.raw`('it\'s \\', now()), ('\\', toDateTime('2020-01-01')), ('\'', 1 + 1)`,
  `('${"\\'".repeat(300_000)}', now())`,
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
  String.raw`('a\\', file(1), '')`,
  String.raw`('\'', file(1), '\'')`,
  String.raw`(f\'ile(1), 'x')`,
  "('a'file(1))",
  '(1file(1))',
  `(${'a'.repeat(500_000)}, file(1))`,
  `(a${' '.repeat(500_000)}, file(1))`,
  "(/* ' */ file(1) /* ' */)",
])('is not: %j', (rows) => {
  expect(arePlainValues(rows)).toBe(false)
})
