import { numberText } from '#runtime/json-text.ts'
import { isoFromNanoseconds } from '#runtime/nanoseconds.ts'
import type { Metric } from './payload-shape.ts'

/** By number (Eclipse Sparkplug 3.0, section 6.4.16). */
const datatypes: readonly (string | undefined)[] = [
  undefined,
  ...['Int8', 'Int16', 'Int32', 'Int64', 'UInt8', 'UInt16', 'UInt32', 'UInt64', 'Float', 'Double', 'Boolean', 'String'],
  ...['DateTime', 'Text', 'UUID', 'DataSet', 'Bytes', 'File', 'Template', 'PropertySet', 'PropertySetList'],
  ...['Int8Array', 'Int16Array', 'Int32Array', 'Int64Array', 'UInt8Array', 'UInt16Array', 'UInt32Array', 'UInt64Array'],
  ...['FloatArray', 'DoubleArray', 'BooleanArray', 'StringArray', 'DateTimeArray'],
]

export function datatypeName(datatype: number | undefined): string | undefined {
  return datatype === undefined ? undefined : datatypes[datatype]
}

/**
 * JSON of what a metric says: numbers by their type, times as ISO 8601, and bytes, arrays, data sets and templates as base64 of what was
 * sent.
 * @param datatype its own, or that of its birth: a sign is known by it only
 */
export function valueText(metric: Metric, datatype: string | undefined): string {
  const { intValue, longValue, floatValue, doubleValue, booleanValue, stringValue } = metric
  if (metric.isNull) return 'null'
  if (intValue !== undefined) return String(signed(intValue, datatype))
  if (longValue !== undefined) {
    if (datatype === 'DateTime') return momentText(longValue) ?? longValue
    return datatype?.startsWith('Int') ? String(BigInt.asIntN(64, BigInt(longValue))) : longValue
  }
  if (floatValue !== undefined) return numberText(shortestFloat(floatValue))
  if (doubleValue !== undefined) return numberText(doubleValue)
  if (booleanValue !== undefined) return String(booleanValue)
  if (stringValue !== undefined) return JSON.stringify(stringValue)
  const bytes = metric.bytesValue ?? metric.datasetValue ?? metric.templateValue
  return bytes === undefined ? 'null' : `"${bytes.toString('base64')}"`
}

/** JSON of UTC milliseconds as ISO 8601; `undefined` beyond the year 2262. */
export function momentText(milliseconds: string | undefined): string | undefined {
  const iso = milliseconds === undefined ? undefined : isoFromNanoseconds(`${milliseconds}000000`)
  return iso && `"${iso}"`
}

/** Types of up to 32 bits are sent as unsigned 32 bits. */
function signed(value: number, datatype: string | undefined): number {
  switch (datatype) {
    case 'Int8':
      return (value << 24) >> 24
    case 'Int16':
      return (value << 16) >> 16
    case 'Int32':
      return value | 0
    default:
      return value
  }
}

/** The number of fewest digits that is this float: 0.1 and not 0.10000000149011612. */
function shortestFloat(value: number): number {
  if (!Number.isFinite(value) || Number.isInteger(value)) return value
  for (let digits = 6; digits <= 8; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return Number(value.toPrecision(9))
}
