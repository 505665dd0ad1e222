import { createHash } from 'node:crypto'
import { isStorableText } from '#control/identities/identity.ts'
import { type IdentityRow, identityFromRow, selectIdentitiesWith } from '#control/identities/identity-rows.ts'
import type { Database, Queries, SqlRow } from '#control/store/database.ts'
import { joinTwins, type TwinRow, twinColumns, twinFromRow } from '#control/twins/twin-rows.ts'
import { limits } from '#schemas/limits.ts'
import { type Field, fieldOf, Parameters, sqlOf } from './fields.ts'
import { parseQuery } from './parse-query.ts'
import type { QueryPage, QueryResult } from './query.ts'
import { conditionSql } from './query-sql.ts'
import type { Query, SelectItem } from './query-tree.ts'
import { queryFault } from './tokens.ts'

/** Where the next page begins: behind these ids. */
interface Cursor {
  readonly deviceId: string
  readonly moduleId: string
  /** What is left of TOP; `undefined` without one. */
  readonly left: number | undefined
}

/**
 * Answers one page. Pages follow the order of ids, each begins behind the last one's end: nothing is held between pages, and
 * identities made or removed meanwhile do not shift the others.
 * @throws PenstockError REGISTRY_QUERY_INVALID, also for a continuation of another query
 */
export async function runQuery(database: Database, text: string, page: QueryPage): Promise<QueryResult> {
  const query = parseQuery(text)
  try {
    return await database.transaction(async (queries) => {
      await queries.query(`SET LOCAL statement_timeout = ${limits.queryMsMax}`)
      return pageOf(queries, query, text, page)
    })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === cancelledCode)
      throw queryFault(`takes longer than ${limits.queryMsMax} ms: ask for less, or by tags that few have`)
    throw error
  }
}

/** PostgreSQL, Appendix A: query_canceled. */
const cancelledCode = '57014'

async function pageOf(queries: Queries, query: Query, text: string, page: QueryPage): Promise<QueryResult> {
  const cursor = page.continuation === undefined ? undefined : cursorFrom(page.continuation, text)
  if (isAggregate(query)) return { kind: 'raw', items: await aggregate(queries, query), continuation: undefined }
  const left = cursor ? cursor.left : query.top
  const countMax = Math.max(0, Math.min(page.countMax, limits.registryPageMax, left ?? Number.POSITIVE_INFINITY))
  const rows = await pageRows(queries, query, cursor, countMax)
  const shown = rows.slice(0, countMax)
  const last = shown.at(-1)
  const leftAfter = left === undefined ? undefined : left - shown.length
  const continuation =
    last && rows.length > countMax && leftAfter !== 0
      ? textOfCursor({ deviceId: last.device_id, moduleId: last.module_id, left: leftAfter }, text)
      : undefined
  if (!query.items) {
    const twins = shown.map((row) => ({ identity: identityFromRow(row), twin: twinFromRow(row) }))
    return { kind: 'twin', twins, continuation }
  }
  return { kind: 'raw', items: shown.map((row) => namedItems(row, query.items ?? [])), continuation }
}

type PageRow = IdentityRow & TwinRow & { readonly [item: `item_${number}`]: unknown }

function pageRows(queries: Queries, query: Query, cursor: Cursor | undefined, countMax: number): Promise<PageRow[]> {
  const parameters = new Parameters()
  const conditions = [sourceSql(query)]
  if (cursor) {
    const [deviceId, moduleId] = [parameters.add(cursor.deviceId), parameters.add(cursor.moduleId)]
    conditions.push(`(i.device_id, i.module_id) > (${deviceId}, ${moduleId})`)
  }
  if (query.where) conditions.push(conditionSql(query.where, parameters))
  const columns = query.items?.map((item, index) => `, ${itemSql(item, parameters)} AS item_${index}`)
  const sql = `${selectIdentitiesWith(columns?.join('') ?? `, ${twinColumns}`, joinTwins)} WHERE ${conditions.join(' AND ')}
    ORDER BY i.device_id, i.module_id LIMIT ${parameters.add(countMax + 1)}::integer`
  return queries.query<PageRow>(sql, parameters.values)
}

function aggregate(queries: Queries, query: Query): Promise<SqlRow[]> {
  const parameters = new Parameters()
  const groups = query.groupBy.map((path) => pathSql(path, parameters))
  const items = query.items ?? []
  for (const item of items) {
    const grouped = item.kind !== 'path' || query.groupBy.some((path) => path.toLowerCase() === item.path.toLowerCase())
    if (!grouped) throw queryFault(`selects ${item.path} beside an aggregate without GROUP BY`)
  }
  const where = [sourceSql(query), ...(query.where ? [conditionSql(query.where, parameters)] : [])].join(' AND ')
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
      return `${item.function.toLowerCase()}(${numberSql(fieldOf(item.path), parameters)})::float8`
  }
}

function pathSql(path: string, parameters: Parameters): string {
  const field = fieldOf(path)
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

function textOfCursor({ deviceId, moduleId, left }: Cursor, query: string): string {
  return Buffer.from(JSON.stringify([queryMark(query), deviceId, moduleId, left ?? null])).toString('base64url')
}

function cursorFrom(continuation: string, query: string): Cursor {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(continuation, 'base64url').toString('utf8'))
  } catch {
    throw queryFault('continuation cannot be read')
  }
  if (!Array.isArray(value)) throw queryFault('continuation cannot be read')
  const [mark, deviceId, moduleId, left]: unknown[] = value
  if (mark !== queryMark(query)) throw queryFault('continuation belongs to another query')
  if (typeof deviceId !== 'string' || typeof moduleId !== 'string' || !isStorableText(deviceId + moduleId))
    throw queryFault('continuation cannot be read')
  if (left !== null && !(typeof left === 'number' && Number.isSafeInteger(left) && left >= 0)) {
    throw queryFault('continuation cannot be read')
  }
  return { deviceId, moduleId, left: left ?? undefined }
}

function queryMark(query: string): string {
  return createHash('sha256').update(query).digest('base64url').slice(0, 12)
}
