/** Which messages a viewer of the tail wants. Pure. */

import type { Envelope } from '#schemas/batch.ts'
import { partitionOfDevice } from '#schemas/partition.ts'

/** All of what is given must hold; what is left out or empty always does. */
export interface TailFilter {
  /** An id, or how ids begin where a `*` ends it. */
  readonly device?: string | undefined
  /** `name` or `name=value`, of the device's own properties or the protocol's. */
  readonly property?: string | undefined
  /** `path` or `path=value` in a JSON body: `engine.temperature=21.5`, `doors.0`. */
  readonly body?: string | undefined
  /** Anywhere in the body, as it stands. */
  readonly text?: string | undefined
}

/** The one partition that has messages of the device asked for; `undefined`: all may. */
export function partitionOf({ device = '' }: TailFilter, partitionCount: number): number | undefined {
  return device === '' || device.endsWith('*') ? undefined : partitionOfDevice(Buffer.from(device), partitionCount)
}

/** Decides on a message. What a filter needs is made once, so a message costs comparisons only; a body is parsed where its path is asked for. */
export function matcherOf({ device = '', property = '', body = '', text = '' }: TailFilter): (of: Envelope) => boolean {
  const isPrefix = device.endsWith('*')
  const deviceText = isPrefix ? device.slice(0, -1) : device
  const wantedProperty = pairOf(property)
  const wantedBody = pairOf(body)
  const path = wantedBody.name.split('.')
  const bytes = Buffer.from(text)
  return (envelope) => {
    if (deviceText !== '') {
      const { deviceId } = envelope
      if (isPrefix ? !deviceId.startsWith(deviceText) : deviceId !== deviceText) return false
    }
    if (property !== '' && !hasProperty(envelope, wantedProperty)) return false
    if (text !== '' && !bufferOf(envelope.body).includes(bytes)) return false
    return body === '' || hasValue(envelope.body, path, wantedBody.value)
  }
}

interface Pair {
  readonly name: string
  /** `undefined`: any. */
  readonly value: string | undefined
}

function pairOf(text: string): Pair {
  const equals = text.indexOf('=')
  if (equals < 0) return { name: text.trim(), value: undefined }
  return { name: text.slice(0, equals).trim(), value: text.slice(equals + 1).trim() }
}

function hasProperty({ properties, systemProperties }: Envelope, { name, value }: Pair): boolean {
  return [properties, systemProperties].some(
    (map) => Object.hasOwn(map, name) && (value === undefined || map[name] === value),
  )
}

function hasValue(body: Uint8Array, path: readonly string[], wanted: string | undefined): boolean {
  let at: unknown
  try {
    at = JSON.parse(bufferOf(body).toString())
  } catch {
    return false
  }
  for (const name of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return false
    at = (at as Readonly<Record<string, unknown>>)[name]
  }
  return wanted === undefined || wanted === (typeof at === 'string' ? at : JSON.stringify(at))
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
