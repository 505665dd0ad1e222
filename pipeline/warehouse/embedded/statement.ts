import { assertFormatName, EngineError } from './engine-error.ts'
import { isWord, reads, refuseMachineAccess } from './permissions.ts'
import { type SqlToken, sqlTokens } from './sql-tokens.ts'

/**
 * What a request's text is, so that it can be rewritten for the engine: results leave and rows enter through files,
 * because the engine's own inline insert loses leading bytes of binary data.
 */
export type Statement = ReadStatement | CommandStatement | InsertStatement

/** A statement with a result: SELECT, SHOW, DESCRIBE … */
export interface ReadStatement {
  readonly kind: 'read'
  readonly tokens: readonly SqlToken[]
  /** The text before its FORMAT clause, and the clause with what follows (empty if there is none). */
  readonly text: string
  readonly tail: string
  readonly format: string | undefined
}

export interface CommandStatement {
  readonly kind: 'command'
  readonly tokens: readonly SqlToken[]
  readonly text: string
}

/** An INSERT whose rows follow the statement. */
export interface InsertStatement {
  readonly kind: 'insert'
  readonly format: string
  /** Byte offset of the first byte of the rows. */
  readonly dataAt: number
  /** The statement that reads its rows from `file` instead (a path without quotes or backslashes). */
  readonly textFor: (file: string) => string
}

/**
 * Reads the statement at the beginning of `head` (the query of the URL, a newline, the beginning of the body).
 * @param complete whether `head` is the whole request; if not, `undefined` asks for more bytes
 * @throws EngineError for what a ClickHouse server refuses over HTTP
 */
export function statementOf(head: Buffer, complete: boolean): Statement | undefined {
  const sql = head.toString('latin1')
  const tokens = sqlTokens(sql)
  const first = tokens.next().value
  if (!first) {
    if (!complete) return undefined
    throw new EngineError(62, 'SYNTAX_ERROR', 'Empty query')
  }
  if (isWord(first, 'INSERT')) {
    const insert = insertOf(head, sql, tokens, complete)
    if (insert !== 'not-inline') return insert
  }
  if (!complete) return undefined
  return wholeStatement(head, sql, first)
}

function wholeStatement(head: Buffer, sql: string, first: SqlToken): Statement {
  const all = [...sqlTokens(sql)]
  const semicolon = all.findIndex((token) => token.value === ';' && token.kind === 'symbol')
  if (semicolon >= 0 && all.slice(semicolon).some((token) => token.value !== ';' || token.kind !== 'symbol')) {
    throw new EngineError(62, 'SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)')
  }
  const tokens = semicolon < 0 ? all : all.slice(0, semicolon)
  const last = tokens.at(-1)
  const end = last ? last.end : head.length
  const text = head.toString('utf8', 0, end)
  refuseMachineAccess(tokens)
  if (!reads(tokens)) return { kind: 'command', tokens, text: isWord(first, 'KILL') ? killText(text) : text }
  const formatIndex = trailingFormat(tokens)
  const format = tokens[formatIndex]
  if (!format) return { kind: 'read', tokens, text, tail: '', format: undefined }
  return {
    kind: 'read',
    tokens,
    text: head.toString('utf8', 0, format.start),
    tail: head.toString('utf8', format.start, end),
    format: tokens[formatIndex + 1]?.value,
  }
}

/** The engine gives every query an id of its own; the client's is kept as the query's comment. */
function killText(text: string): string {
  return text.replace(/\bquery_id\b/g, "Settings['log_comment']")
}

/** Index of a `FORMAT name` that ends the statement or stands before its SETTINGS; -1 if there is none. */
function trailingFormat(tokens: readonly SqlToken[]): number {
  for (let index = tokens.length - 2; index > 0; index -= 1) {
    const next = tokens[index + 2]
    const ends = next === undefined || isWord(next, 'SETTINGS')
    if (ends && tokens[index]?.depth === 0 && isWord(tokens[index], 'FORMAT') && isName(tokens[index + 1])) return index
  }
  return -1
}

function insertOf(
  head: Buffer,
  sql: string,
  tokens: Generator<SqlToken, void>,
  complete: boolean,
): InsertStatement | undefined | 'not-inline' {
  let settingsAt = -1
  let inputStart = -1
  let inputEnd = -1
  let structure = ''
  let hasSelect = false
  let name: SqlToken | undefined
  const seen: SqlToken[] = []
  for (const token of tokens) {
    const before = seen.at(-1)
    seen.push(token)
    if (!name) {
      if (isName(token) && !isWord(token, 'INTO') && !isWord(token, 'TABLE')) name = token
      continue
    }
    if (inputStart >= 0 && inputEnd < 0) {
      if (token.kind === 'text' && structure === '') structure = head.toString('utf8', token.start, token.end)
      if (token.value === ')' && token.kind === 'symbol') inputEnd = token.end
      continue
    }
    if (token.value === '(' && isWord(before, 'input') && hasSelect && before) inputStart = before.start
    // `db.values` and `db.format` are names; a keyword can't follow a dot.
    if (token.depth > 0 || before?.value === '.') continue
    const namesFormat = before !== name && isWord(before, 'FORMAT') && seen.at(-3)?.value !== '.'
    if (isWord(token, 'SELECT') || isWord(token, 'WITH')) hasSelect = true
    else if (isWord(token, 'SETTINGS') && !hasSelect && settingsAt < 0) settingsAt = token.start
    else if (isWord(token, 'VALUES') && !hasSelect && !namesFormat) {
      if (token.end === sql.length && !complete) return undefined
      refuseMachineAccess(seen)
      return fromInfile(head, settingsAt, token.start, 'Values', token.end)
    } else if (before && namesFormat && isName(token)) {
      refuseMachineAccess(seen)
      assertFormatName(token.value)
      const dataAt = dataAfterFormat(sql, token.end)
      if (dataAt === sql.length && !complete) return undefined
      if (!hasSelect) return fromInfile(head, settingsAt, before.start, token.value, dataAt)
      if (inputEnd >= 0) {
        const start = head.toString('utf8', 0, inputStart)
        const middle = head.toString('utf8', inputEnd, before.start)
        return {
          kind: 'insert',
          format: token.value,
          dataAt,
          textFor: (file) => `${start}file('${file}', ${token.value}, ${structure}, 'none')${middle}`,
        }
      }
    }
  }
  return complete ? 'not-inline' : undefined
}

function fromInfile(
  head: Buffer,
  settingsAt: number,
  formatAt: number,
  format: string,
  dataAt: number,
): InsertStatement {
  const start = head.toString('utf8', 0, settingsAt < 0 ? formatAt : settingsAt)
  const settings = settingsAt < 0 ? '' : head.toString('utf8', settingsAt, formatAt)
  const textFor = (file: string) => `${start} FROM INFILE '${file}' COMPRESSION 'none' ${settings} FORMAT ${format}`
  return { kind: 'insert', format, dataAt, textFor }
}

/** Rows begin after the first newline that follows the format's name, or after the spaces if there is none (as ClickHouse does). */
function dataAfterFormat(sql: string, from: number): number {
  let at = from
  while (sql[at] === ' ' || sql[at] === '\t' || sql[at] === '\f') at += 1
  if (sql[at] === '\r') at += 1
  if (sql[at] === '\n') at += 1
  return at
}

function isName(token: SqlToken | undefined): boolean {
  return token?.kind === 'word' || token?.kind === 'quoted'
}
