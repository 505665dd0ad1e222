import { createHash } from 'node:crypto'
import { rollUpColumnNames } from '#schemas/analyst-tables.ts'
import { quoted } from '#schemas/clickhouse-text.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import { hour, minute, type Range } from './periods.ts'

/** A numeric field over rows of `penstock.telemetry`. */
export interface NumericField {
  readonly field: string
  /** Gives a number or NULL; never throws. */
  readonly expression: string
  /** What it gives: where this changes, what was computed counts no more. */
  readonly meaning: string
}

/** Numeric fields of a model. */
export interface RollUpModel {
  readonly model: string
  /** True of the model's rows. */
  readonly guard: string
  /** At least one. */
  readonly fields: readonly NumericField[]
}

/** How it is computed: another one where the model changes what it says. */
export function definitionOf({ guard, fields }: RollUpModel): string {
  return createHash('sha256')
    .update(JSON.stringify([guard, fields.map(({ field, meaning }) => [field, meaning])]))
    .digest('hex')
    .slice(0, 12)
}

/** How rows of `telemetry` are counted by minute; times are seconds since 1970. */
export function minuteCountsQuery(from: number, to: number): string {
  return (
    `SELECT toUnixTimestamp(toStartOfMinute(enqueued_at)) AS period, count() AS counted FROM ${warehouseDatabase}.telemetry ` +
    `WHERE ${between('enqueued_at', from, to)} GROUP BY period SETTINGS max_threads = 1`
  )
}

/**
 * Computes minutes from rows. Each of its rows is made of all rows of a device and minute that are there when it runs, and their count is
 * its version.
 */
export function minutesStatement({ model, guard, fields }: RollUpModel, from: number, to: number): string {
  const values = fields.map(({ expression }, index) => `toFloat64(${expression}) AS raw${index}`)
  // JSON has numbers that are too large for one here.
  const finite = fields.map((_, index) => `if(isFinite(raw${index}), raw${index}, NULL) AS v${index}`)
  const summaries = fields.map(
    ({ field }, index) =>
      `(${quoted(field)}, count(v${index}), ifNull(min(v${index}), 0), ifNull(max(v${index}), 0), ifNull(sum(v${index}), 0), ` +
      // Of several messages of one millisecond the same one each time.
      `ifNull(argMax(v${index}, (enqueued_at, log_offset, v${index})), 0), maxIf(enqueued_at, v${index} IS NOT NULL))`,
  )
  return (
    `INSERT INTO ${warehouseDatabase}.field_minute_versions (${rollUpColumnNames}) ` +
    `SELECT ${quoted(model)}, summary.1, device_id, minute, counted, summary.2, summary.3, summary.4, summary.5, summary.6, summary.7 FROM (` +
    `SELECT device_id, toStartOfMinute(enqueued_at) AS minute, count() AS counted, [${summaries.join(', ')}] AS summaries FROM (` +
    `SELECT device_id, enqueued_at, log_offset, ${values.join(', ')}, ${finite.join(', ')} FROM ${warehouseDatabase}.telemetry AS telemetry ` +
    `WHERE ${between('enqueued_at', from, to)} AND (${guard})) GROUP BY device_id, minute` +
    `) ARRAY JOIN summaries AS summary WHERE summary.2 > 0 ${bounds}`
  )
}

/** Computes hours from minutes; an hour's version is the sum of those of its minutes. */
export function hoursStatement({ model }: RollUpModel, from: number, to: number): string {
  return (
    `INSERT INTO ${warehouseDatabase}.field_hour_versions (${rollUpColumnNames}) ` +
    'SELECT model, field, device_id, toStartOfHour(start) AS hour, sum(rows), sum(count), min(min), max(max), sum(sum), ' +
    `argMax(last, last_at), max(last_at) FROM ${warehouseDatabase}.field_minute_versions FINAL ` +
    `WHERE model = ${quoted(model)} AND ${between('start', from, to)} GROUP BY model, field, device_id, hour ${bounds}`
  )
}

/** Removes minutes and hours of a model, and what is noted of them: that last, so that whoever stops half-way begins again. */
export function forgetStatements(model: string, minutes: readonly Range[], hours: readonly Range[]): string[] {
  const forget = (table: string, subject: string, ranges: readonly Range[], condition = ''): string[] => {
    if (ranges.length === 0) return []
    const times = ranges.map(({ from, to }) => between('start', from, to)).join(' OR ')
    return [
      `ALTER TABLE ${warehouseDatabase}.${table} DELETE WHERE ${subject} = ${quoted(model)}${condition} AND (${times}) SETTINGS mutations_sync = 1`,
    ]
  }
  return [
    ...forget('field_hour_versions', 'model', hours),
    ...forget('field_minute_versions', 'model', minutes),
    ...forget('computed', 'subject', hours, ` AND seconds = ${hour}`),
    ...forget('computed', 'subject', minutes, ` AND seconds = ${minute}`),
  ]
}

function between(column: string, from: number, to: number): string {
  return `${column} >= toDateTime(${from}, 'UTC') AND ${column} < toDateTime(${to}, 'UTC')`
}

/** Beside inserts and analysts: one thread, and groups that take more memory than this lie on the disk. */
const bounds = 'SETTINGS max_threads = 1, max_insert_threads = 1, max_bytes_before_external_group_by = 268435456'
