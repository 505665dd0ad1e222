import {
  type IdentityRow,
  identityFromRow,
  joinPresence,
  selectIdentitiesWith,
} from '#control/identities/identity-rows.ts'
import type { Database, Queries, SqlRow } from '#control/store/database.ts'
import { joinTwins, type TwinRow, twinColumns, twinFromRow } from '#control/twins/twin-rows.ts'
import { limits } from '#schemas/limits.ts'
import { boundedQuery } from './bounded-query.ts'
import { type Cursor, cursorFrom, textOfCursor } from './cursor.ts'
import { deviceJobPage } from './device-job-page.ts'
import { type Field, Parameters, sqlOf } from './fields.ts'
import { parseQuery } from './parse-query.ts'
import type { QueryPage, QueryResult } from './query.ts'
import { conditionSql } from './query-sql.ts'
import type { Query, SelectItem } from './query-tree.ts'
import { queryFault } from './tokens.ts'

/**
 * Answers one page. Pages follow the order of ids, each begins behind the last one's end: nothing is held between pages, and
 * identities made or removed meanwhile do not shift the others.
 * @throws PenstockError REGISTRY_QUERY_INVALID, also for a continuation of another query
 */
export async function runQuery(database: Database, text: string, page: QueryPage): Promise<QueryResult> {
  const query = parseQuery(text)
  return boundedQuery(database, (queries) => pageOf(queries, query, text, page))
}

/** @throws REGISTRY_QUERY_INVALID */
export async function countFound(database: Database, text: string): Promise<number> {
  const query = countableQuery(text)
  const parameters = new Parameters(query.from)
  const sql = `SELECT count(*)::float8 AS count FROM penstock.identities i ${joinPresence} ${joinTwins} WHERE ${whereSql(query, parameters)}`
  const [row] = await boundedQuery(database, (queries) => queries.query<{ count: number }>(sql, parameters.values))
  return Math.min(row?.count ?? 0, query.top ?? Number.POSITIVE_INFINITY)
}

/** @throws REGISTRY_QUERY_INVALID where it asks for anything but single devices or modules, or cannot be read */
export function countableQuery(text: string): Query {
  const query = parseQuery(text)
  if (query.from === 'devices.jobs' || isAggregate(query))
    throw queryFault('must select devices or modules, which are counted')
  whereSql(query, new Parameters(query.from))
  return query
}

async function pageOf(queries: Queries, query: Query, text: string, page: QueryPage): Promise<QueryResult> {
  const cursor = page.continuation === undefined ? undefined : cursorFrom(page.continuation, text)
  if (query.from === 'devices.jobs') return deviceJobPage(queries, query, text, cursor, page.countMax)
  if (isAggregate(query)) return { kind: 'raw', items: await aggregate(queries, query), continuation: undefined }
  const left = cursor ? cursor.left : query.top
  const countMax = Math.max(0, Math.min(page.countMax, limits.registryPageMax, left ?? Number.POSITIVE_INFINITY))
  const rows = await pageRows(queries, query, cursor, countMax)
  const shown = rows.slice(0, countMax)
  const last = shown.at(-1)
  const leftAfter = left === undefined ? undefined : left - shown.length
  const continuation =
    last && rows.length > countMax && leftAfter !== 0
      ? textOfCursor({ keys: [last.device_id, last.module_id], left: leftAfter }, text)
      : undefined
  if (!query.items) {
    const twins = shown.map((row) => ({ identity: identityFromRow(row), twin: twinFromRow(row) }))
    return { kind: 'twin', twins, continuation }
  }
  return { kind: 'raw', items: shown.map((row) => namedItems(row, query.items ?? [])), continuation }
}

type PageRow = IdentityRow & TwinRow & { readonly [item: `item_${number}`]: unknown }

function pageRows(queries: Queries, query: Query, cursor: Cursor | undefined, countMax: number): Promise<PageRow[]> {
  const parameters = new Parameters(query.from)
  const conditions = [sourceSql(query)]
  let joins = joinTwins
  if (cursor) {
    const [deviceId, moduleId] = cursor.keys.map((key) => parameters.add(key))
    conditions.push(`(i.device_id, i.module_id) > (${deviceId}, ${moduleId})`)
    // Otherwise twins of all pages before may be read for each page.
    joins += ` AND t.device_id >= ${deviceId}`
  }
  if (query.where) conditions.push(conditionSql(query.where, parameters))
  const columns = query.items?.map((item, index) => `, ${itemSql(item, parameters)} AS item_${index}`)
  const sql = `${selectIdentitiesWith(columns?.join('') ?? `, ${twinColumns}`, joins)} WHERE ${conditions.join(' AND ')}
    ORDER BY i.device_id, i.module_id LIMIT ${parameters.add(countMax + 1)}::integer`
  return queries.query<PageRow>(sql, parameters.values)
}

function aggregate(queries: Queries, query: Query): Promise<SqlRow[]> {
  const parameters = new Parameters(query.from)
  const groups = query.groupBy.map((path) => pathSql(path, parameters))
  const items = query.items ?? []
  for (const item of items) {
    const grouped = item.kind !== 'path' || query.groupBy.some((path) => path.toLowerCase() === item.path.toLowerCase())
    if (!grouped) throw queryFault(`selects ${item.path} beside an aggregate without GROUP BY`)
  }
  const where = whereSql(query, parameters)
  const countMax = Math.min(query.top ?? limits.registryPageMax, limits.registryPageMax)
  const sql = `SELECT ${items.map((item, index) => `${itemSql(item, parameters)} AS item_${index}`).join(', ')}
    FROM penstock.identities i LEFT JOIN penstock.presence p USING (device_id, module_id) ${joinTwins} WHERE ${where}
    ${groups.length > 0 ? `GROUP BY ${groups.join(', ')}` : ''} LIMIT ${parameters.add(countMax)}::integer`
  return queries
    .query<PageRow>(sql, parameters.values)
    .then((rows) => rows.map((row) => namedItems(row, query.items ?? [])))
}

function isAggregate(query: Query): boolean {
  return query.groupBy.length > 0 || (query.items?.some(({ kind }) => kind !== 'path') ?? false)
}

function whereSql(query: Query, parameters: Parameters): string {
  return [sourceSql(query), ...(query.where ? [conditionSql(query.where, parameters)] : [])].join(' AND ')
}

function sourceSql(query: Query): string {
  return query.from === 'devices' ? `i.module_id = ''` : `i.module_id <> ''`
}

function itemSql(item: SelectItem, parameters: Parameters): string {
  switch (item.kind) {
    case 'count':
      return 'count(*)::integer'
    case 'path':
      return pathSql(item.path, parameters)
    case 'aggregate':
      return `${item.function.toLowerCase()}(${numberSql(parameters.fieldOf(item.path), parameters)})::float8`
  }
}

function pathSql(path: string, parameters: Parameters): string {
  const field = parameters.fieldOf(path)
  return field === undefined ? 'NULL::text' : sqlOf(field, parameters)
}

function numberSql(field: Field | undefined, parameters: Parameters): string {
  if (field?.type === 'number') return field.sql
  if (field?.type !== 'json') return 'NULL::float8'
  const sql = sqlOf(field, parameters)
  return `CASE WHEN jsonb_typeof(${sql}) = 'number' THEN (${sql} #>> '{}')::numeric END`
}

/** Fields that are undefined are left out, as the hub does. */
function namedItems(row: PageRow, items: readonly SelectItem[]): SqlRow {
  const result: Record<string, unknown> = {}
  for (const [index, item] of items.entries()) {
    const value = row[`item_${index}`]
    if (value === null || value === undefined) continue
    Object.defineProperty(result, item.name, {
      value: value instanceof Date ? value.toISOString() : value,
      enumerable: true,
    })
  }
  return result
}
