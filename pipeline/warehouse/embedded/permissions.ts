import { EngineError } from './engine-error.ts'
import { withoutExpressions } from './engine-rights.ts'
import { isClosedFunction, isClosedScalar, isOpenEngine, judgedEngines } from './machine-names.ts'
import type { QueryRequest } from './request.ts'
import type { SqlToken } from './sql-tokens.ts'

/**
 * What a ClickHouse server would refuse by its configuration and the library engine does not: reading and writing files of
 * the machine, running programs. Nobody may, as the engine runs with the rights of whoever started it. What only shows once a
 * statement runs is refused by the engine under `engine-rights.ts`.
 * @throws EngineError if the statement reaches for the machine's files or programs, or may be read in two ways
 */
export function refuseMachineAccess(tokens: readonly SqlToken[]): void {
  const attaches = tokens.some((token) => isWord(token, 'ATTACH'))
  const takesFunctions = tokens.some((token, index) => takesFunction.test(token.value) && isCalled(tokens, index))
  const makesStorage = tokens.some((token) => isWord(token, 'CREATE') || isWord(token, 'REPLACE')) || attaches
  tokens.forEach((token, index) => {
    const next = tokens[index + 1]
    const before = tokens[index - 1]
    switch (token.kind) {
      case 'foreign':
        throw syntaxError('a character, or a comment within a comment, that can be read in more than one way')
      case 'symbol':
        return
      case 'text':
        if (/^'\s*file:/i.test(token.value)) refuse('a file: address')
        if (attaches && isWord(before, 'FROM')) refuse('ATTACH … FROM')
        return
      case 'quoted':
        if (token.value.includes('\\')) throw syntaxError('a backslash in a quoted name')
        break
      case 'word':
        if (isWord(token, 'INTO')) refuseOutfile(next)
        if (isWord(token, 'INFILE') && isWord(before, 'FROM'))
          throw new EngineError(78, 'UNKNOWN_TYPE_OF_QUERY', 'Query has infile and was send directly to server')
        if (isWord(token, 'ENGINE') && makesStorage) refuseEngine(tokens, index + 1)
    }
    if (isExpressionSetting(token.value)) refuse(token.value)
    if (isCalled(tokens, index) && /^url$/i.test(token.value)) refuseUnlessWebAddress(tokens, index + 2)
    // `* APPLY file` and `* APPLY(file)` call a function without brackets behind its name, `arrayMap(file, …)` by its name alone.
    const applied = isWord(before, 'APPLY') || (before?.value === '(' && isWord(tokens[index - 2], 'APPLY'))
    if ((isCalled(tokens, index) || applied) && isClosedFunction(token.value)) refuse(token.value)
    if (takesFunctions && before?.value !== '.' && isClosedScalar(token.value)) refuse(token.value)
  })
}

/** Functions that take a function. */
const takesFunction = /^(array|map)/i

function isCalled(tokens: readonly SqlToken[], index: number): boolean {
  const next = tokens[index + 1]
  return next?.kind === 'symbol' && next.value === '('
}

function refuseOutfile(next: SqlToken | undefined): void {
  if (isWord(next, 'OUTFILE')) throw new EngineError(358, 'INTO_OUTFILE_NOT_ALLOWED', 'INTO OUTFILE is not allowed')
}

/** @param at index of what follows ENGINE: `= Name`, `Name`; or something else, where `engine` is a column */
function refuseEngine(tokens: readonly SqlToken[], at: number): void {
  const hasSign = tokens[at]?.value === '='
  const name = tokens[hasSign ? at + 1 : at]
  if (name?.kind !== 'word' && name?.kind !== 'quoted') return
  if (isOpenEngine(name.value) || (!hasSign && !judgedEngines.has(name.value.toLowerCase()))) return
  refuse(`ENGINE = ${name.value}`)
}

/** A file: address may be put together by an expression; a plain web address is all that is let through. */
function refuseUnlessWebAddress(tokens: readonly SqlToken[], at: number): void {
  const [address, after] = [tokens[at], tokens[at + 1]]
  const isPlain = address?.kind === 'text' && /^'https?:/i.test(address.value) && /^[,)]$/.test(after?.value ?? '')
  if (!isPlain) refuse('url() of anything but a literal http address')
}

function syntaxError(what: string): EngineError {
  return new EngineError(62, 'SYNTAX_ERROR', `Syntax error: the embedded engine takes no statement with ${what}`)
}

function isExpressionSetting(name: string): boolean {
  return withoutExpressions.some((setting) => setting === name.toLowerCase())
}

function refuse(what: string): never {
  throw new EngineError(291, 'DATABASE_ACCESS_DENIED', `The embedded engine gives no access to the machine: ${what}`)
}

/** Settings that `readonly` may set in the URL: they shape or bound its own results and nothing else. */
const harmlessSettings =
  /^(max_(execution_time|result_rows|result_bytes|rows_to_read|bytes_to_read|block_size|threads|memory_usage)|result_overflow_mode|read_overflow_mode|timeout_overflow_mode|output_format_\w+|format_(csv|tsv|regexp|custom|template|json)_\w+|date_time_output_format|bool_\w+_representation|extremes|limit|offset|final|join_use_nulls|group_by_use_nulls|union_default_mode|session_timezone|log_comment|log_queries|use_query_cache|optimize_\w+|prefer_column_name_to_alias|count_distinct_implementation|cast_keep_nullable|totals_mode|max_query_size|wait_for_async_insert|async_insert)$/

/** @throws EngineError for a setting of the URL that nobody, or that `readonly`, may change */
export function refuseSettings(query: QueryRequest): void {
  for (const name of query.settings.keys()) if (isExpressionSetting(name)) refuse(name)
  if (query.user !== 'readonly') return
  for (const [name, value] of query.settings) {
    if (name === 'readonly' && (value === '1' || value === '2')) continue
    if (!harmlessSettings.test(name) || /template|schema/.test(name))
      throw new EngineError(164, 'READONLY', `Cannot modify '${name}' setting in readonly mode`)
  }
}

/** @throws EngineError 164 unless the statement only reads. The engine's own readonly mode lets KILL and SYSTEM through. */
export function refuseUnlessReading(tokens: readonly SqlToken[]): void {
  const parallel = tokens.some((token, index) => isWord(token, 'PARALLEL') && isWord(tokens[index + 1], 'WITH'))
  if (!reads(tokens) || parallel) throw new EngineError(164, 'READONLY', 'Cannot execute query in readonly mode')
}

/** True for a statement that has a result and changes nothing. */
export function reads(tokens: readonly SqlToken[]): boolean {
  const [first] = tokens
  if (first?.kind !== 'word') return first?.value === '('
  return readWords.has(first.value.toUpperCase()) && !(isWord(first, 'WITH') && insertsBehindWith(tokens))
}

/** `WITH … INSERT INTO …`, but not `WITH insert AS (…) SELECT` nor `WITH 1 AS insert SELECT`. */
function insertsBehindWith(tokens: readonly SqlToken[]): boolean {
  const main = tokens.find((token, index) => {
    if (token.depth > 0 || !(isWord(token, 'INSERT') || isWord(token, 'SELECT'))) return false
    const before = tokens[index - 1]
    return !(isWord(before, 'AS') || isWord(before, 'WITH') || before?.value === ',')
  })
  return isWord(main, 'INSERT')
}

/** First words of such statements. */
const readWords: ReadonlySet<string> = new Set([
  'SELECT',
  'WITH',
  'FROM',
  'SHOW',
  'DESCRIBE',
  'DESC',
  'EXPLAIN',
  'EXISTS',
  'CHECK',
  'VALUES',
])

/** True if `token` is the bare word `word`, whatever its case. */
export function isWord(token: SqlToken | undefined, word: string): boolean {
  return (
    token?.kind === 'word' && token.value.length === word.length && token.value.toUpperCase() === word.toUpperCase()
  )
}
