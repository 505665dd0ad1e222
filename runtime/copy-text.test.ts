import { expect, test } from 'vitest'
import { copyLine, linesOf, valuesOfCopyLine } from './copy-text.ts'

test('a row of COPY is read as it was written, whatever its values hold, and in whatever pieces it comes', async () => {
  const rows = [
    ['plain', null, ''],
    ['a\tb', 'line\nfeed\r', 'back\\slash \\N \\t'],
    ['\\N', '\u2028\u00e4', '\\\\x00ff'],
  ]
  const text = rows.map(copyLine).join('')
  const pieces = async function* () {
    for (const character of text) yield character
  }
  const read: (string | null)[][] = []
  for await (const line of linesOf(pieces())) read.push(valuesOfCopyLine(line))
  expect(read).toEqual(rows)
  expect(copyLine(['a\tb', null])).toBe('a\\tb\t\\N\n')
})
