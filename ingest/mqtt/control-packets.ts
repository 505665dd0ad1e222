import { PenstockError } from '#schemas/errors.ts'
import { bodyOf, malformed } from './fields.ts'
import { mqttPacket, type ProtocolVersion } from './packets.ts'
import { readProperties } from './properties.ts'
import type { Publisher } from './route.ts'
import { type FilterPacket, isShared, isWellFormed, readSubscribe, readUnsubscribe } from './subscriptions.ts'

/** What answers need of the connection. */
export interface AnsweringConnection {
  readonly version: ProtocolVersion
  /** @throws INGEST_FRAME_TOO_LARGE: the client does not take so long a packet */
  writeWithin(packet: Buffer): void
  disconnected(withWill: boolean): void
}

/**
 * Answers any packet of an open connection but PUBLISH and a well-formed PINGREQ. A client may send SUBSCRIBE,
 * UNSUBSCRIBE and DISCONNECT. It owes no PUBACK, since it is sent nothing above QoS 0. Neither QoS 2 nor extended
 * authentication is offered.
 * @throws PenstockError, which ends the connection
 */
export function answerControlPacket(connection: AnsweringConnection, publisher: Publisher, frame: Buffer): void {
  const { version } = connection
  const type = (frame[0] as number) >>> 4
  switch (type) {
    case packetTypes.subscribe:
      answerSubscribe(connection, publisher, readSubscribe(frame, version))
      return
    case packetTypes.unsubscribe: {
      const { packetId, filters } = readUnsubscribe(frame, version)
      const granted = filters.map((filter) => (isWellFormed(filter) ? noSubscriptionExisted : filterInvalid))
      connection.writeWithin(
        mqttPacket.generate({ cmd: 'unsuback', messageId: packetId, granted }, { protocolVersion: version }),
      )
      return
    }
    case packetTypes.disconnect:
      connection.disconnected(readDisconnect(frame, version) !== normalDisconnection)
      return
    case packetTypes.connect:
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a second CONNECT [MQTT-3.1.0-2]')
    case packetTypes.pingRequest:
      throw malformed('a PINGREQ with flags or a body')
    default:
      if (type === 0 || ((frame[0] as number) & 0x0f) !== (type === packetTypes.pubrel ? 0x02 : 0))
        throw malformed(`reserved bits of packet type ${type} are not as they must be [MQTT-3.6.1-1] [MQTT-3.15.1-1]`)
      throw new PenstockError('INGEST_PROTOCOL_ERROR', `a packet of type ${type} is not expected from a client here`)
  }
}

/** Table 2-1 of both versions. */
const packetTypes = { connect: 1, pubrel: 6, subscribe: 8, unsubscribe: 10, pingRequest: 12, disconnect: 14 } as const

function answerSubscribe(
  connection: AnsweringConnection,
  publisher: Publisher,
  { packetId, properties, filters }: FilterPacket,
): void {
  const { version } = connection
  // The hub ends a connection that listens for another device; 0x80 could not say why. MQTT 5.0 has a reason code for it.
  const foreign = version === 4 && filters.find((filter) => isForeign(filter, publisher))
  if (foreign) throw new PenstockError('INGEST_TOPIC_NOT_OWN', `a filter of another device: ${foreign}`)
  // No topic is granted: every filter gets a failure of its own, and the connection goes on [MQTT-3.8.4-5].
  const isIdentified = properties.subscriptionIdentifier !== undefined
  const granted = filters.map((filter) => refusalOf(filter, version, isIdentified))
  connection.writeWithin(
    mqttPacket.generate({ cmd: 'suback', messageId: packetId, granted }, { protocolVersion: version }),
  )
}

const noSubscriptionExisted = 0x11
const filterInvalid = 0x8f

/**
 * MQTT 3.1.1: failure 0x80. MQTT 5.0: topic filter invalid, subscription identifiers or shared subscriptions not supported, or not
 * authorized.
 */
function refusalOf(filter: string, version: ProtocolVersion, isIdentified: boolean): number {
  if (version === 4) return 0x80
  if (!isWellFormed(filter)) return filterInvalid
  if (isIdentified) return 0xa1
  return isShared(filter) ? 0x9e : 0x87
}

/** True for a filter below `devices/` that asks for more than this device's, or this module's, own. */
function isForeign(filter: string, { deviceId, moduleId }: Publisher): boolean {
  const [collection, owner, modules, module] = filter.split('/', 4)
  if (collection !== 'devices' || deviceId === undefined) return false
  return owner !== deviceId || (modules === 'modules' ? module : undefined) !== moduleId
}

const normalDisconnection = 0x00

/** Reason codes of DISCONNECT that a client may use (MQTT 5.0, table 3-10) [MQTT-3.14.2-1]. */
const clientDisconnectReasons: ReadonlySet<number> = new Set([
  normalDisconnection,
  0x04,
  0x80,
  0x81,
  0x82,
  0x83,
  0x90,
  0x93,
  0x94,
  0x95,
  0x96,
  0x97,
  0x98,
  0x99,
])

/** The reason; MQTT 3.1.1 has none. Of MQTT 5.0 it may be left out, and the properties behind it too. */
function readDisconnect(frame: Buffer, version: ProtocolVersion): number {
  if (frame[0] !== 0xe0) throw malformed('reserved bits of DISCONNECT are not 0 [MQTT-3.14.1-1]')
  const fields = bodyOf(frame)
  let reason = 0
  if (version === 5 && fields.bytesLeft > 0) {
    reason = fields.byte()
    if (fields.bytesLeft > 0) readProperties(fields, 'disconnect')
  }
  fields.expectEnd()
  if (!clientDisconnectReasons.has(reason))
    throw new PenstockError('INGEST_PROTOCOL_ERROR', `a DISCONNECT of a client with reason 0x${reason.toString(16)}`)
  return reason
}
