/**
 * What Penstock creates in ClickHouse, statement by statement. The reasons stand beside each line; `docs/GUARANTEES.md`
 * argues from them.
 *
 *   penstock.telemetry      one row a device message
 *   penstock.device_events  one row a device that connected, ended, was created, updated or deleted
 *   penstock.twin_events    one row a change of a twin
 *   penstock.dead_letters   what could not become a row, with its reason and bytes
 *   penstock.migrations     which migrations this database has seen
 *
 * Tables for analysts: `analyst-tables.ts`. All migrations in order: `warehouse-migrations.ts`.
 */
import { limits } from './limits.ts'

export const warehouseDatabase = 'penstock'

export interface TableOptions {
  /** ReplicatedMergeTree instead of MergeTree; paths and replica names come from the server's defaults. */
  readonly replicated: boolean
  /** Name of the cluster (or its macro, e.g. `{cluster}`) whose servers all get the tables; unset: this server only. */
  readonly cluster?: string | undefined
  /** Days after which telemetry and changes of twins are removed; 0 keeps them for ever. */
  readonly ttlDays: number
  /** Days after which minutes and hours of numeric fields are removed; 0, or left out: never. */
  readonly minutesTtlDays?: number
  readonly hoursTtlDays?: number
}

/** Tables that workers fill from batches, with the same columns and the same guarantees. */
export const batchTables = ['telemetry', 'device_events', 'twin_events'] as const

export type BatchTable = (typeof batchTables)[number]

/** Columns of a `BatchTable` that inserts name, with the types that an existing table must have. */
export const telemetryColumns = {
  device_id: 'String',
  enqueued_at: "DateTime64(3, 'UTC')",
  body: 'String',
  properties: 'Map(LowCardinality(String), String)',
  system_properties: 'Map(LowCardinality(String), String)',
  log_partition: 'UInt32',
  log_offset: 'UInt64',
} as const

/**
 * An Avro batch as ClickHouse reads it: field names of `telemetry.v1.avsc`, types of the columns they go to. But names of properties are read
 * as plain texts, and become LowCardinality on their way into the table, a block at once. Read as LowCardinality they are looked up one by
 * one, and an insert of rows with three of them takes twice the CPU.
 */
export const telemetryInput =
  "deviceId String, enqueuedAtMs DateTime64(3, 'UTC'), body String, " +
  'properties Map(String, String), systemProperties Map(String, String)'

/** Stores dead letters given as JSON lines: head fields and the bytes as base64, which JSON can carry. */
export const deadLetterInsert =
  `INSERT INTO ${warehouseDatabase}.dead_letters (topic, log_partition, log_offset, message_first, endpoint, at, reason, text, message_count, bytes) ` +
  "SELECT topic, partition, offset, messageFirst, endpoint, fromUnixTimestamp64Milli(atMs, 'UTC'), reason, text, messageCount, base64Decode(bytes) " +
  "FROM input('topic String, partition UInt32, offset UInt64, messageFirst UInt32, endpoint String, atMs Int64, reason String, text String, messageCount UInt32, " +
  "bytes String') FORMAT JSONEachRow"

/** Settings of `penstock.telemetry` without which delivery is not exactly once; checked on an existing table too. */
export function deliverySettings(replicated: boolean): Readonly<Record<string, number>> {
  return replicated
    ? {
        replicated_deduplication_window: limits.deduplicationWindow,
        // Tokens are also forgotten by age. An insert may be late by insertBeginMsMax + insertRunMsMax.
        replicated_deduplication_window_seconds: limits.deduplicationWindowSeconds,
      }
    : {
        // ClickHouse's default is 0: no memory of tokens at all.
        non_replicated_deduplication_window: limits.deduplicationWindow,
        // Without a replica the only copy must be on disk before the log's position moves past it. Costs about one
        // fsync a part: a part below 10 MB is one data file (compact), and an insert is one part.
        fsync_after_insert: 1,
        fsync_part_directory: 1,
        // Merged parts stay until the result is surely complete and on disk, as on a ClickHouse server. In the embedded engine the
        // default is 0, and a merge that ends with the power or on a full disk would have removed the only copy.
        old_parts_lifetime: oldPartsLifetimeSeconds,
      }
}

/** ClickHouse's own default. */
export const oldPartsLifetimeSeconds = 480

export interface Migration {
  readonly version: number
  readonly purpose: string
  /** Each migration may run again, and several workers may run it at once. */
  readonly statements: readonly string[]
}

/** Of the tables in this file. */
export function telemetryMigrations(options: TableOptions): readonly Migration[] {
  return [
    { version: 1, purpose: 'telemetry', statements: [telemetryStatement(options)] },
    { version: 2, purpose: 'dead letters', statements: [deadLettersStatement(options)] },
    { version: 3, purpose: 'dead letters by message', statements: [deadLettersByMessageStatement(options)] },
    { version: 4, purpose: 'device events', statements: [deviceEventsStatement(options)] },
    { version: 5, purpose: 'merged parts are kept for a while', statements: oldPartsStatements(options) },
    { version: 6, purpose: 'telemetry is merged column by column', statements: [verticalMergesStatement(options)] },
    { version: 7, purpose: 'dead letters by endpoint', statements: [deadLettersByEndpointStatement(options)] },
    { version: 8, purpose: 'twin events', statements: [twinEventsStatement(options)] },
  ]
}

/** What must exist before migrations can be counted. */
export function migrationsTableStatements(options: TableOptions): readonly string[] {
  const database = `CREATE DATABASE IF NOT EXISTS ${warehouseDatabase}${onCluster(options)}`
  const table =
    `CREATE TABLE IF NOT EXISTS ${warehouseDatabase}.migrations${onCluster(options)} ` +
    '(version UInt32, purpose String, applied_at DateTime DEFAULT now()) ' +
    `ENGINE = ${engine('ReplacingMergeTree', options)} ORDER BY version`
  return [database, table]
}

function telemetryStatement(options: TableOptions): string {
  // ORDER BY: analysts ask for one device over a period, and rows of one device beside each other compress best.
  // PARTITION BY: a day is dropped as a whole. An insert never crosses a day, so it stays one part.
  // Codecs: inserts are bound by CPU and LZ4 (the default) is the cheapest for text. Times and positions are sorted within
  // a device, so their differences are small: Delta leaves LZ4 next to nothing to store.
  const settings = {
    ...deliverySettings(options.replicated),
    // With a TTL, whole days are dropped at once instead of being rewritten.
    ttl_only_drop_parts: 1,
  }
  return (
    `CREATE TABLE IF NOT EXISTS ${warehouseDatabase}.telemetry${onCluster(options)} (` +
    `device_id ${telemetryColumns.device_id}, ` +
    `enqueued_at ${telemetryColumns.enqueued_at} CODEC(Delta(8), LZ4), ` +
    `body ${telemetryColumns.body}, ` +
    // Property names repeat in every row, their values seldom do.
    `properties ${telemetryColumns.properties}, ` +
    `system_properties ${telemetryColumns.system_properties}, ` +
    // Position on the log: the partition, and the first offset of the range that was inserted with this row.
    `log_partition ${telemetryColumns.log_partition}, ` +
    `log_offset ${telemetryColumns.log_offset} CODEC(Delta(8), LZ4)` +
    `) ENGINE = ${engine('MergeTree', options)} PARTITION BY toDate(enqueued_at) ORDER BY (device_id, enqueued_at)${ttlClause(telemetryRetention(options))} ` +
    `SETTINGS ${settingsText(settings)}`
  )
}

function deviceEventsStatement(options: TableOptions): string {
  // The columns that analysts use are computed from the envelope's maps when a row is inserted (see `device-event.ts`).
  const columns = [
    ...Object.entries(telemetryColumns).map(([name, type]) => `${name} ${type}`),
    "event LowCardinality(String) MATERIALIZED properties['event']",
    "module_id String MATERIALIZED system_properties['moduleId']",
    "reason LowCardinality(String) MATERIALIZED properties['reason']",
    "sequence String MATERIALIZED properties['sequence']",
  ]
  return (
    `CREATE TABLE IF NOT EXISTS ${warehouseDatabase}.device_events${onCluster(options)} (${columns.join(', ')}) ` +
    // Events are few, so partitions of a month keep the number of parts small.
    `ENGINE = ${engine('MergeTree', options)} PARTITION BY toYYYYMM(enqueued_at) ORDER BY (device_id, enqueued_at) ` +
    `SETTINGS ${settingsText(deliverySettings(options.replicated))}`
  )
}

function twinEventsStatement(options: TableOptions): string {
  const columns = [
    ...Object.entries(telemetryColumns).map(([name, type]) => `${name} ${type}`),
    "module_id String MATERIALIZED system_properties['moduleId']",
    "op_type LowCardinality(String) MATERIALIZED properties['opType']",
    "changed_at DateTime64(3, 'UTC') MATERIALIZED parseDateTime64BestEffortOrZero(properties['operationTimestamp'], 3, 'UTC')",
    "version UInt64 MATERIALIZED JSONExtractUInt(body, 'version')",
  ]
  // Devices report as often as they send messages, so a day is dropped as a whole here too.
  const settings = { ...deliverySettings(options.replicated), ttl_only_drop_parts: 1 }
  return (
    `CREATE TABLE IF NOT EXISTS ${warehouseDatabase}.twin_events${onCluster(options)} (${columns.join(', ')}) ` +
    `ENGINE = ${engine('MergeTree', options)} PARTITION BY toDate(enqueued_at) ORDER BY (device_id, enqueued_at)${ttlClause(telemetryRetention(options))} ` +
    `SETTINGS ${settingsText(settings)}`
  )
}

/** How long rows of a table are kept. */
export interface Retention {
  /** Of a row, as ClickHouse writes it. */
  readonly time: string
  /** 0: for ever. */
  readonly days: number
}

/** Of the tables that are kept for `ttlDays`. */
export function retentions(options: TableOptions): Readonly<Record<string, Retention>> {
  return { telemetry: telemetryRetention(options), twin_events: telemetryRetention(options) }
}

function telemetryRetention({ ttlDays }: TableOptions): Retention {
  return { time: 'toDateTime(enqueued_at)', days: ttlDays }
}

/** As it stands behind TTL. */
export function ttlText({ time, days }: Retention): string {
  return `${time} + INTERVAL ${days} DAY DELETE`
}

/** Of a table that is made, so that it need not be changed at once. */
export function ttlClause(retention: Retention): string {
  return retention.days > 0 ? ` TTL ${ttlText(retention)}` : ''
}

/** As they stand behind SETTINGS. */
export function settingsText(settings: Readonly<Record<string, number>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ')
}

function oldPartsStatements(options: TableOptions): string[] {
  if (options.replicated) return []
  return ['telemetry', 'device_events', 'dead_letters'].map(
    (table) =>
      `ALTER TABLE ${warehouseDatabase}.${table} MODIFY SETTING old_parts_lifetime = ${oldPartsLifetimeSeconds}`,
  )
}

/**
 * By default ClickHouse merges tables with fewer than eleven columns beside the key row by row. With maps that is expensive: 1.31 µs of
 * CPU a row of 48-byte bodies, against 0.40 column by column. Merges below 131,072 rows stay row by row.
 */
function verticalMergesStatement(options: TableOptions): string {
  return (
    `ALTER TABLE ${warehouseDatabase}.telemetry${onCluster(options)} ` +
    'MODIFY SETTING vertical_merge_algorithm_min_columns_to_activate = 1'
  )
}

function deadLettersStatement(options: TableOptions): string {
  // Replacing: a letter may be sent again after a crash. Its position identifies it.
  return (
    `CREATE TABLE IF NOT EXISTS ${warehouseDatabase}.dead_letters${onCluster(options)} (` +
    'topic LowCardinality(String), log_partition UInt32, log_offset UInt64, ' +
    "at DateTime64(3, 'UTC'), reason LowCardinality(String), text String, message_count UInt32, bytes String" +
    `) ENGINE = ${engine('ReplacingMergeTree', options)} PARTITION BY toYYYYMM(at) ORDER BY (topic, log_partition, log_offset)`
  )
}

function deadLettersByMessageStatement(options: TableOptions): string {
  // A key may be extended only by a column that the same statement adds. If the column exists already, nothing changes.
  return (
    `ALTER TABLE ${warehouseDatabase}.dead_letters${onCluster(options)} ` +
    'ADD COLUMN IF NOT EXISTS message_first UInt32 AFTER log_offset, ' +
    'MODIFY ORDER BY (topic, log_partition, log_offset, message_first)'
  )
}

/** Two endpoints may refuse the same message. */
function deadLettersByEndpointStatement(options: TableOptions): string {
  return (
    `ALTER TABLE ${warehouseDatabase}.dead_letters${onCluster(options)} ` +
    'ADD COLUMN IF NOT EXISTS endpoint String AFTER message_first, ' +
    'MODIFY ORDER BY (topic, log_partition, log_offset, message_first, endpoint)'
  )
}

/** The engine of this name, or its replicated form. */
export function engine(name: string, options: TableOptions, parameters?: string): string {
  const list = parameters === undefined ? '' : `(${parameters})`
  return `${options.replicated ? 'Replicated' : ''}${name}${list}`
}

/** Behind the name of what a statement creates or changes. */
export function onCluster(options: TableOptions): string {
  return options.cluster === undefined ? '' : ` ON CLUSTER '${options.cluster.replaceAll("'", "''")}'`
}
