/**
 * ClickHouse's lexer, as far as telling words, literals and brackets apart needs it. Works on bytes seen as latin1, so that
 * positions are byte offsets whatever the text holds. Permissions are read from these tokens, so what the engine might read in
 * another way (spaces and quotes of Unicode, comments within comments) is `foreign`.
 */
export interface SqlToken {
  /** `word` bare identifier or keyword; `quoted` identifier in " or `; `text` string literal; `symbol` other ASCII; `foreign` the rest. */
  readonly kind: 'word' | 'quoted' | 'text' | 'symbol' | 'foreign'
  /** The token as written; for `quoted` what stands between its quotes, escapes and all. */
  readonly value: string
  readonly start: number
  readonly end: number
  /** Open brackets before this token. */
  readonly depth: number
}

const spaces = new Set([' ', '\t', '\n', '\r', '\f', '\v'])
const wordCharacter = /[A-Za-z0-9_$]/
const foreignCharacter = /[^!-~]/

/** Tokens of `sql` from `from` on, read lazily: data that follows an INSERT statement is never looked at. */
export function* sqlTokens(sql: string, from = 0): Generator<SqlToken, void> {
  let at = from
  let depth = 0
  while (true) {
    at = afterSpace(sql, at)
    if (at >= sql.length) return
    const start = at
    const character = sql.charAt(at)
    if (character === "'") {
      at = afterQuoted(sql, at, "'")
      yield { kind: 'text', value: sql.slice(start, at), start, end: at, depth }
    } else if (character === '"' || character === '`') {
      at = afterQuoted(sql, at, character)
      yield { kind: 'quoted', value: sql.slice(start + 1, at - 1), start, end: at, depth }
    } else if (character === '$' && heredocEnd(sql, at) > 0) {
      at = heredocEnd(sql, at)
      yield { kind: 'text', value: sql.slice(start, at), start, end: at, depth }
    } else if (wordCharacter.test(character)) {
      while (at < sql.length && wordCharacter.test(sql.charAt(at))) at += 1
      yield { kind: 'word', value: sql.slice(start, at), start, end: at, depth }
    } else if (foreignCharacter.test(character) || sql.startsWith('/*', at)) {
      at += 1
      yield { kind: 'foreign', value: character, start, end: at, depth }
    } else {
      at += 1
      if (character === ')' || character === ']' || character === '}') depth -= 1
      yield { kind: 'symbol', value: character, start, end: at, depth }
      if (character === '(' || character === '[' || character === '{') depth += 1
    }
  }
}

function afterSpace(sql: string, from: number): number {
  let at = from
  while (at < sql.length) {
    const two = sql.slice(at, at + 2)
    if (spaces.has(sql.charAt(at))) at += 1
    else if (lineComments.has(two)) at = indexAfter(sql, '\n', at)
    else if (two === '/*' && !isNested(sql, at)) at = indexAfter(sql, '*/', at + 2)
    else break
  }
  return at
}

const lineComments = new Set(['--', '//', '#!', '# '])

/** Whether another comment begins in the one at `from`. */
function isNested(sql: string, from: number): boolean {
  return sql.slice(from + 2, indexAfter(sql, '*/', from + 2)).includes('/*')
}

function indexAfter(sql: string, needle: string, from: number): number {
  const index = sql.indexOf(needle, from)
  return index < 0 ? sql.length : index + needle.length
}

function afterQuoted(sql: string, from: number, quote: string): number {
  let at = from + 1
  while (at < sql.length) {
    const character = sql.charAt(at)
    if (character === '\\') at += 2
    else if (character !== quote) at += 1
    else if (sql.charAt(at + 1) === quote) at += 2
    else return at + 1
  }
  return sql.length
}

const heredocTag = /\$\w*\$/y

function heredocEnd(sql: string, from: number): number {
  heredocTag.lastIndex = from
  const tag = heredocTag.exec(sql)?.[0]
  if (tag === undefined) return -1
  const end = sql.indexOf(tag, from + tag.length)
  return end < 0 ? -1 : end + tag.length
}
