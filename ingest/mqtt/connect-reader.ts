/**
 * CONNECT as bytes (MQTT 3.1.1 and 5.0, section 3.1):
 *
 *   protocol name │ level 1 │ flags 1 │ keep-alive 2 │ 5.0: properties │ client id
 *   with a will: 5.0: properties │ topic │ payload         with user name: it │ with password: it │ nothing more
 *
 * Flags: user name 80, password 40, will retain 20, will QoS 18, will 04, clean start 02, reserved 01.
 */
import { PenstockError } from '#schemas/errors.ts'
import { bodyOf, type FieldReader, malformed } from './fields.ts'
import { frameBytesOf } from './frame.ts'
import { type ProtocolVersion, UnsupportedVersion } from './packets.ts'
import { type Properties, readProperties } from './properties.ts'

export interface ConnectPacket {
  readonly version: ProtocolVersion
  readonly isCleanStart: boolean
  readonly keepAliveSeconds: number
  readonly properties: Properties
  readonly clientId: string
  readonly will: WillPacket | undefined
  readonly username: string | undefined
  /** Lies in the frame. */
  readonly password: Buffer | undefined
}

export interface WillPacket {
  readonly qos: number
  readonly isRetained: boolean
  readonly properties: Properties
  readonly topic: string
  /** Lies in the frame. */
  readonly payload: Buffer
}

/** What is known of a client early, for the answer to a CONNECT that is refused further on. */
export type OnConnectKnown = (version: ProtocolVersion, packetBytesMax: number) => void

/**
 * Reads one whole CONNECT packet, and accepts nothing that its version does not say [MQTT-3.1.4-1].
 * @throws INGEST_FRAME_MALFORMED, INGEST_PROTOCOL_ERROR; `UnsupportedVersion`
 */
export function readConnectPacket(frame: Buffer, onKnown: OnConnectKnown): ConnectPacket {
  const fields = bodyOf(frame)
  const version = readVersion(fields)
  onKnown(version, Number.MAX_SAFE_INTEGER)
  frameBytesOf(frame, 0, frame.length, version) // its length was read before its version
  if (frame[0] !== 0x10) throw malformed('reserved bits of CONNECT are not 0 [MQTT-2.2.2-1]')
  const flags = fields.byte()
  checkFlags(flags, version)
  const keepAliveSeconds = fields.twoBytes()
  const properties = readConnectProperties(fields, version)
  onKnown(version, properties.maximumPacketSize ?? Number.MAX_SAFE_INTEGER)
  // The order of fields is fixed [MQTT-3.1.3-1].
  const packet = {
    version,
    isCleanStart: (flags & 0x02) !== 0,
    keepAliveSeconds,
    properties,
    clientId: fields.text(),
    will: (flags & 0x04) === 0 ? undefined : readWill(fields, flags, version),
    username: (flags & 0x80) === 0 ? undefined : fields.text(),
    password: (flags & 0x40) === 0 ? undefined : fields.binary(),
  }
  fields.expectEnd()
  return packet
}

function readVersion(fields: FieldReader): ProtocolVersion {
  const name = fields.binary().toString('latin1')
  const level = fields.byte()
  if (name === 'MQIsdp') throw new UnsupportedVersion(level)
  if (name !== 'MQTT') throw malformed('the protocol name is not MQTT [MQTT-3.1.2-1]')
  if (level !== 4 && level !== 5) throw new UnsupportedVersion(level)
  return level
}

function checkFlags(flags: number, version: ProtocolVersion): void {
  if ((flags & 0x01) !== 0) throw malformed('the reserved connect flag is not 0 [MQTT-3.1.2-3]')
  if ((flags & 0x04) === 0 && (flags & 0x38) !== 0) {
    throw malformed('will QoS or retain without a will [MQTT-3.1.2-11] [MQTT-3.1.2-13]')
  }
  if ((flags & 0x18) === 0x18) throw malformed('a will with both QoS bits [MQTT-3.1.2-12]')
  if (version === 4 && (flags & 0xc0) === 0x40) throw malformed('a password without a user name [MQTT-3.1.2-22]')
}

function readConnectProperties(fields: FieldReader, version: ProtocolVersion): Properties {
  if (version === 4) return {}
  const properties = readProperties(fields, 'connect')
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined)
    throw new PenstockError('INGEST_PROTOCOL_ERROR', 'authentication data without a method')
  return properties
}

function readWill(fields: FieldReader, flags: number, version: ProtocolVersion): WillPacket {
  return {
    qos: (flags >>> 3) & 0x03,
    isRetained: (flags & 0x20) !== 0,
    properties: version === 4 ? {} : readProperties(fields, 'will'),
    topic: fields.text(),
    payload: fields.binary(),
  }
}
