/**
 * Materialized views that get what is inserted into a table of Penstock's, directly or through the target of another view.
 *
 *   penstock.telemetry ─▶ view ─▶ target ─▶ view ─▶ target …
 *
 * They are the operator's, and may fail at rows that the table takes (docs/GUARANTEES.md, "Materialized views"). An insert does not
 * say so, so ClickHouse is asked what it knows of failures:
 *
 *   no such target          for as long as it is missing
 *   system.query_views_log  every failure, where the server keeps it
 *   system.errors           the last error of each code since the server began; it names the view
 */
import type { Warehouse, WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { identifier, quoted } from '#schemas/clickhouse-text.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { type BatchTable, warehouseDatabase } from '#schemas/telemetry-table.ts'

export interface DependentView {
  /** `database.view` */
  readonly name: string
  /** `database.table`, where its rows go; `undefined` if the server does not say. */
  readonly target: string | undefined
  /** The newest one. */
  readonly failure: ViewFailure | undefined
}

export interface ViewFailure {
  /** How long ago, by the server's clock; 0 for one that lasts. */
  readonly ageMs: number
  readonly text: string
}

/** Older failures are found in `system.query_views_log` no more: it may be long. */
const logAgeSecondsMax = 3_600
const textLengthMax = 300

/** All views over `table`, parents first. Costs a few small queries a level. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
export async function dependentViews(warehouse: Warehouse, table: BatchTable): Promise<readonly DependentView[]> {
  const found = await viewsBelow(warehouse, { database: warehouseDatabase, name: table })
  if (found.length === 0) return []
  const failures = [
    ...(await failuresLogged(warehouse)),
    ...(await failuresCounted(
      warehouse,
      found.map(({ name }) => name),
    )),
  ]
  return found.map(({ name, target, isTargetMissing }) => {
    if (isTargetMissing) return { name, target, failure: { ageMs: 0, text: `its target ${target} does not exist` } }
    const own = failures.filter(({ view }) => view === name).map(({ failure }) => failure)
    return { name, target, failure: own.sort((one, other) => one.ageMs - other.ageMs)[0] }
  })
}

interface FoundView {
  readonly name: string
  readonly target: string | undefined
  readonly isTargetMissing: boolean
}

interface TableName {
  readonly database: string
  readonly name: string
}

interface TableFacts {
  readonly dependents: readonly TableName[]
  readonly target: TableName | undefined
}

const textOf = ({ database, name }: TableName): string => `${database}.${name}`

async function viewsBelow(warehouse: Warehouse, table: TableName): Promise<FoundView[]> {
  const found = new Map<string, FoundView>()
  let facts = await factsOf(warehouse, [table])
  for (;;) {
    const views = [...facts.values()].flatMap(({ dependents }) => dependents).filter((view) => !found.has(textOf(view)))
    if (views.length === 0) return [...found.values()]
    const ofViews = await factsOf(warehouse, views)
    const targets = [...ofViews.values()].flatMap(({ target }) => target ?? [])
    facts = await factsOf(warehouse, targets)
    for (const view of views) {
      const target = ofViews.get(textOf(view))?.target
      const isTargetMissing = target !== undefined && !facts.has(textOf(target)) && (await isMissing(warehouse, target))
      found.set(textOf(view), { name: textOf(view), target: target && textOf(target), isTargetMissing })
    }
  }
}

/** Of those of `tables` that exist and may be seen. Older servers have fewer columns. */
async function factsOf(warehouse: Warehouse, tables: readonly TableName[]): Promise<ReadonlyMap<string, TableFacts>> {
  if (tables.length === 0) return new Map()
  const rows = await warehouse.query(
    "SELECT COLUMNS('^(database|name|dependencies_(database|table)|target_(database|table))$') FROM system.tables " +
      `WHERE (database, name) IN (${tables.map(({ database, name }) => `(${quoted(database)}, ${quoted(name)})`).join(', ')})`,
  )
  return new Map(
    rows.map((row) => {
      const databases = textsOf(row.dependencies_database)
      const names = textsOf(row.dependencies_table)
      const dependents = names.map((name, index) => ({ database: databases[index] ?? '', name }))
      const { target_database: database, target_table: name } = row
      const target = name ? { database: String(database), name: String(name) } : undefined
      return [textOf({ database: String(row.database), name: String(row.name) }), { dependents, target }]
    }),
  )
}

/** A table that is not listed may only be hidden from us. */
async function isMissing(warehouse: Warehouse, { database, name }: TableName): Promise<boolean> {
  const [row] = await unlessForbidden(warehouse, `EXISTS TABLE ${identifier(database)}.${identifier(name)}`)
  return row !== undefined && Number(row.result) === 0
}

interface NamedFailure {
  readonly view: string
  readonly failure: ViewFailure
}

async function failuresLogged(warehouse: Warehouse): Promise<NamedFailure[]> {
  const [kept] = await warehouse.query(
    "SELECT name FROM system.tables WHERE database = 'system' AND name = 'query_views_log'",
  )
  if (!kept) return []
  const rows = await unlessForbidden(
    warehouse,
    'SELECT view_name, toInt64(now() - max(event_time)) AS age, argMax(exception, event_time) AS text ' +
      `FROM system.query_views_log WHERE event_date >= yesterday() AND event_time > now() - ${logAgeSecondsMax} ` +
      "AND status IN ('ExceptionBeforeStart', 'ExceptionWhileProcessing') GROUP BY view_name",
  )
  return rows.map(({ view_name, age, text }) => failureOf(unquoted(String(view_name)), age, text))
}

const pushing = 'while pushing to view '

async function failuresCounted(warehouse: Warehouse, views: readonly string[]): Promise<NamedFailure[]> {
  const rows = await unlessForbidden(
    warehouse,
    'SELECT toInt64(now() - last_error_time) AS age, last_error_message AS text ' +
      `FROM system.errors WHERE position(last_error_message, '${pushing}') > 0`,
  )
  return rows.flatMap(({ age, text }) => {
    const message = unquoted(String(text))
    const named = message.slice(message.lastIndexOf(pushing) + pushing.length)
    const view = views.find(
      (name) => named.startsWith(name) && /^(?:$|[\s,:;()]|\.(?:\s|$))/.test(named.slice(name.length)),
    )
    return view === undefined ? [] : [failureOf(view, age, text)]
  })
}

function failureOf(view: string, ageSeconds: unknown, text: unknown): NamedFailure {
  assert(Number.isFinite(Number(ageSeconds)), `a failure of the view ${view} has an age`)
  const line = String(text).replace(/\s+/g, ' ')
  // What failed stands first, where and in which view last.
  const short = line.length <= textLengthMax ? line : `${line.slice(0, textLengthMax)}…`
  return { view, failure: { ageMs: Math.max(0, Number(ageSeconds)) * 1_000, text: short } }
}

/** The answer; nothing where our user may not ask, or this server knows no such question. */
async function unlessForbidden(warehouse: Warehouse, statement: string): Promise<readonly WarehouseRow[]> {
  try {
    return await warehouse.query(statement)
  } catch (error) {
    if (!isPenstockError(error)) throw error
    return []
  }
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

/** ClickHouse writes names in messages as identifiers. */
function unquoted(text: string): string {
  return text.replaceAll('`', '')
}

/** For people: what `penstock verify` does not compare. Empty if there are no views. */
export function renderViews(table: BatchTable, views: readonly DependentView[]): string {
  if (views.length === 0) return ''
  const names = views.map(({ name, target }) => (target === undefined ? name : `${name} → ${target}`))
  const [hang, hold] = views.length === 1 ? ['view hangs', 'it holds'] : ['views hang', 'they hold']
  const lines = [
    `${views.length} materialized ${hang} on ${warehouseDatabase}.${table}; what ${hold} is not verified: ${names.join(', ')}`,
  ]
  for (const { name, failure } of views)
    if (failure) lines.push(`  ${name} lacks rows that are stored: it failed ${whenOf(failure)}: ${failure.text}`)
  return `${lines.join('\n')}\n`
}

function whenOf({ ageMs }: ViewFailure): string {
  if (ageMs < 120_000) return ageMs === 0 ? 'just now' : `${Math.round(ageMs / 1_000)} s ago`
  return `${Math.round(ageMs / 60_000)} min ago`
}
