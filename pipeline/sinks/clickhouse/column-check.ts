import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import type { EndpointColumn } from '#schemas/endpoint-kinds/field.ts'
import { isPenstockError } from '#schemas/errors.ts'

/** A row of `penstock.telemetry` without a log: what expressions of columns may use. */
const row =
  "SELECT '' AS device_id, now64(3) AS enqueued_at, '{}' AS body, CAST(map(), 'Map(String, String)') AS properties, " +
  "CAST(map(), 'Map(String, String)') AS system_properties"

/**
 * What ClickHouse says against a column's expression or type; `undefined` if it would take it, or does not answer now. The expression is
 * evaluated over one made-up row, in a statement that reads nothing else.
 */
export async function columnFault(
  warehouse: Warehouse,
  { type, expression }: EndpointColumn,
): Promise<string | undefined> {
  try {
    await warehouse.query(`SELECT CAST((${expression}), {type: String}) AS value FROM (${row}) LIMIT 0`, { type })
    return undefined
  } catch (error) {
    return isPenstockError(error, 'WAREHOUSE_REFUSED') ? error.message : undefined
  }
}
