/**
 * Properties of an MQTT 5.0 PUBLISH (section 3.3.2.3), read in place: identifier byte, then its value.
 *
 *   01 payload format indicator  byte          23 topic alias          two-byte integer
 *   02 message expiry interval   four bytes    26 user property        two UTF-8 strings, may repeat
 *   03 content type              UTF-8 string  08 response topic       UTF-8 string
 *   09 correlation data          binary        0B subscription id      a server's only, from a client a protocol error
 */
import { isUtf8 } from 'node:buffer'
import { PenstockError } from '#schemas/errors.ts'

export interface PublishProperties {
  /** 0 if none was given. */
  topicAlias: number
  readonly userProperties: Map<string, string>
  readonly systemProperties: Map<string, string>
}

/** @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR (a property twice, or not allowed here), INGEST_TOPIC_ALIAS_INVALID */
export function readPublishProperties(bytes: Buffer, start: number, end: number): PublishProperties {
  const result: PublishProperties = { topicAlias: 0, userProperties: new Map(), systemProperties: new Map() }
  let seen = 0
  let at = start
  while (at < end) {
    const id = bytes[at++] as number
    if (id !== 0x26) {
      if (id > 0x23) throw notAllowed(id)
      if (id < 32 && (seen & (1 << id)) !== 0) throw twice(id)
      if (id === 0x23 && (seen & 1) !== 0) throw twice(id)
      seen |= id === 0x23 ? 1 : 1 << id
    }
    switch (id) {
      case 0x01: {
        const value = need(at, 1, end) && (bytes[at] as number)
        if (value !== 0 && value !== 1)
          throw new PenstockError('INGEST_PROTOCOL_ERROR', 'payload format indicator is neither 0 nor 1')
        result.systemProperties.set('payloadFormatIndicator', String(value))
        at += 1
        break
      }
      case 0x02:
        need(at, 4, end)
        result.systemProperties.set('messageExpiryInterval', String(bytes.readUInt32BE(at)))
        at += 4
        break
      case 0x03:
        result.systemProperties.set('contentType', textAt(bytes, at, end))
        at += 2 + bytes.readUInt16BE(at)
        break
      case 0x08:
        result.systemProperties.set('responseTopic', textAt(bytes, at, end))
        at += 2 + bytes.readUInt16BE(at)
        break
      case 0x09: {
        const length = lengthAt(bytes, at, end)
        result.systemProperties.set('correlationData', bytes.toString('base64', at + 2, at + 2 + length))
        at += 2 + length
        break
      }
      case 0x23:
        need(at, 2, end)
        result.topicAlias = bytes.readUInt16BE(at)
        if (result.topicAlias === 0)
          throw new PenstockError('INGEST_TOPIC_ALIAS_INVALID', 'topic alias 0 is not allowed [MQTT-3.3.2-8]')
        at += 2
        break
      case 0x26: {
        const key = textAt(bytes, at, end)
        at += 2 + bytes.readUInt16BE(at)
        result.userProperties.set(key, textAt(bytes, at, end))
        at += 2 + bytes.readUInt16BE(at)
        break
      }
      default:
        throw notAllowed(id)
    }
  }
  return result
}

function need(at: number, count: number, end: number): true {
  if (at + count > end) throw new PenstockError('INGEST_FRAME_MALFORMED', 'a property is cut short')
  return true
}

function lengthAt(bytes: Buffer, at: number, end: number): number {
  need(at, 2, end)
  const length = bytes.readUInt16BE(at)
  need(at + 2, length, end)
  return length
}

function textAt(bytes: Buffer, at: number, end: number): string {
  const length = lengthAt(bytes, at, end)
  return textOf(bytes.subarray(at + 2, at + 2 + length))
}

/** UTF-8 text as MQTT allows it [MQTT-1.5.4-1] [MQTT-1.5.4-2]. @throws INGEST_FRAME_MALFORMED */
export function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new PenstockError('INGEST_FRAME_MALFORMED', 'text that is not UTF-8')
  if (bytes.includes(0)) throw new PenstockError('INGEST_FRAME_MALFORMED', 'text with a null character')
  return bytes.toString('utf8')
}

function notAllowed(id: number): PenstockError {
  return new PenstockError(
    'INGEST_PROTOCOL_ERROR',
    `property 0x${id.toString(16)} is not allowed in a PUBLISH to the server`,
  )
}

function twice(id: number): PenstockError {
  return new PenstockError('INGEST_PROTOCOL_ERROR', `property 0x${id.toString(16)} may be given once only`)
}
