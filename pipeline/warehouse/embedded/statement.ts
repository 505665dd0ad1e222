import { type CanonicalToken, canonicalTokens, isCalled, isWord } from './canonical-tokens.ts'
import { assertFormatName, EngineError } from './engine-error.ts'
import { reads } from './permissions.ts'

/**
 * Finds out what kind a statement is, so that it can be rewritten for the engine. Results leave and rows enter through files, because the
 * engine's own inline insert loses leading bytes of binary data. This reads the text that the engine itself has written (`formatter.ts`).
 */
export type Statement = ReadStatement | CommandStatement | InsertStatement

/** A statement with a result: SELECT, SHOW, DESCRIBE … */
export interface ReadStatement {
  readonly kind: 'read'
  readonly tokens: readonly CanonicalToken[]
  /** The text before its FORMAT clause, and the clause with what follows (empty if there is none). */
  readonly text: string
  readonly tail: string
  readonly format: string | undefined
}

export interface CommandStatement {
  readonly kind: 'command'
  readonly tokens: readonly CanonicalToken[]
  readonly text: string
}

/** An INSERT whose rows follow the statement. */
export interface InsertStatement {
  readonly kind: 'insert'
  readonly tokens: readonly CanonicalToken[]
  readonly format: string
  /** True if it reads its rows by a table function, `INSERT … SELECT … FROM input(…)`. */
  readonly selects: boolean
  /** The same statement, reading its rows from `file` (a path without quotes or backslashes). */
  readonly textFor: (file: string) => string
}

/**
 * @param canonical one statement as the engine writes it
 * @param hasRows whether rows follow it
 * @throws EngineError for what a ClickHouse server refuses over HTTP
 */
export function statementFrom(canonical: string, hasRows: boolean): Statement {
  const tokens = canonicalTokens(canonical)
  if (hasRows) return insertFrom(canonical, tokens)
  if (!reads(tokens)) return { kind: 'command', tokens, text: commandText(canonical, tokens) }
  const format = formatClause(tokens)
  if (!format) return { kind: 'read', tokens, text: canonical, tail: '', format: undefined }
  return {
    kind: 'read',
    tokens,
    text: canonical.slice(0, format.start),
    tail: canonical.slice(format.start),
    format: format.name,
  }
}

/** The engine gives every query an id of its own; the client's is kept as the query's comment. */
function commandText(canonical: string, tokens: readonly CanonicalToken[]): string {
  if (!isWord(tokens[0], 'KILL')) return canonical
  const ids = tokens.filter((token) => isWord(token, 'QUERY_ID'))
  return ids.reduceRight(
    (text, { start, end }) => `${text.slice(0, start)}Settings['log_comment']${text.slice(end)}`,
    canonical,
  )
}

interface FormatClause {
  readonly start: number
  readonly end: number
  readonly name: string
}

/** `FORMAT name` outside brackets, at the end or before SETTINGS. */
function formatClause(tokens: readonly CanonicalToken[]): FormatClause | undefined {
  for (let index = tokens.length - 2; index > 0; index -= 1) {
    const keyword = tokens[index]
    if (keyword?.depth !== 0 || !isWord(keyword, 'FORMAT')) continue
    const [name, next] = [tokens[index + 1], tokens[index + 2]]
    const ends = next === undefined || isWord(next, 'SETTINGS')
    // Formats with the name of a keyword stand in quotes: Null, Values.
    if (ends && (name?.kind === 'word' || name?.kind === 'quoted'))
      return { start: keyword.start, end: name.end, name: name.value }
  }
  return undefined
}

function insertFrom(canonical: string, tokens: readonly CanonicalToken[]): InsertStatement {
  const format = formatClause(tokens)
  if (!isWord(tokens[0], 'INSERT') || !format)
    throw new EngineError(62, 'SYNTAX_ERROR', 'Syntax error: rows follow a statement that takes none')
  assertFormatName(format.name)
  const common = { kind: 'insert', tokens, format: format.name } as const
  const select = tokens.findIndex((token) => token.depth === 0 && (isWord(token, 'SELECT') || isWord(token, 'WITH')))
  if (select < 0) {
    const settings = tokens.find((token) => token.depth === 0 && isWord(token, 'SETTINGS'))
    const head = canonical.slice(0, Math.min(settings?.start ?? format.start, format.start))
    const rest = canonical.slice(head.length)
    return { ...common, selects: false, textFor: (file) => `${head}FROM INFILE '${file}' COMPRESSION 'none' ${rest}` }
  }
  const at = tokens.findIndex((token, index) => index > select && isWord(token, 'INPUT') && isCalled(tokens, index))
  const [input, , structure, close] = tokens.slice(at, at + 4)
  if (at < 0 || !input || structure?.kind !== 'text' || close?.value !== ')')
    throw new EngineError(62, 'SYNTAX_ERROR', "Syntax error: rows follow an INSERT … SELECT without input('structure')")
  const start = canonical.slice(0, input.start)
  const middle = canonical.slice(close.end, format.start)
  const rest = canonical.slice(format.end)
  return {
    ...common,
    selects: true,
    textFor: (file) => `${start}file('${file}', ${format.name}, ${structure.value}, 'none')${middle}${rest}`,
  }
}

export function quotedName(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}
