import { type DeviceJobRow, deviceJobDocument, selectDeviceJobs } from '#control/jobs/device-job-rows.ts'
import type { Queries } from '#control/store/database.ts'
import { limits } from '#schemas/limits.ts'
import { type Cursor, textOfCursor } from './cursor.ts'
import { Parameters } from './fields.ts'
import type { QueryResult } from './query.ts'
import { conditionSql } from './query-sql.ts'
import type { Query } from './query-tree.ts'
import { queryFault } from './tokens.ts'

/** A page of what jobs made of devices, by job and device. @throws REGISTRY_QUERY_INVALID */
export async function deviceJobPage(
  queries: Queries,
  query: Query,
  text: string,
  cursor: Cursor | undefined,
  pageMax: number,
): Promise<QueryResult> {
  if (query.groupBy.length > 0) throw queryFault('groups device jobs, which is not offered')
  const left = cursor ? cursor.left : query.top
  const countMax = Math.min(pageMax, limits.registryPageMax, left ?? Number.POSITIVE_INFINITY)
  const parameters = new Parameters(query.from)
  const conditions = ['true']
  if (cursor) {
    const [jobId, deviceId] = cursor.keys.map((key) => parameters.add(key))
    conditions.push(`(d.job_id, d.device_id) > (${jobId}, ${deviceId})`)
  }
  if (query.where) conditions.push(conditionSql(query.where, parameters))
  const rows = await queries.query<DeviceJobRow>(
    `${selectDeviceJobs} WHERE ${conditions.join(' AND ')} ORDER BY d.job_id, d.device_id LIMIT ${parameters.add(countMax + 1)}::integer`,
    parameters.values,
  )
  const shown = rows.slice(0, countMax)
  const last = shown.at(-1)
  const leftAfter = left === undefined ? undefined : left - shown.length
  const hasMore = last !== undefined && rows.length > countMax && leftAfter !== 0
  return {
    kind: 'deviceJob',
    items: shown.map(deviceJobDocument),
    continuation: hasMore ? textOfCursor({ keys: [last.job_id, last.device_id], left: leftAfter }, text) : undefined,
  }
}
