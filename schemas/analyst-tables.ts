/**
 * Tables for analysts that Penstock keeps beside the rows (docs/TABLES.md). Each is a table of versions, of which the one with the highest
 * number counts, and a view that shows only that one:
 *
 *   penstock.devices        over device_versions        one row a device or module, from the control store
 *   penstock.latest         over latest_versions        the newest row of each device
 *   penstock.field_minutes  over field_minute_versions  numeric fields of models, a row a device and closed minute
 *   penstock.field_hours    over field_hour_versions    the same of hours
 *
 *   penstock.computed       of how many rows a minute, an hour or a day was computed: see pipeline/summaries/
 *
 * Whoever fills them only adds versions, so every insert may be repeated.
 */
import {
  engine,
  oldPartsLifetimeSeconds,
  onCluster,
  type Retention,
  settingsText,
  type TableOptions,
  ttlClause,
  warehouseDatabase,
} from './telemetry-table.ts'

const time = "DateTime64(3, 'UTC')"

/** Columns of `penstock.devices`, in its order; `device_versions` has three more. */
export const deviceColumns = {
  device_id: 'String',
  module_id: 'String',
  status: 'LowCardinality(String)',
  status_reason: 'String',
  status_updated_at: `Nullable(${time})`,
  authentication: 'LowCardinality(String)',
  iot_edge: 'Bool',
  device_scope: 'String',
  managed_by: 'String',
  generation_id: 'String',
  created_at: time,
  model: 'LowCardinality(String)',
  connected: 'Bool',
  connection_updated_at: `Nullable(${time})`,
  last_seen: `Nullable(${time})`,
  tags: 'Map(LowCardinality(String), String)',
  tags_json: 'String',
  desired_version: 'UInt64',
  reported_version: 'UInt64',
} as const

/** Columns of the tables of minutes and hours, in their order. */
const rollUpColumns = {
  model: 'LowCardinality(String)',
  field: 'LowCardinality(String)',
  device_id: 'String',
  start: "DateTime('UTC') CODEC(Delta(4), LZ4)",
  // Of how many rows it was computed. More of them win.
  rows: 'UInt64',
  count: 'UInt64',
  min: 'Float64',
  max: 'Float64',
  sum: 'Float64',
  last: 'Float64',
  last_at: time,
} as const

export const rollUpColumnNames = Object.keys(rollUpColumns).join(', ')

export type RollUpTable = 'field_minute_versions' | 'field_hour_versions'

/** Each may run again. */
export function analystTableStatements(options: TableOptions): readonly string[] {
  return [...deviceStatements(options), ...latestStatements(options), ...rollUpStatements(options)]
}

function deviceStatements(options: TableOptions): string[] {
  const columns = { ...deviceColumns, fingerprint: 'String', is_deleted: 'Bool', version: 'UInt64' }
  return [
    tableStatement(options, 'device_versions', columns, 'version', 'ORDER BY (device_id, module_id)'),
    viewStatement(
      options,
      'devices',
      `SELECT ${Object.keys(deviceColumns).join(', ')} FROM ${warehouseDatabase}.device_versions FINAL WHERE NOT is_deleted`,
    ),
  ]
}

function latestStatements(options: TableOptions): string[] {
  const columns = {
    device_id: 'String',
    enqueued_at: time,
    body: 'String',
    properties: 'Map(LowCardinality(String), String)',
    system_properties: 'Map(LowCardinality(String), String)',
  }
  return [
    tableStatement(options, 'latest_versions', columns, 'enqueued_at', 'ORDER BY device_id'),
    viewStatement(
      options,
      'latest',
      `SELECT ${Object.keys(columns).join(', ')} FROM ${warehouseDatabase}.latest_versions FINAL`,
    ),
  ]
}

/** Of the tables whose rows outlive those of `penstock.telemetry`. */
export function analystRetentions({ minutesTtlDays = 0, hoursTtlDays = 0 }: TableOptions) {
  const longest = minutesTtlDays === 0 || hoursTtlDays === 0 ? 0 : Math.max(minutesTtlDays, hoursTtlDays)
  const of = (days: number): Retention => ({ time: 'start', days })
  return { field_minute_versions: of(minutesTtlDays), field_hour_versions: of(hoursTtlDays), computed: of(longest) }
}

function rollUpStatements(options: TableOptions): string[] {
  const kept = analystRetentions(options)
  // A dashboard asks for one field of one device, or of all of them, over a period.
  const key = 'ORDER BY (model, field, device_id, start)'
  const tables: readonly (readonly [RollUpTable, string, string])[] = [
    ['field_minute_versions', 'field_minutes', 'toDate(start)'],
    ['field_hour_versions', 'field_hours', 'toYYYYMM(start)'],
  ]
  return [
    ...tables.flatMap(([table, view, partition]) => [
      tableStatement(
        options,
        table,
        rollUpColumns,
        'rows',
        `PARTITION BY ${partition} ${key}${ttlClause(kept[table])}`,
      ),
      viewStatement(
        options,
        view,
        'SELECT model, field, device_id, start, count, min, max, sum, sum / count AS avg, last, last_at ' +
          `FROM ${warehouseDatabase}.${table} FINAL`,
      ),
    ]),
    tableStatement(
      options,
      'computed',
      {
        subject: 'LowCardinality(String)',
        seconds: 'UInt32',
        start: "DateTime('UTC')",
        rows: 'UInt64',
        definition: 'LowCardinality(String)',
      },
      'rows',
      `ORDER BY (subject, seconds, start)${ttlClause(kept.computed)}`,
    ),
  ]
}

/** What is computed is noted once it is stored, so it must be on disk by then. */
function versionSettings(replicated: boolean): Readonly<Record<string, number>> {
  // The same block again is no mistake here: it may stand for what another one replaced since.
  if (replicated) return { replicated_deduplication_window: 0 }
  return { fsync_after_insert: 1, fsync_part_directory: 1, old_parts_lifetime: oldPartsLifetimeSeconds }
}

/** @param version the column of which the highest value counts */
function tableStatement(
  options: TableOptions,
  name: string,
  columns: Readonly<Record<string, string>>,
  version: string,
  order: string,
): string {
  const list = Object.entries(columns).map(([column, type]) => `${column} ${type}`)
  return (
    `CREATE TABLE IF NOT EXISTS ${warehouseDatabase}.${name}${onCluster(options)} (${list.join(', ')}) ` +
    `ENGINE = ${engine('ReplacingMergeTree', options, version)} ${order} SETTINGS ${settingsText(versionSettings(options.replicated))}`
  )
}

function viewStatement(options: TableOptions, name: string, select: string): string {
  return `CREATE VIEW IF NOT EXISTS ${warehouseDatabase}.${name}${onCluster(options)} AS ${select}`
}

/** Of a server's own log, with the columns that the embedded engine's table has. */
export function queriesStatement(options: TableOptions): string {
  return viewStatement(
    options,
    'queries',
    "SELECT toDateTime64(query_start_time_microseconds, 3, 'UTC') AS at, user, query_id, toString(address) AS client, " +
      'http_user_agent AS application, query, query_duration_ms / 1000 AS seconds, read_rows, read_bytes, result_rows, result_bytes, ' +
      'written_rows, memory_usage AS memory, exception_code AS code, exception AS error FROM system.query_log ' +
      "WHERE type != 'QueryStart' AND is_initial_query AND NOT startsWith(http_user_agent, 'penstock')",
  )
}
