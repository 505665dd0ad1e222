import { expect, test } from 'vitest'
import { lineAndColumn, placeOf } from './fault-place.ts'

/** As ClickHouse 26.7 says them. */
test.each([
  ['SELECT 1 FROMM x', 'Syntax error: failed at position 16 (x): x. Expected one of: token', 'x'],
  ["SELECT 'ü' AS a,\n b c d", 'Syntax error: failed at position 24 (d) (line 2, col 6): d. Expected', 'd'],
  ["SELECT 'üü' AS a b FROM t", 'Syntax error: failed at position 20 (b): b FROM t. Expected', 'b'],
  ['SELECT count( FROM', 'Syntax error: failed at position 13 ((): ( FROM. Unmatched parentheses: (.', '('],
  ["SELECT 'open", "Single quoted string is not closed: Syntax error: failed at position 8 ('open): 'open. .", "'open"],
  ['SELECT 1 +', 'Syntax error: failed at position 11 (end of query): . Expected', '+'],
  ['SELECT body, bodi FROM t', 'Unknown expression identifier `bodi` in scope SELECT body, bodi FROM t.', 'bodi'],
  ['SELECT counted, coun(*) FROM t', 'Function with name `coun` does not exist. In scope', 'coun'],
  ['SELECT 1 FROM p.telemtry', "Unknown table expression identifier 'p.telemtry' in scope SELECT", 'p.telemtry'],
  ['SELECT 1 FROM nowhere.t', 'Database nowhere does not exist. (UNKNOWN_DATABASE)', 'nowhere'],
])('the fault of %j is at its place', (statement, fault, wrong) => {
  const place = placeOf(`Code: 62. DB::Exception: ${fault}`, statement)
  expect(statement.slice(place?.from, place?.to)).toBe(wrong)
  if (wrong.length === 1) expect(place?.from).toBe(statement.lastIndexOf(wrong))
})

test('a fault that names no place, or one that is not there, has none', () => {
  expect(placeOf('Code: 164. DB::Exception: Cannot execute query in readonly mode.', 'DROP TABLE t')).toBeUndefined()
  expect(placeOf("Unknown table expression identifier 'other' in scope", 'SELECT 1')).toBeUndefined()
  expect(placeOf('Syntax error: failed at position 1 (end of query)', '')).toBeUndefined()
})

test('places are said as lines and columns from 1', () => {
  expect(lineAndColumn('SELECT\n  x', 9)).toEqual({ line: 2, column: 3 })
  expect(lineAndColumn('x', 0)).toEqual({ line: 1, column: 1 })
})
