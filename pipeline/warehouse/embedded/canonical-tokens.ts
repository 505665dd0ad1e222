import { EngineError } from './engine-error.ts'

/**
 * Tokens of a statement as the engine itself writes it (`formatter.ts`). Such text has only one form for each thing: names bare or in
 * backticks, literals in single quotes, single spaces, no comments. Anything else outside quotes is refused. So this reader and the engine
 * never read a text differently.
 */
export interface CanonicalToken {
  /** `word` bare name, keyword or number; `quoted` name in backticks; `text` string literal; `symbol` one character. */
  readonly kind: 'word' | 'quoted' | 'text' | 'symbol'
  /** As written. For `quoted`: the text between the quotes, with its escapes. */
  readonly value: string
  readonly start: number
  readonly end: number
  /** Open brackets before this token. */
  readonly depth: number
}

/** One symbol. A minus or a slash that begins a comment does not match. */
const symbol = /[()[\]{},.:+*%=<>!?^@]|-(?!-)|\/(?![/*])/y
const word = /\w+/y
const wordOrQuote = /[\w'`]/

/** @throws EngineError 62 for text that is not of the engine's own writing */
export function canonicalTokens(sql: string): readonly CanonicalToken[] {
  const tokens: CanonicalToken[] = []
  let depth = 0
  for (let start = 0; start < sql.length; ) {
    const first = sql.charAt(start)
    if (first === ' ') {
      start += 1
      continue
    }
    const kind = first === "'" ? 'text' : first === '`' ? 'quoted' : wordOrQuote.test(first) ? 'word' : 'symbol'
    const end = endOf(kind, sql, start)
    // Words and quotes never touch each other. The engine reads `x'41'` as one literal, and writes it as such.
    if (end === undefined || (kind !== 'symbol' && wordOrQuote.test(sql.charAt(end)))) throw notCanonical(sql, start)
    const value = kind === 'quoted' ? sql.slice(start + 1, end - 1) : sql.slice(start, end)
    if (kind === 'symbol' && (value === ')' || value === ']' || value === '}')) depth -= 1
    tokens.push({ kind, value, start, end, depth })
    if (kind === 'symbol' && (value === '(' || value === '[' || value === '{')) depth += 1
    start = end
  }
  return tokens
}

function endOf(kind: CanonicalToken['kind'], sql: string, start: number): number | undefined {
  if (kind === 'text' || kind === 'quoted') return quoteEnd(sql, start)
  const pattern = kind === 'word' ? word : symbol
  pattern.lastIndex = start
  return pattern.test(sql) ? pattern.lastIndex : undefined
}

/** Position after the quote that closes the one at `start`; undefined if there is none. Every reader of ClickHouse's SQL must find the same. */
export function quoteEnd(sql: string, start: number): number | undefined {
  const quote = sql.charAt(start)
  for (let at = start + 1; at < sql.length; at += 1) {
    const character = sql.charAt(at)
    if (character === '\\') at += 1
    else if (character === quote) {
      if (sql.charAt(at + 1) !== quote) return at + 1
      at += 1
    }
  }
  return undefined
}

function notCanonical(sql: string, at: number): EngineError {
  const place = JSON.stringify(sql.slice(at, at + 20))
  return new EngineError(62, 'SYNTAX_ERROR', `Syntax error: the embedded engine takes no statement with ${place}`)
}

/** True if `token` is the bare word `word`, whatever its case. */
export function isWord(token: { readonly kind: string; readonly value: string } | undefined, word: string): boolean {
  return token?.kind === 'word' && token.value.length === word.length && token.value.toUpperCase() === word
}

/** True if a round bracket follows the token at `index`: it is called, or declared with arguments. */
export function isCalled(tokens: readonly CanonicalToken[], index: number): boolean {
  const next = tokens[index + 1]
  return next?.kind === 'symbol' && next.value === '('
}
