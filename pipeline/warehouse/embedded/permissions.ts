import { type CanonicalToken, isCalled, isWord } from './canonical-tokens.ts'
import { EngineError } from './engine-error.ts'
import { type EngineUser, withoutExpressions } from './engine-rights.ts'
import {
  isClosedFunction,
  isClosedScalar,
  isOpenEngine,
  isOwnTableEngine,
  isReachingFunction,
  judgedEngines,
} from './machine-names.ts'
import type { QueryCeilings } from './query-ceilings.ts'
import type { QueryRequest } from './request.ts'

/*
 * The judge. It refuses what a ClickHouse server would refuse by its configuration and the library engine does not. It reads statements as
 * the engine has written them. Two more walls stand behind it: the engine's own rights (`engine-rights.ts`), also for what shows only once a
 * statement runs; and the process, which cannot open what it does not need (`confinement.ts`).
 */

/** First words of statements that have a result and change nothing. */
const reading: ReadonlySet<string> = new Set(['SELECT', 'WITH', 'SHOW', 'DESCRIBE', 'EXPLAIN', 'EXISTS', 'CHECK'])

/** First words of statements that change tables or the session. Rights in the engine decide which tables. */
const changing: ReadonlySet<string> = new Set(
  'INSERT CREATE REPLACE DROP UNDROP ALTER TRUNCATE OPTIMIZE RENAME EXCHANGE DETACH ATTACH DELETE UPDATE SET USE'.split(
    ' ',
  ),
)

/** First words of statements that act on the engine and on other statements. Only `default` may use them. */
const operating: ReadonlySet<string> = new Set(['SYSTEM', 'KILL'])

const isKnown = (word: string): boolean => reading.has(word) || changing.has(word) || operating.has(word)

/**
 * @param ceilings of the user: a statement may not name what they bound
 * @throws EngineError if this user may not run the statement, or if nobody may, since it would reach files or programs of the machine
 */
export function refuseForbidden(tokens: readonly CanonicalToken[], user: EngineUser, ceilings: QueryCeilings): void {
  refuseKind(tokens, user)
  refuseMachineAccess(tokens, user)
  if (user === 'default') return
  for (const [index, token] of tokens.entries()) {
    if (isCalled(tokens, index) && isName(token) && isReachingFunction(token.value)) throw mayNot('ask other servers')
    if (isAssigned(tokens, index) && ceilings.bounds(token.value)) throw mayNot(`modify '${token.value}' setting`)
  }
}

/** True for a statement that has a result and changes nothing. */
export function reads(tokens: readonly CanonicalToken[]): boolean {
  return reading.has(firstWord(tokens))
}

function firstWord(tokens: readonly CanonicalToken[]): string {
  const [first] = tokens
  if (first?.kind === 'symbol') return 'SELECT' // an opening bracket
  return first?.kind === 'word' ? first.value.toUpperCase() : ''
}

function refuseKind(tokens: readonly CanonicalToken[], user: EngineUser): void {
  const first = firstWord(tokens)
  if (user === 'readonly' && !reading.has(first)) throw mayNot('execute query')
  if (!isKnown(first) || (operating.has(first) && user !== 'default')) refuse(first)
  // SET ROLE would give the statements that follow it the rights of another user.
  if (first === 'SET' && tokens[2]?.value !== '=') refuse('SET of anything but settings')
  for (const [index, token] of tokens.entries()) {
    if (
      isWord(token, 'PARALLEL') &&
      isWord(tokens[index + 1], 'WITH') &&
      isKnown(firstWord(tokens.slice(index + 2, index + 3)))
    )
      refuse('PARALLEL WITH')
    if (user !== 'analyst' || token.kind !== 'word') continue
    // Such a view inserts with the rights of the engine's one user, and on the path of the pipeline's inserts.
    if (isWord(token, 'MATERIALIZED') && isWord(tokens[index + 1], 'VIEW')) refuse('MATERIALIZED VIEW')
    if (isWord(token, 'DEFINER') || (isWord(token, 'SQL') && isWord(tokens[index + 1], 'SECURITY')))
      refuse('SQL SECURITY')
  }
}

function refuseMachineAccess(tokens: readonly CanonicalToken[], user: EngineUser): void {
  const attaches = tokens.some((token) => isWord(token, 'ATTACH'))
  const takesFunctions = tokens.some((token, index) => takesFunction.test(token.value) && isCalled(tokens, index))
  const makesStorage = attaches || tokens.some((token) => isWord(token, 'CREATE') || isWord(token, 'REPLACE'))
  for (const [index, token] of tokens.entries()) {
    const before = tokens[index - 1]
    if (token.kind === 'symbol') continue
    if (token.kind === 'text') {
      if (/^'\s*file:/i.test(token.value)) refuse('a file: address')
      if (attaches && isWord(before, 'FROM')) refuse('ATTACH … FROM')
      continue
    }
    if (isWord(token, 'OUTFILE') && isWord(before, 'INTO'))
      throw new EngineError(358, 'INTO_OUTFILE_NOT_ALLOWED', 'INTO OUTFILE is not allowed')
    if (isWord(token, 'INFILE') && isWord(before, 'FROM'))
      throw new EngineError(78, 'UNKNOWN_TYPE_OF_QUERY', 'Query has infile and was send directly to server')
    if (isWord(token, 'ENGINE') && makesStorage) refuseEngine(tokens, index + 1, user)
    if (isExpressionSetting(token.value)) refuse(token.value)
    if (isCalled(tokens, index) && /^url$/i.test(token.value)) refuseUnlessWebAddress(tokens, index + 2)
    // `* APPLY file`, `* APPLY(file)` and `arrayMap(file, …)` call a function without a bracket after its name.
    const applied = isWord(before, 'APPLY') || (before?.value === '(' && isWord(tokens[index - 2], 'APPLY'))
    if ((isCalled(tokens, index) || applied) && isClosedFunction(token.value)) refuse(token.value)
    if (takesFunctions && before?.value !== '.' && isClosedScalar(token.value)) refuse(token.value)
  }
}

/** Functions that take a function. */
const takesFunction = /^(array|map)/i

function isName(token: CanonicalToken): boolean {
  return token.kind === 'word' || token.kind === 'quoted'
}

function isAssigned(tokens: readonly CanonicalToken[], index: number): boolean {
  const [token, next] = [tokens[index], tokens[index + 1]]
  return token !== undefined && isName(token) && next?.kind === 'symbol' && next.value === '='
}

/** @param at index of what follows ENGINE: `= Name`, `Name`; or something else, where `engine` is a column */
function refuseEngine(tokens: readonly CanonicalToken[], at: number, user: EngineUser): void {
  const hasSign = tokens[at]?.value === '='
  const name = tokens[hasSign ? at + 1 : at]
  if (!name || !isName(name)) return
  const isOpen = user === 'analyst' ? isOwnTableEngine(name.value) : isOpenEngine(name.value)
  if (isOpen || (!hasSign && !judgedEngines.has(name.value.toLowerCase()))) return
  refuse(`ENGINE = ${name.value}`)
}

/** An expression could build a file: address, so only a plain web address is allowed. */
function refuseUnlessWebAddress(tokens: readonly CanonicalToken[], at: number): void {
  const [address, after] = [tokens[at], tokens[at + 1]]
  const isPlain = address?.kind === 'text' && /^'https?:/i.test(address.value) && /^[,)]$/.test(after?.value ?? '')
  if (!isPlain) refuse('url() of anything but a literal http address')
}

function isExpressionSetting(name: string): boolean {
  return withoutExpressions.some((setting) => setting === name.toLowerCase())
}

function refuse(what: string): never {
  throw new EngineError(291, 'DATABASE_ACCESS_DENIED', `The embedded engine gives no access to this: ${what}`)
}

function mayNot(what: string): EngineError {
  return new EngineError(164, 'READONLY', `Cannot ${what} in readonly mode`)
}

/** Settings that `readonly` may set in the URL. They only shape or bound its own results. */
const harmlessSettings =
  /^(max_(execution_time|result_rows|result_bytes|rows_to_read|bytes_to_read|block_size|threads|memory_usage|final_threads)|result_overflow_mode|read_overflow_mode|timeout_overflow_mode|output_format_\w+|format_(csv|tsv|regexp|custom|template|json)_\w+|date_time_(in|out)put_format|bool_\w+_representation|extremes|limit|offset|final|join_use_nulls|group_by_use_nulls|union_default_mode|session_timezone|log_comment|log_queries|use_query_cache|use_query_condition_cache|use_skip_indexes|network_compression_method|network_zstd_compression_level|enable_analyzer|allow_experimental_analyzer|join_algorithm|optimize_\w+|prefer_column_name_to_alias|count_distinct_implementation|cast_keep_nullable|totals_mode|max_query_size|wait_for_async_insert|async_insert)$/

/** @throws EngineError for a setting of the URL that nobody, or that `readonly`, may change */
export function refuseSettings(query: QueryRequest, user: EngineUser): void {
  for (const name of query.settings.keys()) if (isExpressionSetting(name)) refuse(name)
  if (user !== 'readonly') return
  for (const [name, value] of query.settings) {
    if (name === 'readonly' && (value === '1' || value === '2')) continue
    // Clients send it empty; filters are SQL.
    if (name === 'additional_table_filters' && /^\s*(\{\s*\})?\s*$/.test(value)) continue
    if (!harmlessSettings.test(name) || /template|schema/.test(name)) throw mayNot(`modify '${name}' setting`)
  }
}
