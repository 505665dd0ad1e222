import { isWord, quoteEnd } from './canonical-tokens.ts'
import { EngineError } from './engine-error.ts'

/**
 * Finds where the text of a statement ends and the rows that follow an INSERT begin. Only the engine knows what a statement means
 * (`formatter.ts`), and rows are never shown to it as a statement. So this reads no more than it needs to find the rows, in linear time.
 * If it reads an INSERT in another way than the engine does, the engine refuses the text that it gets, and rows stay rows.
 */
export interface StatementText {
  readonly text: Buffer
  /** Byte offset of the first row behind the text; undefined if no rows follow. */
  readonly rowsAt: number | undefined
}

/**
 * @param head the query of the URL, a newline, and the beginning of the body
 * @param complete true if `head` is the whole request; if not, the result `undefined` asks for more bytes
 * @throws EngineError 62 if there is nothing
 */
export function statementTextOf(head: Buffer, complete: boolean): StatementText | undefined {
  // Positions in latin1 are byte offsets, whatever the text holds.
  const sql = head.toString('latin1')
  const tokens = rawTokens(sql)
  const first = tokens.next().value ?? undefined
  if (!first && complete) throw new EngineError(62, 'SYNTAX_ERROR', 'Empty query')
  const last = isWord(first, 'INSERT') ? lastOfInsert(tokens) : undefined
  if (last) {
    const rowsAt = last.isFormat ? afterFormat(sql, last.end) : last.end
    // The word, or the space after it, may go on in the next bytes.
    if (rowsAt < sql.length || complete) return { text: head.subarray(0, last.end), rowsAt }
  }
  return complete ? { text: head, rowsAt: undefined } : undefined
}

/** End of `VALUES` or of a format's name, if an INSERT has rows after it. */
function lastOfInsert(tokens: Iterable<RawToken>): { readonly end: number; readonly isFormat: boolean } | undefined {
  let expected: 'table' | 'clause' | 'format' = 'table'
  let hasSelect = false
  let hasInput = false
  let before: RawToken | undefined
  for (const token of tokens) {
    const behindDot = before?.value === '.'
    const opensInput = isWord(before, 'INPUT') && token.value === '('
    before = token
    if (expected === 'table') {
      if (isName(token) && !isWord(token, 'INTO') && !isWord(token, 'TABLE')) expected = 'clause'
      continue
    }
    hasInput ||= hasSelect && opensInput
    // `db.values` and `db.format` are names: no keyword follows a dot.
    if (token.depth > 0 || behindDot) continue
    if (expected === 'format' && isName(token) && (!hasSelect || hasInput)) return { end: token.end, isFormat: true }
    expected = isWord(token, 'FORMAT') ? 'format' : 'clause'
    if (isWord(token, 'SELECT') || isWord(token, 'WITH')) hasSelect = true
    if (isWord(token, 'VALUES') && !hasSelect) return { end: token.end, isFormat: false }
  }
  return undefined
}

/** Rows begin after the first newline that follows the format's name, or after the spaces if there is none (as ClickHouse does). */
function afterFormat(sql: string, from: number): number {
  let at = from
  while (sql[at] === ' ' || sql[at] === '\t' || sql[at] === '\f') at += 1
  if (sql[at] === '\r') at += 1
  if (sql[at] === '\n') at += 1
  return at
}

interface RawToken {
  readonly kind: 'word' | 'quoted' | 'other'
  readonly value: string
  readonly end: number
  /** Open brackets before this token. */
  readonly depth: number
}

const isName = ({ kind }: RawToken): boolean => kind !== 'other'

const space = /[ \t\n\r\f\v]/
const word = /\w+/y

/** Words, quotes, comments and brackets as ClickHouse reads them. They are read lazily, so rows are never read. */
function* rawTokens(sql: string): Generator<RawToken, void> {
  let depth = 0
  for (let start = 0; start < sql.length; ) {
    const first = sql.charAt(start)
    word.lastIndex = start
    const comment = commentEnd(sql, start)
    let end = start + 1
    if (comment !== undefined) end = comment
    else if (space.test(first)) end = start + 1
    else if (first === "'" || first === '"' || first === '`') {
      end = quoteEnd(sql, start) ?? sql.length
      yield { kind: first === "'" ? 'other' : 'quoted', value: '', end, depth }
    } else if (word.test(sql)) {
      end = word.lastIndex
      yield { kind: 'word', value: sql.slice(start, end), end, depth }
    } else {
      if (first === ')' || first === ']' || first === '}') depth -= 1
      yield { kind: 'other', value: first, end, depth }
      if (first === '(' || first === '[' || first === '{') depth += 1
    }
    start = end
  }
}

const lineComments: ReadonlySet<string> = new Set(['--', '//', '#!', '# '])

/** Position after the comment that begins at `start`; undefined if none begins there. */
function commentEnd(sql: string, start: number): number | undefined {
  const two = sql.slice(start, start + 2)
  if (lineComments.has(two)) {
    const newline = sql.indexOf('\n', start)
    return newline < 0 ? sql.length : newline + 1
  }
  if (two !== '/*') return undefined
  // Comments stand within comments.
  let depth = 0
  for (let at = start; at < sql.length; at += 1) {
    const pair = sql.slice(at, at + 2)
    if (pair === '/*') depth += 1
    else if (pair === '*/') depth -= 1
    else continue
    at += 1
    if (depth === 0) return at + 1
  }
  return sql.length
}
