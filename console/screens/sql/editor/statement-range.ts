/** Statements within a text. Pure. */

/** Offsets in a text, the second exclusive. */
export interface Place {
  readonly from: number
  readonly to: number
}

export interface StatementRange extends Place {
  readonly text: string
}

/** All statements, but comments alone: `;` parts them, except within quotes and comments. */
export function statementRanges(text: string): StatementRange[] {
  return partsOf(text)
    .map(({ from, to }) => ({ from, to, text: text.slice(from, to) }))
    .filter(({ text: statement }) => !commentsOnly.test(statement))
}

/** The statement that the cursor stands in, or behind which nothing follows. */
export function statementRangeAt(text: string, cursor: number): StatementRange {
  const all = partsOf(text)
  const last = all.at(-1)
  // What follows the last semicolon is mostly nothing.
  if (all.length > 1 && last?.from === last?.to) all.pop()
  const { from, to } = all.find(({ end }) => cursor <= end) ?? all.at(-1) ?? { from: 0, to: 0 }
  return { from, to, text: text.slice(from, to) }
}

/** @returns each trimmed, with the place of the semicolon that ends it */
function partsOf(text: string): (Place & { readonly end: number })[] {
  const ends = [...text.matchAll(parts)].flatMap((match) => (match[0] === ';' ? [match.index] : []))
  return [...ends, text.length].map((end, index, all) => {
    const start = index === 0 ? 0 : (all[index - 1] ?? 0) + 1
    return { ...trimmed(text, start, end), end }
  })
}

const parts = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--[^\n]*|\/\*[\s\S]*?\*\/|;/g

const commentsOnly = /^(?:\s|--[^\n]*|\/\*[\s\S]*?\*\/)*$/

function trimmed(text: string, from: number, to: number): Place {
  const part = text.slice(from, to)
  const begins = from + (part.length - part.trimStart().length)
  return part.trim() === '' ? { from, to: from } : { from: begins, to: begins + part.trim().length }
}
