import type { KafkaRecord } from '#pipeline/kafka/client.ts'
import type { BatchStamp, LogRecord } from '../log.ts'

/** Record headers, all of them text, so that any Kafka tool shows them. */
export function headersFromStamp(stamp: BatchStamp): Record<string, string> {
  return {
    'schema-version': String(stamp.schemaVersion),
    'edge-id': stamp.edgeId,
    epoch: String(stamp.epoch),
    sequence: String(stamp.sequence),
    'message-count': String(stamp.messageCount),
    'enqueued-at-ms-first': String(stamp.enqueuedAtMsFirst),
    'enqueued-at-ms-last': String(stamp.enqueuedAtMsLast),
  }
}

/**
 * A record that no edge wrote lacks headers. It is handed on as schema version 0, which no reader knows, so that it ends in the
 * dead letters instead of blocking its partition.
 */
export function logRecordFromKafka({ offset, timestamp, value, headers }: KafkaRecord): LogRecord {
  const text = (name: string): string => headers[name]?.toString() ?? ''
  const number = (name: string, otherwise: number): number => {
    const parsed = Number(text(name) || Number.NaN)
    return Number.isSafeInteger(parsed) ? parsed : otherwise
  }
  return {
    offset: Number(offset),
    value: value ?? new Uint8Array(0),
    stamp: {
      schemaVersion: number('schema-version', 0),
      edgeId: text('edge-id'),
      epoch: number('epoch', 0),
      sequence: number('sequence', 0),
      messageCount: number('message-count', 1),
      enqueuedAtMsFirst: number('enqueued-at-ms-first', Number(timestamp)),
      enqueuedAtMsLast: number('enqueued-at-ms-last', Number(timestamp)),
    },
  }
}
