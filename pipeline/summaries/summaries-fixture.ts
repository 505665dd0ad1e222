import { expect } from 'vitest'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { migrationsTableStatements } from '#schemas/telemetry-table.ts'
import { migrations } from '#schemas/warehouse-migrations.ts'
import { PartWatch } from './part-watch.ts'
import type { RollUpModel } from './roll-up-sql.ts'
import { RollUps } from './roll-ups.ts'

/** A model of which some bodies have what it says. */
export const roomModel: RollUpModel = {
  model: 'room',
  guard: "startsWith(device_id, 'room')",
  fields: [
    { field: 'heat', expression: "JSONExtract(body, 'heat', 'Nullable(Float64)')", meaning: '' },
    { field: 'o\'dd "name"', expression: "JSONExtract(body, 'odd', 'Nullable(Int32)')", meaning: '' },
  ],
}

export const beginMs = Date.UTC(2026, 0, 2, 3, 0, 0)

export type TestRow = readonly [deviceId: string, afterMs: number, body: string]

let offset = 0

/** Creates Penstock's tables. */
export async function makeTables(warehouse: Warehouse): Promise<void> {
  const options = { replicated: false, ttlDays: 0 }
  const statements = [...migrationsTableStatements(options), ...migrations(options).flatMap((each) => each.statements)]
  for (const statement of statements) await warehouse.command(statement)
}

/** Rows in one insert. */
export async function storeRows(warehouse: Warehouse, rows: readonly TestRow[]): Promise<void> {
  const lines = rows.map(([device_id, afterMs, body]) => {
    const enqueued_at = new Date(beginMs + afterMs).toISOString().replace('T', ' ').replace('Z', '')
    return JSON.stringify({ device_id, enqueued_at, body, log_partition: 0, log_offset: offset++ })
  })
  await warehouse.insert(
    'INSERT INTO penstock.telemetry (device_id, enqueued_at, body, log_partition, log_offset) FORMAT JSONEachRow',
    [Buffer.from(lines.join('\n'))],
    {},
  )
}

/** One process that computes. @returns minutes and hours that it computed */
export function rollUpsOver(warehouse: Warehouse): (models?: readonly RollUpModel[]) => Promise<number> {
  const retention = { rowDays: 0, minuteDays: 0, hourDays: 0 }
  const [parts, rollUps] = [new PartWatch(warehouse), new RollUps(warehouse, retention, silentLogger)]
  return async (models = [roomModel]) => {
    const look = await parts.look()
    const count = await rollUps.compute(models, look, new AbortController().signal)
    look.settle()
    return count
  }
}

/** Minutes and hours hold what the rows themselves say. */
export async function expectRolledUp(warehouse: Warehouse): Promise<void> {
  for (const [view, start] of [
    ['field_minutes', 'toStartOfMinute'],
    ['field_hours', 'toStartOfHour'],
  ]) {
    const fields = roomModel.fields.map(
      ({ field, expression }) =>
        `SELECT '${field.replaceAll("'", "\\'")}' AS field, device_id, toUnixTimestamp(${start}(enqueued_at)) AS period, count(v) AS n, min(v) AS low, max(v) AS high, ` +
        `round(sum(v), 6) AS total, argMax(v, enqueued_at) AS newest FROM (SELECT *, toFloat64(${expression}) AS v FROM penstock.telemetry WHERE ${roomModel.guard}) ` +
        'GROUP BY device_id, period HAVING n > 0',
    )
    const wanted = await warehouse.query(`SELECT * FROM (${fields.join(' UNION ALL ')}) ORDER BY ALL`)
    const found = await warehouse.query(
      'SELECT field, device_id, toUnixTimestamp(start) AS period, count AS n, min AS low, max AS high, round(sum, 6) AS total, last AS newest ' +
        `FROM penstock.${view} ORDER BY ALL`,
    )
    expect(found, view).toEqual(wanted)
    expect(found.length, view).toBeGreaterThan(0)
  }
}
