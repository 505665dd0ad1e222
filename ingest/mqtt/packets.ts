import mqttPacket from 'mqtt-packet'
import { type ErrorCode, PenstockError } from '#schemas/errors.ts'

export type ProtocolVersion = 4 | 5

/** Reason codes of MQTT 5.0 (section 2.4) by error code, for DISCONNECT, CONNACK and PUBACK. */
const reasonCodes: Partial<Record<ErrorCode, number>> = {
  INGEST_FRAME_MALFORMED: 0x81,
  INGEST_PROTOCOL_ERROR: 0x82,
  INGEST_MESSAGE_REFUSED: 0x83,
  INGEST_TOPIC_NOT_OWN: 0x87,
  INGEST_NOT_AUTHORIZED: 0x87,
  AUTH_DIRECTORY_UNAVAILABLE: 0x88,
  INGEST_OVERLOADED: 0x97,
  INGEST_RATE_EXCEEDED: 0x97,
  INGEST_COMMANDS_HELD: 0x97,
  INGEST_CONNECTION_RATE: 0x9f,
  INGEST_FAILURES_EXCEEDED: 0x9f,
  INGEST_CONNECTIONS_FULL: 0x97,
  INGEST_DRAINING: 0x8b,
  INGEST_KEEP_ALIVE_TIMEOUT: 0x8d,
  INGEST_TAKE_OVER: 0x8e,
  INGEST_TOPIC_REFUSED: 0x90,
  INGEST_RECEIVE_MAXIMUM: 0x93,
  INGEST_TOPIC_ALIAS_INVALID: 0x94,
  INGEST_MESSAGE_TOO_LARGE: 0x97,
  INGEST_FRAME_TOO_LARGE: 0x95,
  INGEST_QOS_REFUSED: 0x9b,
  INGEST_CONNECT_TIMEOUT: 0xa0,
  INGEST_CONNECT_REFUSED: 0x85,
  INGEST_CONNECT_METHOD_REFUSED: 0x8c,
}

export function reasonCodeOf(code: ErrorCode): number {
  return reasonCodes[code] ?? 0x80
}

/** CONNACK return codes of MQTT 3.1.1 (table 3.1); where it has none, the connection just closes. */
const returnCodes: Partial<Record<ErrorCode, number>> = {
  INGEST_CONNECT_REFUSED: 0x02,
  INGEST_NOT_AUTHORIZED: 0x05,
  AUTH_DIRECTORY_UNAVAILABLE: 0x03,
  INGEST_RATE_EXCEEDED: 0x03,
  INGEST_CONNECTION_RATE: 0x03,
  INGEST_FAILURES_EXCEEDED: 0x03,
  INGEST_CONNECTIONS_FULL: 0x03,
  INGEST_DRAINING: 0x03,
}

/**
 * The last packet of a connection that ends for `error`; `undefined` where its version has none, the client takes none so long, or
 * nothing says yet that the peer speaks MQTT at all.
 * @param state that ends: before the CONNECT was understood, while it is decided on, behind the CONNACK
 */
export function farewell(
  state: 'waiting' | 'deciding' | 'open' | 'closed',
  version: ProtocolVersion,
  error: PenstockError,
  packetBytesMax: number,
): Buffer | undefined {
  if (state === 'open') return version === 5 ? disconnectPacket(error, packetBytesMax) : undefined
  if (error instanceof UnsupportedVersion) return unsupportedVersionConnack(error.level)
  return state === 'deciding' || version === 5 || error.code === 'INGEST_CONNECT_REFUSED'
    ? refusingConnack(version, error, packetBytesMax)
    : undefined
}

export class UnsupportedVersion extends PenstockError {
  readonly level: number

  constructor(level: number) {
    super('INGEST_CONNECT_REFUSED', `protocol level ${level} is not offered; 4 (MQTT 3.1.1) and 5 (MQTT 5.0) are`)
    this.level = level
  }
}

const largestReasonBytes = 200

/**
 * CONNACK that refuses; `undefined` where MQTT 3.1.1 has no code for the reason, or the client takes no packet of its length. Without
 * its text where only that would be too long for the client [MQTT-3.2.2-19].
 */
function refusingConnack(version: ProtocolVersion, error: PenstockError, packetBytesMax: number): Buffer | undefined {
  if (version === 4) {
    const returnCode = returnCodes[error.code]
    return returnCode === undefined
      ? undefined
      : mqttPacket.generate({ cmd: 'connack', returnCode, sessionPresent: false })
  }
  const reasonCode = reasonCodeOf(error.code)
  const full = mqttPacket.generate(
    { cmd: 'connack', reasonCode, sessionPresent: false, properties: reasonOf(error) },
    { protocolVersion: 5 },
  )
  return firstWithin(packetBytesMax, full, Buffer.from([0x20, 3, 0, reasonCode, 0]))
}

/** DISCONNECT from the server with its reason, kept within what the client said it accepts [MQTT-3.14.2-3]. MQTT 5.0 only. */
export function disconnectPacket(error: PenstockError, packetBytesMax: number): Buffer | undefined {
  const reasonCode = reasonCodeOf(error.code)
  const full = mqttPacket.generate(
    { cmd: 'disconnect', reasonCode, properties: reasonOf(error) },
    { protocolVersion: 5 },
  )
  return firstWithin(packetBytesMax, full, Buffer.from([0xe0, 1, reasonCode]))
}

function reasonOf(error: PenstockError): { reasonString: string } {
  return { reasonString: error.message.slice(0, largestReasonBytes) }
}

function firstWithin(bytesMax: number, ...packets: readonly Buffer[]): Buffer | undefined {
  return packets.find(({ length }) => length <= bytesMax)
}

/**
 * "Not supported" in the only form that a client of this level can be assumed to read [MQTT-3.1.2-2]. Bridges between brokers set the
 * highest bit and fall back to the level without it, once they were refused in that level's own form.
 */
function unsupportedVersionConnack(level: number): Buffer {
  return (level & 0x7f) < 5 ? Buffer.from([0x20, 2, 0, 1]) : Buffer.from([0x20, 3, 0, 0x84, 0])
}

export const pingResponse: Uint8Array = Buffer.from([0xd0, 0])

// Else the first packet that is made lays 65,536 buffers by, one for each number of two bytes: 6 MB and some milliseconds.
mqttPacket.writeToStream.cacheNumbers = false

export { mqttPacket }
