import type { DeviceSession } from '#ingest/session/device-session.ts'
import { PenstockError } from '#schemas/errors.ts'
import { feedOf } from './feed-filters.ts'
import { bodyOf, malformed } from './fields.ts'
import { mqttPacket, type ProtocolVersion } from './packets.ts'
import { readProperties } from './properties.ts'
import type { Publisher } from './route.ts'
import {
  type FilterPacket,
  isShared,
  isWellFormed,
  type RequestedFilter,
  readSubscribe,
  readUnsubscribe,
} from './subscriptions.ts'

/** What answers need of the connection. */
export interface AnsweringConnection {
  readonly version: ProtocolVersion
  /** @throws INGEST_FRAME_TOO_LARGE: the client does not take so long a packet */
  writeWithin(packet: Buffer): void
  /** @returns false if it was never sent what it could acknowledge */
  acknowledged(packetId: number, isTaken: boolean): boolean
  disconnected(withWill: boolean, expiryInterval?: number): void
}

/**
 * Answers any packet of an open connection but PUBLISH and a well-formed PINGREQ. A client may send SUBSCRIBE,
 * UNSUBSCRIBE, DISCONNECT, and PUBACK once it was sent something. Neither QoS 2 nor extended authentication is offered.
 * @throws PenstockError, which ends the connection
 */
export function answerControlPacket(connection: AnsweringConnection, session: DeviceSession, frame: Buffer): void {
  const { version } = connection
  const type = (frame[0] as number) >>> 4
  switch (type) {
    case packetTypes.subscribe:
      answerSubscribe(connection, session, readSubscribe(frame, version))
      return
    case packetTypes.unsubscribe:
      answerUnsubscribe(connection, session, readUnsubscribe(frame, version))
      return
    case packetTypes.puback: {
      const { packetId, isTaken } = readPuback(frame, version)
      if (connection.acknowledged(packetId, isTaken)) return
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a PUBACK of a client that was sent nothing')
    }
    case packetTypes.disconnect: {
      const { reason, expiryInterval } = readDisconnect(frame, version)
      connection.disconnected(reason !== normalDisconnection, expiryInterval)
      return
    }
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
const packetTypes = {
  connect: 1,
  puback: 4,
  pubrel: 6,
  subscribe: 8,
  unsubscribe: 10,
  pingRequest: 12,
  disconnect: 14,
} as const

function answerSubscribe(
  connection: AnsweringConnection,
  session: DeviceSession,
  { packetId, properties, filters }: FilterPacket<RequestedFilter>,
): void {
  const { version } = connection
  // The hub ends a connection that listens for another device; 0x80 could not say why. MQTT 5.0 has a reason code for it.
  const foreign = version === 4 && filters.find(({ filter }) => isForeign(filter, session))
  if (foreign) throw new PenstockError('INGEST_TOPIC_NOT_OWN', `a filter of another device: ${foreign.filter}`)
  const isIdentified = properties.subscriptionIdentifier !== undefined
  const requested = filters.map(({ filter, qos }) => ({
    feed: isIdentified ? undefined : feedOf(filter, session),
    qos,
    refusal: refusalOf(filter, version, isIdentified),
  }))
  // What is not granted gets a failure of its own, and the connection goes on [MQTT-3.8.4-5].
  const granted = requested.map(({ feed, qos, refusal }) => (feed === undefined ? refusal : qos))
  connection.writeWithin(
    mqttPacket.generate({ cmd: 'suback', messageId: packetId, granted }, { protocolVersion: version }),
  )
  for (const { feed, qos } of requested) if (feed !== undefined) session.subscribe(feed, qos)
}

function answerUnsubscribe(
  connection: AnsweringConnection,
  session: DeviceSession,
  { packetId, filters }: FilterPacket<string>,
): void {
  const granted = filters.map((filter) => {
    if (!isWellFormed(filter)) return filterInvalid
    const feed = feedOf(filter, session)
    return feed !== undefined && session.unsubscribe(feed) ? unsubscribed : noSubscriptionExisted
  })
  connection.writeWithin(
    mqttPacket.generate({ cmd: 'unsuback', messageId: packetId, granted }, { protocolVersion: connection.version }),
  )
}

const unsubscribed = 0x00
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

/** Reason codes of PUBACK (MQTT 5.0, table 3-4) [MQTT-3.4.2-1]; those from 0x80 refuse the message. */
const pubackReasons: ReadonlySet<number> = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])

/** Of MQTT 5.0 the reason may be left out, and the properties behind it too. */
function readPuback(frame: Buffer, version: ProtocolVersion): { packetId: number; isTaken: boolean } {
  if (frame[0] !== 0x40) throw malformed('reserved bits of PUBACK are not 0')
  const fields = bodyOf(frame)
  const packetId = fields.twoBytes()
  if (packetId === 0) throw malformed('packet id 0 in a PUBACK [MQTT-2.3.1-1]')
  let reason = 0
  if (version === 5 && fields.bytesLeft > 0) {
    reason = fields.byte()
    if (fields.bytesLeft > 0) readProperties(fields, 'puback')
  }
  fields.expectEnd()
  if (!pubackReasons.has(reason))
    throw new PenstockError('INGEST_PROTOCOL_ERROR', `a PUBACK with reason 0x${reason.toString(16)}`)
  return { packetId, isTaken: reason < 0x80 }
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

/** MQTT 3.1.1 has no reason. Of MQTT 5.0 it may be left out, and the properties behind it too. */
function readDisconnect(
  frame: Buffer,
  version: ProtocolVersion,
): { reason: number; expiryInterval: number | undefined } {
  if (frame[0] !== 0xe0) throw malformed('reserved bits of DISCONNECT are not 0 [MQTT-3.14.1-1]')
  const fields = bodyOf(frame)
  let reason = 0
  let expiryInterval: number | undefined
  if (version === 5 && fields.bytesLeft > 0) {
    reason = fields.byte()
    if (fields.bytesLeft > 0) expiryInterval = readProperties(fields, 'disconnect').sessionExpiryInterval
  }
  fields.expectEnd()
  if (!clientDisconnectReasons.has(reason))
    throw new PenstockError('INGEST_PROTOCOL_ERROR', `a DISCONNECT of a client with reason 0x${reason.toString(16)}`)
  return { reason, expiryInterval }
}
