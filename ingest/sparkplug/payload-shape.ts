/** Payloads of Sparkplug B (Eclipse Sparkplug 3.0, section 6.4.1). Properties and metadata of metrics are not read. */
import {
  aBool,
  aDouble,
  aFloat,
  aMessage,
  anUint32,
  anUint64,
  aString,
  listOf,
  MessageShape,
  someBytes,
} from '#runtime/protobuf/shape.ts'

export interface Metric {
  readonly name?: string
  readonly alias?: string
  /** UTC milliseconds. */
  readonly timestamp?: string
  readonly datatype?: number
  readonly isHistorical?: boolean
  readonly isTransient?: boolean
  readonly isNull?: boolean
  readonly intValue?: number
  readonly longValue?: string
  readonly floatValue?: number
  readonly doubleValue?: number
  readonly booleanValue?: boolean
  readonly stringValue?: string
  readonly bytesValue?: Buffer
  readonly datasetValue?: Buffer
  readonly templateValue?: Buffer
}

export interface Payload {
  readonly timestamp?: string
  readonly metrics?: readonly Metric[]
  readonly seq?: string
  /** Says what `body` is, where a sender has put something into it that Sparkplug does not define. */
  readonly uuid?: string
  readonly body?: Buffer
}

const metric = new MessageShape<Metric>(() => ({
  name: aString(1),
  alias: anUint64(2),
  timestamp: anUint64(3),
  datatype: anUint32(4),
  isHistorical: aBool(5),
  isTransient: aBool(6),
  isNull: aBool(7),
  intValue: anUint32(10),
  longValue: anUint64(11),
  floatValue: aFloat(12),
  doubleValue: aDouble(13),
  booleanValue: aBool(14),
  stringValue: aString(15),
  bytesValue: someBytes(16),
  // Both are messages; they are handed on as they came.
  datasetValue: someBytes(17),
  templateValue: someBytes(18),
}))

export const payload = new MessageShape<Payload>(() => ({
  timestamp: anUint64(1),
  metrics: listOf(aMessage(2, metric)),
  seq: anUint64(3),
  uuid: aString(4),
  body: someBytes(5),
}))
