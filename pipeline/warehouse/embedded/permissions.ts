import { EngineError } from './engine-error.ts'
import type { QueryRequest } from './request.ts'
import type { SqlToken } from './sql-tokens.ts'

/**
 * What a ClickHouse server would refuse by its configuration and the library engine does not: reading and writing files of
 * the machine, running programs. Nobody may, as the engine runs with the rights of whoever started it.
 */
const fileFunctions = new Set([
  'file',
  'filecluster',
  'filesystem',
  'executable',
  'executablepool',
  'sqlite',
  'iceberglocal',
  'iceberglocalcluster',
  'deltalakelocal',
  'deltalakelocalcluster',
  'paimonlocal',
  'hudilocal',
  'catboostevaluate',
  'library',
  'python',
])

/** @throws EngineError if the statement reaches for the machine's files or programs */
export function refuseMachineAccess(tokens: readonly SqlToken[]): void {
  tokens.forEach((token, index) => {
    const next = tokens[index + 1]
    const before = tokens[index - 1]
    if (token.kind === 'text') {
      if (/^'\s*file:/i.test(token.value)) refuse('a file: address')
      if (isWord(before, 'FROM') && isWord(tokens[0], 'ATTACH')) refuse('ATTACH … FROM')
      return
    }
    if (token.kind === 'symbol') return
    if (isWord(token, 'INTO') && isWord(next, 'OUTFILE'))
      throw new EngineError(358, 'INTO_OUTFILE_NOT_ALLOWED', 'INTO OUTFILE is not allowed')
    if (isWord(token, 'INFILE') && isWord(before, 'FROM'))
      throw new EngineError(78, 'UNKNOWN_TYPE_OF_QUERY', 'Query has infile and was send directly to server')
    if (next?.value === '(' && /^url(cluster)?$/i.test(token.value)) {
      // A file: address may be put together by an expression; a plain web address is all that is let through.
      const [address, after] = [tokens[index + 2], tokens[index + 3]]
      const isPlain = address?.kind === 'text' && /^'https?:/i.test(address.value) && /^[,)]$/.test(after?.value ?? '')
      if (!isPlain) refuse('url() of anything but a literal http address')
    }
    const called = next?.value === '(' && next.kind === 'symbol'
    // `* APPLY file` and `* APPLY(file)` call a function without brackets behind its name; `ENGINE = Filesystem` has none.
    const applied = isWord(before, 'APPLY') || (before?.value === '(' && isWord(tokens[index - 2], 'APPLY'))
    const engine = before?.value === '=' && isWord(tokens[index - 2], 'ENGINE')
    if ((called || applied || engine) && fileFunctions.has(token.value.toLowerCase())) refuse(token.value)
  })
}

function refuse(what: string): never {
  throw new EngineError(291, 'DATABASE_ACCESS_DENIED', `The embedded engine gives no access to the machine: ${what}`)
}

/** Settings that `readonly` may set in the URL: they shape or bound its own results and nothing else. */
const harmlessSettings =
  /^(max_(execution_time|result_rows|result_bytes|rows_to_read|bytes_to_read|block_size|threads|memory_usage)|result_overflow_mode|read_overflow_mode|timeout_overflow_mode|output_format_\w+|format_(csv|tsv|regexp|custom|template|json)_\w+|date_time_output_format|bool_\w+_representation|extremes|limit|offset|final|join_use_nulls|group_by_use_nulls|union_default_mode|session_timezone|log_comment|log_queries|use_query_cache|optimize_\w+|prefer_column_name_to_alias|count_distinct_implementation|cast_keep_nullable|totals_mode|max_query_size|wait_for_async_insert|async_insert)$/

/** @throws EngineError 164 for a setting that `readonly` may not change */
export function refuseSettings(query: QueryRequest): void {
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
