import { expect, test } from 'vitest'
import { spanOf } from './marked-text.tsx'

test.each([
  ['as_numbr(level) > 3', [1, 1], [1, 9], 'as_numbr'],
  ['a = 1\nAND b ==', [2, 7], [2, 9], '=='],
  ['a >', [1, 4], [1, 4], ''],
  ['a', [9, 9], [9, 9], ''],
])(
  'of %j the part from %j to %j is %j',
  (text, [startLine = 0, startColumn = 0], [endLine = 0, endColumn = 0], part) => {
    const place = { start: { line: startLine, column: startColumn }, end: { line: endLine, column: endColumn } }
    expect(text.slice(...spanOf(text, place))).toBe(part)
  },
)
