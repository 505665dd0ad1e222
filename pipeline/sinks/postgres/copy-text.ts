/** Messages as rows in the text format of COPY. */
import { refused } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { copyField } from '#runtime/copy-text.ts'
import type { PostgresSettings } from '#schemas/endpoint-kinds/postgres.ts'

/** The columns that `copyRow` writes, in order. */
export const copiedColumns = [
  'device_id',
  'enqueued_at',
  'body',
  'properties',
  'system_properties',
  'log_partition',
  'log_offset',
  'log_index',
] as const

/** One row with its line feed. @throws EndpointError: refused if the body is no text, and the column is one */
export function copyRow(message: SelectedMessage, partition: number, bodyType: PostgresSettings['body']): string {
  const { id, deviceId, enqueuedAtMs, body, properties, systemProperties, offset, index } = message
  const columns = [
    copyField(deviceId),
    new Date(enqueuedAtMs).toISOString(),
    // The backslash of a bytea stands for itself only where it is doubled.
    bodyType === 'bytea' ? `\\\\x${hexOf(body)}` : copyField(textOf(body, id)),
    copyField(JSON.stringify(properties)),
    copyField(JSON.stringify(systemProperties)),
    partition,
    offset,
    index,
  ]
  return `${columns.join('\t')}\n`
}

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(body: Uint8Array, id: string): string {
  try {
    return utf8.decode(body)
  } catch {
    throw refused(`the body of message ${id} is not UTF-8`)
  }
}
