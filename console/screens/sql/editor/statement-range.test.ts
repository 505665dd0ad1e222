import { expect, test } from 'vitest'
import { statementRangeAt, statementRanges } from './statement-range.ts'

test.each([
  ['SELECT 1; SELECT 2', 3, 'SELECT 1'],
  ['SELECT 1; SELECT 2', 12, 'SELECT 2'],
  ['SELECT 1; SELECT 2', 18, 'SELECT 2'],
  ["SELECT ';' AS a; SELECT 2", 3, "SELECT ';' AS a"],
  ['SELECT 1 -- a; b\n; SELECT 2', 3, 'SELECT 1 -- a; b'],
  ['SELECT /* ; */ 1', 14, 'SELECT /* ; */ 1'],
  ['SELECT `a;b` FROM t;', 5, 'SELECT `a;b` FROM t'],
  ['SELECT 1;\n', 10, 'SELECT 1'],
  ['\n  SELECT 1  ;', 0, 'SELECT 1'],
  ['', 0, ''],
  [' ; ', 3, ''],
])('in %j at %i the statement is %j', (text, cursor, statement) => {
  const range = statementRangeAt(text, cursor)
  expect(range.text).toBe(statement)
  expect(text.slice(range.from, range.to)).toBe(statement)
})

test('all statements are those between semicolons that part them', () => {
  const text = "SELECT ';' AS a; -- one; two\n ;; SELECT 2;\n"
  expect(statementRanges(text).map((range) => range.text)).toEqual(["SELECT ';' AS a", 'SELECT 2'])
})
