/** Devices that a condition alone picks: what stands behind WHERE, or `*`. */
import { joinPresence } from '#control/identities/identity-rows.ts'
import type { Database } from '#control/store/database.ts'
import { joinTwins } from '#control/twins/twin-rows.ts'
import { boundedQuery } from './bounded-query.ts'
import { Parameters } from './fields.ts'
import { parseCondition } from './parse-query.ts'
import { conditionSql } from './query-sql.ts'

/** @throws REGISTRY_QUERY_INVALID */
export function checkCondition(condition: string): void {
  whereSql(condition, new Parameters('devices'))
}

/** Ids behind `after`, in order. @throws REGISTRY_QUERY_INVALID, also where it takes too long */
export async function devicesWhere(
  database: Database,
  condition: string,
  after: string,
  countMax: number,
): Promise<string[]> {
  const parameters = new Parameters('devices')
  const begin = parameters.add(after)
  // Said of twins too: otherwise those of all pages before may be read for each page.
  const sql = `SELECT i.device_id FROM penstock.identities i ${joinPresence} ${joinTwins} AND t.device_id > ${begin}
    WHERE i.module_id = '' AND i.device_id > ${begin} AND ${whereSql(condition, parameters)}
    ORDER BY i.device_id LIMIT ${parameters.add(countMax)}::integer`
  const rows = await boundedQuery(database, (queries) => queries.query<{ device_id: string }>(sql, parameters.values))
  return rows.map(({ device_id }) => device_id)
}

function whereSql(condition: string, parameters: Parameters): string {
  const tree = parseCondition(condition)
  return tree === undefined ? 'true' : conditionSql(tree, parameters)
}
