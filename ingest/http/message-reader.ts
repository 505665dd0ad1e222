/**
 * Messages of an HTTP telemetry request.
 *
 *   single        the body is one message                      any content type
 *   hub batch     [{"body":"<base64>","properties":{…}}, …]    Content-Type application/vnd.microsoft.iothub.json
 *   JSON array    each element is one message                  ?split=array
 *   lines         each line that is not empty is one message   ?split=lines, or Content-Type application/x-ndjson
 */

import { isUtf8 } from 'node:buffer'
import { messageProperties } from '#ingest/device-api/message-properties.ts'
import type { MessageProperties, SystemPropertyName, TelemetryMessage } from '#ingest/device-api/telemetry.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

const none: ReadonlyMap<string, string> = new Map()
const noProperties: MessageProperties = { application: none, system: none, bytes: 0 }

export const hubBatchType = 'application/vnd.microsoft.iothub.json'

/**
 * Headers (and property names of a hub batch) that carry system properties, by the name under which these are stored. `iothub-to` is
 * left out: it repeats the request's path.
 */
const systemHeaders: ReadonlyMap<string, SystemPropertyName> = new Map<string, SystemPropertyName>([
  ['iothub-messageid', 'messageId'],
  ['iothub-correlationid', 'correlationId'],
  ['iothub-userid', 'userId'],
  ['iothub-contenttype', 'contentType'],
  ['iothub-contentencoding', 'contentEncoding'],
  ['iothub-expiry', 'expiry'],
  ['iothub-app-iothub-creation-time-utc', 'creationTime'],
  ['dt-subject', 'subject'],
  ['iothub-interface-id', 'interfaceId'],
])
const applicationPrefix = 'iothub-app-'
/** An application property without the prefix, as in the property bag of MQTT. */
const ackHeader = 'iothub-ack'

/** @throws INGEST_BODY_MALFORMED, INGEST_FRAME_TOO_LARGE */
export function readMessages(
  body: Buffer,
  contentType: string,
  split: string | undefined,
  headers: Iterable<readonly [string, string]>,
): TelemetryMessage[] {
  const type = contentType === '' ? '' : (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
  if (type === hubBatchType) return hubBatch(body)
  const bodies = bodiesOf(body, split ?? (type === 'application/x-ndjson' ? 'lines' : 'no'))
  const properties = propertiesOf(headers, bodies === undefined ? undefined : 'application/json')
  if (bodies === undefined) return [messageOf(body, properties)]
  return bodies.map((part) => messageOf(part, properties))
}

/** The parts of a split body; `undefined` if the whole is one message. */
function bodiesOf(body: Buffer, split: string): Buffer[] | undefined {
  switch (split) {
    case 'no':
      return undefined
    case 'array': {
      const elements = jsonOf(body)
      if (!Array.isArray(elements)) throw malformed('with split=array the body must be a JSON array')
      checkCount(elements.length)
      const parts = elementsOf(body)
      // Another reader has judged the same bytes: where the two do not agree, one of them is wrong.
      assert(parts.length === elements.length, 'an array has the elements that JSON says')
      return parts
    }
    case 'lines':
      return linesOf(body)
    default:
      throw malformed(`split=${split.slice(0, 20)}: allowed are array and lines`)
  }
}

/**
 * The elements of a body that is known to be a JSON array, as they were sent: written anew, large numbers would lose digits.
 * Outside of strings every byte of JSON is ASCII, so that bytes can be looked at one by one.
 */
function elementsOf(body: Buffer): Buffer[] {
  const elements: Buffer[] = []
  let depth = 0
  let start = -1
  let end = -1
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] as number
    if (byte === space || byte === tab || byte === newline || byte === carriageReturn) continue
    const closes = byte === closingBracket || byte === closingBrace
    if (depth === 1 && start >= 0 && (byte === comma || closes)) {
      elements.push(body.subarray(start, end))
      start = -1
    }
    if (closes) depth--
    else {
      if (depth === 1 && start < 0 && byte !== comma) start = at
      if (byte === openingBracket || byte === openingBrace) depth++
      else if (byte === quote) at = endOfString(body, at)
    }
    end = at + 1
  }
  assert(depth === 0 && start < 0, 'what is known to be JSON is closed')
  return elements
}

const [tab, newline, carriageReturn, space, quote, comma] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c]
const [openingBracket, backslash, closingBracket, openingBrace, closingBrace] = [0x5b, 0x5c, 0x5d, 0x7b, 0x7d]

/** Position of the quote that ends the string beginning at `start`. */
function endOfString(body: Buffer, start: number): number {
  let at = start + 1
  for (; body[at] !== quote; at++) if (body[at] === backslash) at++
  return at
}

function linesOf(body: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < body.length; ) {
    const found = body.indexOf(newline, start)
    const end = found < 0 ? body.length : found
    const line = body.subarray(start, end > start && body[end - 1] === carriageReturn ? end - 1 : end)
    if (line.length > 0) checkCount(lines.push(line))
    start = end + 1
  }
  return lines
}

function hubBatch(body: Buffer): TelemetryMessage[] {
  const elements = jsonOf(body)
  if (!Array.isArray(elements)) throw malformed('a batch must be a JSON array')
  checkCount(elements.length)
  return elements.map((element: unknown, index) => {
    if (!isRecord(element) || typeof element.body !== 'string')
      throw malformed(`message ${index} of the batch has no body`)
    const properties = element.properties ?? {}
    if (!isRecord(properties)) throw malformed(`the properties of message ${index} of the batch are not an object`)
    const texts = Object.entries(properties).map(([key, value]) => [key, propertyText(key, value)] as const)
    const { base64Encoded = true } = element
    if (typeof base64Encoded !== 'boolean')
      throw malformed(`base64Encoded of message ${index} of the batch is no truth value`)
    const body = base64Encoded ? bytesOfBase64(element.body) : Buffer.from(element.body)
    if (body === undefined) throw malformed(`the body of message ${index} of the batch is not base64`)
    return messageOf(body, propertiesOf(texts))
  })
}

/**
 * Of base64 with its padding, in either alphabet; `undefined` if it is not whole: the decoder leaves out what it does not know, so that
 * fewer bytes come than the length says.
 */
function bytesOfBase64(text: string): Buffer | undefined {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === (text.length / 4) * 3 - padding ? bytes : undefined
}

/**
 * @param contentType where no header names one
 * @throws INGEST_FRAME_TOO_LARGE
 */
function propertiesOf(headers: Iterable<readonly [string, string]>, contentType?: string): MessageProperties {
  let application: Map<string, string> | undefined
  let system = contentType === undefined ? undefined : new Map([['contentType', contentType]])
  for (const [name, value] of headers) {
    // HOT: most headers are none of these, and those that are begin with `i` or `d`.
    const first = name.charCodeAt(0) | 0x20
    if (first !== 0x69 && first !== 0x64) continue
    const key = name.toLowerCase()
    const systemName = systemHeaders.get(key)
    if (systemName !== undefined) system = (system ?? new Map()).set(systemName, value)
    else if (key.startsWith(applicationPrefix))
      application = (application ?? new Map()).set(name.slice(applicationPrefix.length), value)
    else if (key === ackHeader) application = (application ?? new Map()).set(ackHeader, value)
  }
  if (application === undefined && system === undefined) return noProperties
  return messageProperties(application ?? none, system ?? none)
}

function propertyText(key: string, value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'object') throw malformed(`property ${key.slice(0, 40)} is not a text, number or truth value`)
  return String(value)
}

/** @throws INGEST_FRAME_TOO_LARGE */
function messageOf(body: Buffer, properties: MessageProperties): TelemetryMessage {
  if (body.length > limits.bodyBytesMax) {
    throw new PenstockError(
      'INGEST_FRAME_TOO_LARGE',
      `a message of ${body.length} bytes; at most ${limits.bodyBytesMax} are allowed`,
    )
  }
  return { body, properties }
}

function checkCount(count: number): void {
  if (count > limits.httpMessagesMax) {
    throw new PenstockError('INGEST_FRAME_TOO_LARGE', `more than ${limits.httpMessagesMax} messages in one request`)
  }
}

function jsonOf(body: Buffer): unknown {
  // Else what is not UTF-8 would become other text.
  if (!isUtf8(body)) throw malformed('the body is not JSON in UTF-8')
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw malformed('the body is not JSON')
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(text: string): PenstockError {
  return new PenstockError('INGEST_BODY_MALFORMED', text)
}
