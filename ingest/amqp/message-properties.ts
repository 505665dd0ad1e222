/** What a message of AMQP says about itself, under the names by which it is stored. */
import type { SystemPropertyName } from '#ingest/device-api/telemetry.ts'
import type { MessageField, ReadMessage } from '#runtime/amqp/message.ts'
import { DescribedValue, type ReadValue } from '#runtime/amqp/read-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

const fieldNames: readonly (readonly [MessageField, SystemPropertyName])[] = [
  ['messageId', 'messageId'],
  ['userId', 'userId'],
  ['subject', 'subject'],
  ['replyTo', 'replyTo'],
  ['correlationId', 'correlationId'],
  ['contentType', 'contentType'],
  ['contentEncoding', 'contentEncoding'],
  ['expiry', 'expiry'],
  ['creationTime', 'creationTime'],
  ['groupId', 'groupId'],
  ['groupSequence', 'groupSequence'],
  ['replyToGroupId', 'replyToGroupId'],
]
/** `to` is left out: it repeats the address of the link. */

const annotationNames: ReadonlyMap<string, SystemPropertyName> = new Map<string, SystemPropertyName>([
  ['dt-subject', 'subject'],
  ['iothub-interface-id', 'interfaceId'],
  ['iothub-outputname', 'outputName'],
  ['iothub-creation-time-utc', 'creationTime'],
])

/** What only the connection decides [G-6]. */
const decidedByConnection: ReadonlySet<string> = new Set(['iothub-connection-device-id', 'iothub-connection-module-id'])

export interface MessageTexts {
  readonly application: Map<string, string>
  readonly system: Map<string, string>
}

/** @throws INGEST_BODY_MALFORMED, INGEST_MESSAGE_TOO_LARGE: an envelope must fit a block */
export function messageTexts(message: ReadMessage): MessageTexts {
  const [application, system] = [new Map<string, string>(), new Map<string, string>()]
  for (const [field, name] of fieldNames) {
    const value = message.field(field)
    if (value !== null) system.set(name, textOf(name, value))
  }
  for (const [key, value] of message.annotations) {
    const name = annotationNames.get(key)
    if (name !== undefined && value !== null) system.set(name, textOf(name, value))
  }
  for (const [key, value] of message.applicationProperties) {
    if (key === 'iothub-creation-time-utc') system.set('creationTime', textOf(key, value))
    else if (!decidedByConnection.has(key)) application.set(key, textOf(key, value))
  }
  requireFits(application, system)
  return { application, system }
}

function textOf(name: string, value: ReadValue): string {
  if (typeof value === 'string') return value
  if (value === null) return ''
  if (value instanceof Date) return value.toISOString()
  if (Buffer.isBuffer(value)) return bytesText(value)
  if (Array.isArray(value) || value instanceof Map || value instanceof DescribedValue)
    throw new PenstockError(
      'INGEST_BODY_MALFORMED',
      `property ${name.slice(0, 40)} is not a text, number or truth value`,
    )
  return String(value)
}

/** A user id is bytes, and most often text. */
function bytesText(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : bytes.toString('base64')
}

function requireFits(...maps: readonly ReadonlyMap<string, string>[]): void {
  let bytes = 0
  for (const map of maps)
    for (const [key, value] of map) bytes += Buffer.byteLength(key) + Buffer.byteLength(value) + entryOverheadBytes
  if (bytes > limits.httpPropertyBytesMax)
    throw new PenstockError(
      'INGEST_MESSAGE_TOO_LARGE',
      `${bytes} bytes of properties; at most ${limits.httpPropertyBytesMax} are allowed`,
    )
}

/** Two lengths of an Avro map entry. */
const entryOverheadBytes = 6
