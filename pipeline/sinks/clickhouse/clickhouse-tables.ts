/**
 * Tables at start: what is missing is created, what exists is checked. Several workers may do this at once, since each
 * statement may run twice and a migration counts as done whoever wrote it down.
 */

import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import type { Logger } from '#runtime/logger.ts'
import { analystRetentions, queriesStatement } from '#schemas/analyst-tables.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import {
  type BatchTable,
  deliverySettings,
  type Migration,
  migrationsTableStatements,
  onCluster,
  type Retention,
  retentions,
  type TableOptions,
  telemetryColumns,
  telemetryMigrations,
  ttlText,
  warehouseDatabase,
} from '#schemas/telemetry-table.ts'
import { analystMigrations, migrations } from '#schemas/warehouse-migrations.ts'

/**
 * Creates and migrates the tables that delivery fills, then checks that `penstock.telemetry` is able to hold its guarantees.
 * @throws WAREHOUSE_TABLE_UNSAFE with every fault and the statement that repairs it; WAREHOUSE_SCHEMA_UNKNOWN, WAREHOUSE_UNAVAILABLE
 */
export async function prepareTables(warehouse: Warehouse, options: TableOptions, logger: Logger): Promise<void> {
  for (const statement of migrationsTableStatements(options)) await warehouse.command(statement)
  await migrate(warehouse, options, telemetryMigrations(options), logger)
  await assertTableSafe(warehouse, options, 'telemetry')
  await applyTtls(warehouse, options, retentions(options), logger)
}

/** The tables beside them that are there for analysts: nothing that is delivered waits for them. @throws as `prepareTables`, which comes first */
export async function prepareAnalystTables(warehouse: Warehouse, options: TableOptions, logger: Logger): Promise<void> {
  await migrate(warehouse, options, analystMigrations(options), logger)
  await showQueryLog(warehouse, options, logger)
  await applyTtls(warehouse, options, analystRetentions(options), logger)
}

async function migrate(
  warehouse: Warehouse,
  options: TableOptions,
  wanted: readonly Migration[],
  logger: Logger,
): Promise<void> {
  const rows = await warehouse.query(`SELECT DISTINCT version FROM ${warehouseDatabase}.migrations`)
  const applied = new Set(rows.map(({ version }) => Number(version)))
  for (const version of applied) assert(Number.isInteger(version), `migrations are numbered, and none is ${version}`)
  const known = migrations(options).length
  const newest = Math.max(...applied)
  if (newest > known)
    throw new PenstockError(
      'WAREHOUSE_SCHEMA_UNKNOWN',
      `the tables in ClickHouse have version ${newest}, this program knows ${known}: run the version of Penstock that made them, or a newer one`,
    )
  for (const { version, purpose, statements } of wanted) {
    if (applied.has(version)) continue
    for (const statement of statements) await warehouse.command(statement)
    await warehouse.command(
      `INSERT INTO ${warehouseDatabase}.migrations (version, purpose) SELECT ${version}, '${purpose}'`,
    )
    logger.info('migration applied', { version, purpose })
  }
}

/** @throws WAREHOUSE_TABLE_UNSAFE with every fault of the existing table and the statement that repairs it; WAREHOUSE_UNAVAILABLE */
export async function assertTableSafe(warehouse: Warehouse, options: TableOptions, name: BatchTable): Promise<void> {
  const faults = await tableFaults(warehouse, options, name)
  if (faults.length === 0) return
  throw new PenstockError(
    'WAREHOUSE_TABLE_UNSAFE',
    `${warehouseDatabase}.${name} cannot hold exactly-once delivery:\n` +
      faults.map(({ fault, repair }) => `  ${fault}\n    repair: ${repair}`).join('\n'),
  )
}

interface TableFault {
  readonly fault: string
  readonly repair: string
}

/** What makes an existing table unsafe; empty if nothing does. */
async function tableFaults(warehouse: Warehouse, options: TableOptions, tableName: BatchTable): Promise<TableFault[]> {
  const table = `${warehouseDatabase}.${tableName}`
  const description = await describeTable(warehouse, tableName)
  if (!description)
    return [{ fault: 'the table does not exist', repair: 'let Penstock create it: drop penstock.migrations' }]
  const { engine, engineFull, partitionKey, columns } = description
  const faults: TableFault[] = []
  const replicated = engine.startsWith('Replicated')
  if (engine !== 'MergeTree' && engine !== 'ReplicatedMergeTree' && engine !== 'SharedMergeTree') {
    faults.push({
      fault: `engine ${engine} merges rows or hides them; needed is MergeTree or ReplicatedMergeTree`,
      repair: `RENAME TABLE ${table} TO ${table}_old, then start again and copy the rows`,
    })
  }
  if (options.replicated !== replicated && engine !== 'SharedMergeTree') {
    faults.push({
      fault: `engine ${engine} does not fit the setting PENSTOCK_CLICKHOUSE_REPLICATED=${options.replicated ? 'yes' : 'no'}`,
      repair: 'change the setting, or rename the table, start again and copy the rows',
    })
  }
  for (const [name, type] of Object.entries(telemetryColumns)) {
    const found = columns.get(name)
    if (found === type) continue
    faults.push(
      found === undefined
        ? { fault: `column ${name} is missing`, repair: `ALTER TABLE ${table} ADD COLUMN ${name} ${type}` }
        : {
            fault: `column ${name} is ${found}, needed is ${type}`,
            repair: `ALTER TABLE ${table} MODIFY COLUMN ${name} ${type}`,
          },
    )
  }
  if (!/^(toDate|toYYYYMMDD|toYYYYMM|toMonday|toStartOf(Day|Week|Month|Year))\(enqueued_at\)$|^$/.test(partitionKey)) {
    faults.push({
      fault: `PARTITION BY ${partitionKey} may split one insert into several parts; needed is a UTC day or coarser of enqueued_at`,
      repair: `RENAME TABLE ${table} TO ${table}_old, then start again and copy the rows`,
    })
  }
  for (const [name, needed] of Object.entries(deliverySettings(replicated))) {
    const found = settingOf(engineFull, name) ?? serverDefaults[name] ?? 0
    if (found >= needed) continue
    faults.push({
      fault: `${name} is ${found}, needed is ${needed}`,
      repair: `ALTER TABLE ${table} MODIFY SETTING ${name} = ${needed}`,
    })
  }
  return faults
}

// What a table has that does not name the setting; smallest default of the versions that Penstock supports.
const serverDefaults: Readonly<Record<string, number>> = {
  non_replicated_deduplication_window: 0,
  replicated_deduplication_window: 1_000,
  replicated_deduplication_window_seconds: 3_600,
  old_parts_lifetime: 480,
}

interface TableDescription {
  readonly engine: string
  readonly engineFull: string
  readonly partitionKey: string
  readonly columns: ReadonlyMap<string, string>
}

async function describeTable(warehouse: Warehouse, table: string): Promise<TableDescription | undefined> {
  const where = `database = '${warehouseDatabase}' AND`
  const [row] = await warehouse.query(
    `SELECT engine, engine_full, partition_key FROM system.tables WHERE ${where} name = '${table}'`,
  )
  if (!row) return undefined
  const columns = await warehouse.query(`SELECT name, type FROM system.columns WHERE ${where} table = '${table}'`)
  return {
    engine: String(row.engine),
    engineFull: String(row.engine_full),
    partitionKey: String(row.partition_key),
    columns: new Map(columns.map(({ name, type }) => [String(name), String(type)])),
  }
}

function settingOf(engineFull: string, name: string): number | undefined {
  const match = new RegExp(`\\b${name} = '?(\\d+|true|false)'?`).exec(engineFull)
  if (!match) return undefined
  return match[1] === 'true' ? 1 : match[1] === 'false' ? 0 : Number(match[1])
}

/** A server that logs statements shows those of clients in `penstock.queries`; the embedded engine has a table of this name. */
async function showQueryLog(warehouse: Warehouse, options: TableOptions, logger: Logger): Promise<void> {
  try {
    const found = await warehouse.query("SELECT 1 FROM system.tables WHERE database = 'system' AND name = 'query_log'")
    if (found.length > 0) await warehouse.command(queriesStatement(options))
  } catch (error) {
    // Another server of a cluster may have no log yet, or nobody may read it: delivery does not wait for that.
    if (!isPenstockError(error)) throw error
    logger.warn('penstock.queries, which shows statements of clients, is not made', { error })
  }
}

async function applyTtls(
  warehouse: Warehouse,
  options: TableOptions,
  kept: Readonly<Record<string, Retention>>,
  logger: Logger,
): Promise<void> {
  for (const [table, retention] of Object.entries(kept)) await applyTtl(warehouse, options, table, retention, logger)
}

/** Brings the table's TTL in line with the setting; a table whose TTL an operator wrote by hand is left alone. */
async function applyTtl(
  warehouse: Warehouse,
  options: TableOptions,
  table: string,
  retention: Retention,
  logger: Logger,
): Promise<void> {
  const { time, days } = retention
  const description = await describeTable(warehouse, table)
  const begin = `TTL ${time} + toIntervalDay(`
  const engineFull = description?.engineFull ?? ''
  const at = engineFull.indexOf(begin)
  const found = at < 0 ? undefined : /^\d+/.exec(engineFull.slice(at + begin.length))
  const foundDays = found ? Number(found[0]) : 0
  if (foundDays === days || (!found && / TTL /.test(engineFull))) return
  const change = days > 0 ? `MODIFY TTL ${ttlText(retention)}` : 'REMOVE TTL'
  await warehouse.command(`ALTER TABLE ${warehouseDatabase}.${table}${onCluster(options)} ${change}`)
  logger.info('time to live changed', { table, fromDays: foundDays, toDays: days })
}
