/** Logs of OTLP (opentelemetry-proto 1.x: logs.proto). */
import { aFixed32, aFixed64, aMessage, anId, anInt32, aString, listOf, MessageShape } from '#runtime/protobuf/shape.ts'
import {
  type AnyValue,
  anyValue,
  type KeyValue,
  keyValue,
  type Resource,
  resource,
  type Scope,
  scope,
} from './attribute-shapes.ts'

export interface LogRecord {
  readonly timeUnixNano?: string
  readonly observedTimeUnixNano?: string
  readonly severityNumber?: number
  readonly severityText?: string
  readonly body?: AnyValue
  readonly attributes?: readonly KeyValue[]
  readonly flags?: number
  readonly traceId?: Buffer
  readonly spanId?: Buffer
  readonly eventName?: string
}

export interface LogsRequest {
  readonly resourceLogs?: readonly {
    readonly resource?: Resource
    readonly scopeLogs?: readonly { readonly scope?: Scope; readonly logRecords?: readonly LogRecord[] }[]
  }[]
}

const logRecord = new MessageShape<LogRecord>(() => ({
  timeUnixNano: aFixed64(1),
  severityNumber: anInt32(2),
  severityText: aString(3),
  body: aMessage(5, anyValue),
  attributes: listOf(aMessage(6, keyValue)),
  flags: aFixed32(8),
  traceId: anId(9),
  spanId: anId(10),
  observedTimeUnixNano: aFixed64(11),
  eventName: aString(12),
}))

const scopeLogs = new MessageShape<{ readonly scope?: Scope; readonly logRecords?: readonly LogRecord[] }>(() => ({
  scope: aMessage(1, scope),
  logRecords: listOf(aMessage(2, logRecord)),
}))

const resourceLogs = new MessageShape<NonNullable<LogsRequest['resourceLogs']>[number]>(() => ({
  resource: aMessage(1, resource),
  scopeLogs: listOf(aMessage(2, scopeLogs)),
}))

/** `ExportLogsServiceRequest` */
export const logsRequest = new MessageShape<LogsRequest>(() => ({
  resourceLogs: listOf(aMessage(1, resourceLogs)),
}))
