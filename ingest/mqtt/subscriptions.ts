/**
 * SUBSCRIBE and UNSUBSCRIBE (MQTT 3.1.1 and 5.0, sections 3.8 and 3.10):
 *
 *   packet id 2 │ 5.0: properties │ filters, one at least: text, and in SUBSCRIBE options 1
 *
 * Options: QoS 03; of 5.0 no local 04, retain as published 08, retain handling 30. The others are reserved.
 */
import type { Qos } from '#ingest/session/subscriptions.ts'
import { PenstockError } from '#schemas/errors.ts'
import { bodyOf, type FieldReader, malformed } from './fields.ts'
import type { ProtocolVersion } from './packets.ts'
import { type Properties, readProperties } from './properties.ts'

export interface FilterPacket<Filter> {
  readonly packetId: number
  readonly properties: Properties
  readonly filters: readonly Filter[]
}

export interface RequestedFilter {
  readonly filter: string
  /** QoS 2 is granted as 1. */
  readonly qos: Qos
}

/** @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR */
export function readSubscribe(frame: Buffer, version: ProtocolVersion): FilterPacket<RequestedFilter> {
  if (frame[0] !== 0x82) throw malformed('reserved bits of SUBSCRIBE are not 2 [MQTT-3.8.1-1]')
  return readFilters(frame, version, 'subscribe', (filter, fields) => {
    const options = fields.byte()
    checkOptions(options, filter, version)
    return { filter, qos: (options & 0x03) === 0 ? 0 : 1 }
  })
}

/** @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR */
export function readUnsubscribe(frame: Buffer, version: ProtocolVersion): FilterPacket<string> {
  if (frame[0] !== 0xa2) throw malformed('reserved bits of UNSUBSCRIBE are not 2 [MQTT-3.10.1-1]')
  return readFilters(frame, version, 'unsubscribe', (filter) => filter)
}

function readFilters<Filter>(
  frame: Buffer,
  version: ProtocolVersion,
  place: 'subscribe' | 'unsubscribe',
  readRest: (filter: string, fields: FieldReader) => Filter,
): FilterPacket<Filter> {
  const fields = bodyOf(frame)
  const packetId = fields.twoBytes()
  if (packetId === 0) throw malformed(`packet id 0 in a ${place} [MQTT-2.3.1-1]`)
  const properties = version === 4 ? {} : readProperties(fields, place)
  const filters: Filter[] = []
  while (fields.bytesLeft > 0) {
    filters.push(readRest(fields.text(), fields))
  }
  if (filters.length === 0) {
    throw new PenstockError('INGEST_PROTOCOL_ERROR', `a ${place} without a filter [MQTT-3.8.3-2] [MQTT-3.10.3-2]`)
  }
  return { packetId, properties, filters }
}

function checkOptions(options: number, filter: string, version: ProtocolVersion): void {
  const reserved = version === 4 ? 0xfc : 0xc0
  if ((options & reserved) !== 0) throw malformed('reserved bits of subscription options are not 0 [MQTT-3.8.3-5]')
  if ((options & 0x03) === 0x03) throw notAllowed('a subscription with both QoS bits [MQTT-3.8.3-4]')
  if ((options & 0x30) === 0x30) throw notAllowed('retain handling 3')
  if ((options & 0x04) !== 0 && isShared(filter)) throw notAllowed('no local on a shared subscription [MQTT-3.8.3-4]')
}

/** True for `$share/{group}/{filter}`, well-formed or not. */
export function isShared(filter: string): boolean {
  return filter.startsWith('$share/')
}

/**
 * True for levels of which `+` and `#` fill one, `#` the last [MQTT-4.7.1-1] [MQTT-4.7.1-2]; an empty text is no filter
 * [MQTT-4.7.3-1]. A shared one names its group, and a filter behind it [MQTT-4.8.2-1] [MQTT-4.8.2-2].
 */
export function isWellFormed(filter: string): boolean {
  let levels = filter.split('/')
  if (isShared(filter)) {
    const [, group = '', ...rest] = levels
    if (group === '' || hasWildcard(group)) return false
    levels = rest
  }
  if (levels.length <= 1 && (levels[0] ?? '') === '') return false
  return levels.every(
    (level, at) => !hasWildcard(level) || level === '+' || (level === '#' && at === levels.length - 1),
  )
}

function hasWildcard(level: string): boolean {
  return level.includes('+') || level.includes('#')
}

function notAllowed(what: string): PenstockError {
  return new PenstockError('INGEST_PROTOCOL_ERROR', what)
}
