/**
 * Log records as messages, one each:
 *
 *   {"time":"…","observedTime":"…","severity":"ERROR","severityNumber":17,"body":"…","eventName":"…","traceId":"…","spanId":"…",
 *    "flags":1,"attributes":{…},"resource":{…},"scope":{…}}
 *
 * What a record does not have is left out. `severity` is the sender's own text, or the name of the number.
 */
import { ObjectText } from '#runtime/json-text.ts'
import { attributesText, forEachOrigin, type Origin, valueText } from './attribute-text.ts'
import type { LogRecord, LogsRequest } from './log-shapes.ts'
import { RowMaker, timeText } from './row-maker.ts'

/** @throws INGEST_FRAME_TOO_LARGE */
export function logRows({ resourceLogs = [] }: LogsRequest): RowMaker {
  const maker = new RowMaker('otlp-logs')
  const properties = maker.rows.propertiesWith({})
  for (const { resource, scopeLogs = [] } of resourceLogs)
    forEachOrigin(resource, scopeLogs, ({ logRecords = [] }, origin) => {
      for (const record of logRecords) maker.add('a log record', rowOf(record, origin), properties)
    })
  return maker
}

function rowOf(record: LogRecord, { resource, scope }: Origin): string {
  const { severityNumber = 0, severityText } = record
  return String(
    new ObjectText()
      .put('time', timeText(record.timeUnixNano) ?? timeText(record.observedTimeUnixNano))
      .put('observedTime', timeText(record.observedTimeUnixNano))
      .putText('severity', severityText || severityName(severityNumber))
      .putNumber('severityNumber', severityNumber || undefined)
      .put('body', record.body && valueText(record.body))
      .putText('eventName', record.eventName || undefined)
      .putText('traceId', idText(record.traceId))
      .putText('spanId', idText(record.spanId))
      .putNumber('flags', record.flags || undefined)
      .put('attributes', attributesText(record.attributes))
      .put('resource', resource)
      .put('scope', scope),
  )
}

/** Four grades each, from 1 (OpenTelemetry, "Logs Data Model"). */
const severities = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const

function severityName(number: number): string | undefined {
  const name = severities[Math.floor((number - 1) / 4)]
  const grade = ((number - 1) % 4) + 1
  return name === undefined || grade === 1 ? name : `${name}${grade}`
}

function idText(id: Buffer | undefined): string | undefined {
  return id === undefined || id.length === 0 ? undefined : id.toString('hex')
}
