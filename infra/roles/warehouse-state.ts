import type { DiskRoom, TableSize, ViewReport } from '#control/delivery/delivery.ts'
import { dependentViews } from '#pipeline/sinks/clickhouse/dependent-views.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { limits } from '#schemas/limits.ts'
import { type BatchTable, warehouseDatabase } from '#schemas/telemetry-table.ts'

/** Materialized views over these tables, and how they do. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
export async function viewReports(warehouse: Warehouse, tables: readonly BatchTable[]): Promise<ViewReport[]> {
  const reports = tables.map(async (table) =>
    (await dependentViews(warehouse, table)).map(
      ({ name, target, failure }): ViewReport => ({
        table: `${warehouseDatabase}.${table}`,
        name,
        target,
        isFailing: failure !== undefined && failure.ageMs <= limits.viewFailureFreshMs,
        failure: failure && { secondsAgo: Math.round(failure.ageMs / 1_000), text: failure.text },
      }),
    ),
  )
  return (await Promise.all(reports)).flat()
}

/** @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
export async function tableSizes(warehouse: Warehouse): Promise<TableSize[]> {
  const rows = await warehouse.query(
    'SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts ' +
      `WHERE active AND database = '${warehouseDatabase}' GROUP BY table ORDER BY table`,
  )
  return rows.map(({ table, rows: count, bytes }) => ({
    table: `${warehouseDatabase}.${table}`,
    rows: Number(count),
    bytes: Number(bytes),
  }))
}

/** @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
export async function warehouseDisks(warehouse: Warehouse): Promise<DiskRoom[]> {
  const rows = await warehouse.query(
    'SELECT name, unreserved_space AS free, total_space AS total FROM system.disks ORDER BY name',
  )
  return rows.map(({ name, free, total }) => ({
    name: `ClickHouse: ${name}`,
    freeBytes: Number(free),
    totalBytes: Number(total),
  }))
}
