/**
 * Points as messages, one each, since each has a time and a measurement of its own:
 *
 *   {"measurement":"cpu","tags":{"host":"a"},"fields":{"usage":0.5,"n":12},"time":"2026-01-31T12:00:00.000Z"}
 *
 * The measurement is a property too, by which routes and analysts choose without reading bodies. A point without a time has that of the
 * edge, as with InfluxDB.
 */
import { isUtf8 } from 'node:buffer'
import { nameFault, RowList } from '#ingest/device-api/row-list.ts'
import type { MessageProperties, TelemetryMessage } from '#ingest/device-api/telemetry.ts'
import { isoFromNanoseconds } from '#runtime/nanoseconds.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type LineFault, type Point, readLines, shownLengthMax } from './line-protocol.ts'

export interface LinesReading {
  readonly messages: readonly TelemetryMessage[]
  readonly bodyBytes: number
  /** The first ones; `refusedCount` are all. */
  readonly faults: readonly LineFault[]
  readonly refusedCount: number
}

/** What makes nanoseconds of a timestamp. */
interface Scale {
  readonly factor: number
  /** To be written behind the product. */
  readonly zeros: string
}

const nanoseconds: Scale = { factor: 1, zeros: '' }
const microseconds: Scale = { factor: 1, zeros: '000' }

/** By the names of both versions. */
const precisions: ReadonlyMap<string, Scale> = new Map([
  ['ns', nanoseconds],
  ['n', nanoseconds],
  ['us', microseconds],
  ['u', microseconds],
  ['µ', microseconds],
  ['ms', { factor: 1, zeros: '000000' }],
  ['s', { factor: 1, zeros: '000000000' }],
  ['m', { factor: 60, zeros: '000000000' }],
  ['h', { factor: 3_600, zeros: '000000000' }],
])

/**
 * @param bucket where the client means to write, stored as a property; `undefined`: it did not say
 * @throws INGEST_BODY_MALFORMED, INGEST_FRAME_TOO_LARGE
 */
export function readPoints(body: Buffer, precision: string, bucket: string | undefined, nowMs: number): LinesReading {
  const scale = precisions.get(precision)
  if (scale === undefined)
    throw new PenstockError(
      'INGEST_BODY_MALFORMED',
      `precision=${precision.slice(0, 20)}: allowed are ${[...precisions.keys()].join(', ')}`,
    )
  if (!isUtf8(body)) throw new PenstockError('INGEST_BODY_MALFORMED', 'the body is not line protocol in UTF-8')
  const rows = new RowList('influxdb')
  const properties = new Map<string, MessageProperties>()
  const faults: LineFault[] = []
  let refusedCount = 0
  const refuse = (fault: LineFault): void => {
    if (refusedCount++ < limits.pointFaultsToldMax) faults.push(fault)
    if (refusedCount > limits.httpMessagesMax)
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', `more than ${limits.httpMessagesMax} lines that cannot be read`)
  }
  const propertiesOf = (measurement: string): MessageProperties => {
    const known = properties.get(measurement)
    if (known !== undefined) return known
    const made = rows.propertiesWith(bucket === undefined ? { measurement } : { measurement, bucket })
    properties.set(measurement, made)
    return made
  }
  const now = new Date(nowMs).toISOString()
  /** @returns why it is refused */
  const add = (point: Point): string | undefined => {
    const { measurement, timestamp } = point
    const time = timestamp === undefined ? now : timeOf(timestamp, scale)
    if (time === undefined)
      return 'the time lies outside of the years 1677 to 2262; is the precision of the request right?'
    return nameFault(measurement) ?? rows.add(rowOf(point, time), propertiesOf(measurement))
  }
  const addOrRefuse = (point: Point): void => {
    const reason = add(point)
    if (reason !== undefined) refuse({ line: point.line, reason, shown: point.measurement.slice(0, shownLengthMax) })
  }
  readLines(body.toString('utf8'), addOrRefuse, refuse)
  return { messages: rows.messages, bodyBytes: rows.bodyBytes, faults, refusedCount }
}

function timeOf(timestamp: string, { factor, zeros }: Scale): string | undefined {
  const units = factor === 1 ? timestamp : String(BigInt(timestamp.replace('+', '')) * BigInt(factor))
  return isoFromNanoseconds(units + zeros)
}

function rowOf({ measurement, tags, fields }: Point, time: string): string {
  let row = `{"measurement":${JSON.stringify(measurement)},"tags":{`
  let before = ''
  for (const [name, value] of tags) {
    row += `${before}${JSON.stringify(name)}:${JSON.stringify(value)}`
    before = ','
  }
  row += '},"fields":{'
  before = ''
  for (const [name, value] of fields) {
    row += `${before}${JSON.stringify(name)}:${value}`
    before = ','
  }
  return `${row}},"time":"${time}"}`
}
