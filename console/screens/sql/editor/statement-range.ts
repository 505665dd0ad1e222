/** Statements within a text. Pure. */

/** Offsets in a text, the second exclusive. */
export interface Place {
  readonly from: number
  readonly to: number
}

export interface StatementRange extends Place {
  readonly text: string
}

/** The statement that the cursor stands in, or behind which nothing follows: `;` parts statements, except within quotes and comments. */
export function statementRangeAt(text: string, cursor: number): StatementRange {
  const ends = [...text.matchAll(parts)].flatMap((match) => (match[0] === ';' ? [match.index] : []))
  let before = { from: 0, to: 0 }
  let start = 0
  for (const end of [...ends, text.length]) {
    const range = trimmed(text, start, end)
    const isLast = end === text.length
    if (isLast && range.from === range.to) return { ...before, text: text.slice(before.from, before.to) }
    if (cursor <= end || isLast) return { ...range, text: text.slice(range.from, range.to) }
    before = range
    start = end + 1
  }
  return { from: 0, to: 0, text: '' }
}

const parts = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|\/\*[\s\S]*?\*\/|;/g

function trimmed(text: string, from: number, to: number): Place {
  const part = text.slice(from, to)
  const begins = from + (part.length - part.trimStart().length)
  return part.trim() === '' ? { from, to: from } : { from: begins, to: begins + part.trim().length }
}
