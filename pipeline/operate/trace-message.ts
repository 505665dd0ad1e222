/**
 * Where the messages of one trace are, by their `traceparent`, from what rows and records of the log hold:
 *
 *   rows            those whose property has the trace id; of each, the record it came in, as far as the log still keeps it
 *   not yet rows    messages of the trace in what lies between the position of the workers and the end of the log
 *
 * Nothing is kept for it: rows are looked through by time, and records are decoded. Both have bounds, and what they leave out is said.
 */
import type { BatchStamp, Log, LogRecord } from '#pipeline/log/log.ts'
import { walkLog } from '#pipeline/reading/log-walk.ts'
import type { Warehouse, WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { type Envelope, envelopesOfBatch } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import { parseTraceparent, traceparentProperty } from '#schemas/traceparent.ts'

export interface TraceOptions {
  readonly log: Log
  /** Whose position says what is a row already. */
  readonly group: string
  readonly warehouse: Pick<Warehouse, 'query'>
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** Rows that were taken in before are not looked for. */
  readonly fromMs: number
}

export interface TracedMessage {
  readonly deviceId: string
  readonly traceparent: string
  readonly enqueuedAtMs: number
  readonly partition: number
  /** The record on the log that it lies in; `undefined` if the log keeps it no more, or it was not found within the bounds. */
  readonly record: { readonly offset: number; readonly stamp: BatchStamp } | undefined
  /** `undefined`: it is no row yet. */
  readonly row: TracedRow | undefined
}

export interface TracedRow {
  /** First offset of the range that one insert stored. */
  readonly rangeOffset: number
  /** When that insert wrote its part; `undefined` once parts were merged. */
  readonly storedAtMs: number | undefined
}

export interface Trace {
  readonly messages: readonly TracedMessage[]
  /** More than these rows have the trace id. */
  readonly hasMoreRows: boolean
  /** Records between the position of the workers and the end of the log that were not looked through. */
  readonly unreadRecords: number
}

export const tracedRowsMax = 100
const readBytesMax = 4 * 1024 * 1024
/** Looked through for one row's record, or of one partition for what is no row yet. */
const recordsMax = 2_000

export async function traceMessages(options: TraceOptions): Promise<Trace> {
  const rows = await tracedRows(options)
  const ranges = await options.log.ranges()
  const stored: TracedMessage[] = []
  for (const row of rows.slice(0, tracedRowsMax)) stored.push(await messageOfRow(options, row, ranges))
  const positions = await options.log.positions(options.group)
  const waiting: TracedMessage[] = []
  let unreadRecords = 0
  for (const [partition, { first, next }] of ranges.entries()) {
    const from = Math.max(first, positions[partition]?.offset ?? first)
    const end = Math.min(next, from + recordsMax)
    const read = await walkLog(options.log, { partition, from, end, readBytesMax }, (record) => {
      for (const envelope of envelopesOf(record, options.traceId))
        waiting.push({ ...headOf(envelope), partition, record: placeOf(record), row: undefined })
    })
    unreadRecords += next - read
  }
  // What became a row while the log was read is a row.
  const news = waiting.filter(({ record }) => !stored.some((message) => message.record?.offset === record?.offset))
  return { messages: [...stored, ...news], hasMoreRows: rows.length > tracedRowsMax, unreadRecords }
}

function tracedRows({ warehouse, traceId, fromMs }: TraceOptions): Promise<readonly WarehouseRow[]> {
  const database = warehouseDatabase
  return warehouse.query(
    'SELECT device_id, toUnixTimestamp64Milli(enqueued_at) AS enqueued_at_ms, properties[{name:String}] AS traceparent, ' +
      'toUInt32(log_partition) AS partition, toString(log_offset) AS range_offset, ' +
      // The level of a part that nothing was merged into is 0, and it stands last in its name.
      "if(endsWith(_part, '_0'), toUnixTimestamp(written), 0) AS stored_at " +
      `FROM ${database}.telemetry LEFT JOIN (SELECT name, modification_time AS written FROM system.parts ` +
      `WHERE database = '${database}' AND table = 'telemetry') AS parts ON parts.name = _part ` +
      'WHERE enqueued_at >= fromUnixTimestamp64Milli({from:Int64}) AND position(properties[{name:String}], {trace:String}) = 4 ' +
      `ORDER BY enqueued_at, device_id LIMIT ${tracedRowsMax + 1}`,
    { name: traceparentProperty, from: fromMs, trace: traceId },
  )
}

async function messageOfRow(
  { log, traceId }: TraceOptions,
  row: WarehouseRow,
  ranges: readonly { readonly first: number; readonly next: number }[],
): Promise<TracedMessage> {
  const head = {
    deviceId: String(row.device_id),
    enqueuedAtMs: Number(row.enqueued_at_ms),
    traceparent: String(row.traceparent),
  }
  const partition = Number(row.partition)
  const rangeOffset = Number(row.range_offset)
  const storedAt = Number(row.stored_at)
  assert(
    [head.enqueuedAtMs, partition, rangeOffset, storedAt].every(Number.isSafeInteger),
    'a row that is traced has times and a place',
  )
  const { first, next } = ranges[partition] ?? { first: 0, next: 0 }
  let record: TracedMessage['record']
  const isAfter = ({ stamp }: LogRecord) => record !== undefined || stamp.enqueuedAtMsFirst > head.enqueuedAtMs
  const walk = {
    partition,
    from: Math.max(first, rangeOffset),
    end: Math.min(next, rangeOffset + recordsMax),
    readBytesMax,
  }
  await walkLog(log, { ...walk, isOver: isAfter }, (found) => {
    const isIn = envelopesOf(found, traceId).some((envelope) => {
      const { deviceId, enqueuedAtMs, traceparent } = headOf(envelope)
      return deviceId === head.deviceId && enqueuedAtMs === head.enqueuedAtMs && traceparent === head.traceparent
    })
    if (isIn) record = placeOf(found)
  })
  return {
    ...head,
    partition,
    record,
    row: { rangeOffset, storedAtMs: storedAt === 0 ? undefined : storedAt * 1_000 },
  }
}

/** Messages of a record that belong to the trace. One that cannot be decoded has none, and becomes a dead letter. */
function envelopesOf({ value }: LogRecord, traceId: string): readonly Envelope[] {
  try {
    return envelopesOfBatch(value).filter(
      ({ properties }) => parseTraceparent(properties[traceparentProperty])?.traceId === traceId,
    )
  } catch (error) {
    if (isPenstockError(error, 'BATCH_CORRUPT')) return []
    throw error
  }
}

function headOf({ deviceId, enqueuedAtMs, properties }: Envelope) {
  return { deviceId, enqueuedAtMs, traceparent: properties[traceparentProperty] ?? '' }
}

function placeOf({ offset, stamp }: LogRecord) {
  return { offset, stamp }
}
