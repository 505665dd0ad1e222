/**
 * CONNECT, step by step; the first step that fails decides the answer.
 *
 *   1 version      protocol name and level: 3.1.1 and 5.0                        [MQTT-3.1.2-1] [MQTT-3.1.2-2]
 *   2 flags        reserved bit, will and password flags agree                   [MQTT-3.1.2-3] [MQTT-3.1.2-22]
 *   3 packet       the rest of it, by the packet library
 *   4 client id    what a device id may hold; empty only with a clean start      [MQTT-3.1.3-8]
 *   5 will         its topic is one this device may publish to, its QoS 0 or 1
 *   6 identity     who this is (may take a moment; packets that follow wait)
 *   7 capacity     connections, draining
 *   8 take-over    an older connection of the same client ends                   [MQTT-3.1.4-2]
 *   9 CONNACK
 */
import { randomUUID } from 'node:crypto'
import { idRule, isIdentityId } from '#control/identity.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { mqttPacket, type ProtocolVersion, parseControlPacket } from './packets.ts'

/** A CONNECT that passed steps 1 to 4. */
export interface ConnectRequest {
  readonly version: ProtocolVersion
  /** As sent; empty if the server is to choose one. */
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly keepAliveSeconds: number
  readonly will: WillRequest | undefined
  /** Largest packet the client accepts, bytes; MQTT 5.0. */
  readonly packetBytesMax: number
  readonly sessionExpirySeconds: number
}

export interface WillRequest {
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
  readonly userProperties: ReadonlyMap<string, string>
  readonly systemProperties: ReadonlyMap<string, string>
}

export class UnsupportedVersion extends PenstockError {
  readonly level: number

  constructor(level: number) {
    super('INGEST_CONNECT_REFUSED', `protocol level ${level} is not offered; 4 (MQTT 3.1.1) and 5 (MQTT 5.0) are`)
    this.level = level
  }
}

/**
 * Steps 1 to 4 on one whole CONNECT packet.
 * @param onPacketBytesMax told the client's Maximum Packet Size as soon as it is known: a refusal must keep to it as well
 * @throws PenstockError; `UnsupportedVersion` from step 1
 */
export function readConnect(frame: Buffer, onPacketBytesMax?: (packetBytesMax: number) => void): ConnectRequest {
  const version = versionOf(frame)
  const packet = parseControlPacket(frame, version)
  if (packet.cmd !== 'connect')
    throw new PenstockError('INGEST_PROTOCOL_ERROR', 'the first packet must be a CONNECT [MQTT-3.1.0-1]')
  const properties = packet.properties ?? {}
  const packetBytesMax = properties.maximumPacketSize ?? Number.MAX_SAFE_INTEGER
  onPacketBytesMax?.(packetBytesMax)
  if (properties.authenticationMethod !== undefined) {
    throw new PenstockError('INGEST_CONNECT_METHOD_REFUSED', 'extended authentication is not offered')
  }
  checkClientId(packet.clientId, version, packet.clean ?? true)
  return {
    version,
    clientId: packet.clientId,
    username: packet.username,
    password: packet.password === undefined ? undefined : Buffer.from(packet.password),
    keepAliveSeconds: packet.keepalive ?? 0,
    will: packet.will ? willOf(packet.will) : undefined,
    packetBytesMax,
    sessionExpirySeconds: properties.sessionExpiryInterval ?? 0,
  }
}

function versionOf(frame: Buffer): ProtocolVersion {
  let at = 1
  while ((frame[at] ?? 0) > 0x7f) at++
  at++
  if (frame.length < at + 2) throw new PenstockError('INGEST_FRAME_MALFORMED', 'a CONNECT that is cut short')
  const nameBytes = frame.readUInt16BE(at)
  const name = frame.toString('latin1', at + 2, at + 2 + nameBytes)
  const level = frame[at + 2 + nameBytes]
  const flags = frame[at + 3 + nameBytes]
  if (level === undefined || flags === undefined)
    throw new PenstockError('INGEST_FRAME_MALFORMED', 'a CONNECT that is cut short')
  if (name === 'MQIsdp') throw new UnsupportedVersion(level)
  if (name !== 'MQTT') throw new PenstockError('INGEST_FRAME_MALFORMED', 'the protocol name is not MQTT [MQTT-3.1.2-1]')
  if (level !== 4 && level !== 5) throw new UnsupportedVersion(level)
  if ((frame[0] as number) !== 0x10)
    throw new PenstockError('INGEST_FRAME_MALFORMED', 'reserved bits of CONNECT are not 0 [MQTT-2.2.2-1]')
  if ((flags & 0x01) !== 0)
    throw new PenstockError('INGEST_FRAME_MALFORMED', 'the reserved connect flag is not 0 [MQTT-3.1.2-3]')
  if ((flags & 0x04) === 0 && (flags & 0x38) !== 0) {
    throw new PenstockError('INGEST_FRAME_MALFORMED', 'will QoS or retain without a will [MQTT-3.1.2-11]')
  }
  if (level === 4 && (flags & 0xc0) === 0x40) {
    throw new PenstockError('INGEST_FRAME_MALFORMED', 'a password without a user name [MQTT-3.1.2-22]')
  }
  return level
}

function checkClientId(clientId: string, version: ProtocolVersion, clean: boolean): void {
  if (clientId === '') {
    if (version === 5 || clean) return
    throw new PenstockError('INGEST_CONNECT_REFUSED', 'an empty client id needs a clean session [MQTT-3.1.3-8]')
  }
  const segments = clientId.split('/')
  if (segments.length <= 2 && segments.every(isIdentityId)) return
  throw new PenstockError('INGEST_CONNECT_REFUSED', `client id must be {device} or {device}/{module}, each ${idRule}`)
}

function willOf(will: NonNullable<mqttPacket.IConnectPacket['will']>): WillRequest {
  if (will.qos === 2) throw new PenstockError('INGEST_QOS_REFUSED', 'a will with QoS 2 is not offered [MQTT-3.2.2-12]')
  const payload = Buffer.from(will.payload)
  if (payload.length > limits.bodyBytesMax)
    throw new PenstockError('INGEST_FRAME_TOO_LARGE', 'the will message is too large')
  const properties = will.properties ?? {}
  const systemProperties = new Map<string, string>()
  if (properties.contentType !== undefined) systemProperties.set('contentType', properties.contentType)
  if (properties.responseTopic !== undefined) systemProperties.set('responseTopic', properties.responseTopic)
  if (properties.correlationData !== undefined) {
    systemProperties.set('correlationData', Buffer.from(properties.correlationData).toString('base64'))
  }
  if (properties.messageExpiryInterval !== undefined) {
    systemProperties.set('messageExpiryInterval', String(properties.messageExpiryInterval))
  }
  const userProperties = new Map<string, string>()
  for (const [key, value] of Object.entries(properties.userProperties ?? {})) {
    userProperties.set(key, Array.isArray(value) ? String(value.at(-1)) : String(value))
  }
  return {
    topic: will.topic,
    payload,
    retain: will.retain ?? false,
    userProperties,
    systemProperties,
  }
}

/** Keep-alive the server holds the client to: the hub's cap where none or a longer one was asked for. */
export function grantedKeepAliveSeconds(asked: number): number {
  return asked === 0 || asked > limits.keepAliveSecondsMax ? limits.keepAliveSecondsMax : asked
}

/**
 * Step 9. `assignedId` is set where the client left its id to the server.
 * @throws INGEST_FRAME_TOO_LARGE: the client takes no packet of this length [MQTT-3.1.2-24], and must not miss what it says
 */
export function acceptingConnack(request: ConnectRequest, assignedId: string | undefined): Buffer {
  if (request.version === 4) return mqttPacket.generate({ cmd: 'connack', returnCode: 0, sessionPresent: false })
  const granted = grantedKeepAliveSeconds(request.keepAliveSeconds)
  const connack = mqttPacket.generate(
    {
      cmd: 'connack',
      reasonCode: 0,
      sessionPresent: false,
      properties: {
        // No session outlives its connection: nothing is subscribed, nothing is queued.
        ...(request.sessionExpirySeconds > 0 ? { sessionExpiryInterval: 0 } : {}),
        receiveMaximum: limits.receiveMaximum,
        maximumQoS: 1,
        maximumPacketSize: limits.packetBytesMax,
        ...(assignedId === undefined ? {} : { assignedClientIdentifier: assignedId }),
        topicAliasMaximum: limits.topicAliasMax,
        subscriptionIdentifiersAvailable: false,
        sharedSubscriptionAvailable: false,
        ...(granted === request.keepAliveSeconds ? {} : { serverKeepAlive: granted }),
      },
    },
    { protocolVersion: 5 },
  )
  if (connack.length <= request.packetBytesMax) return connack
  throw new PenstockError('INGEST_FRAME_TOO_LARGE', `CONNACK has ${connack.length} bytes, more than the client takes`)
}

/** An id for a client that sent none [MQTT-3.1.3-6]. */
export function assignedClientId(): string {
  return `anonymous-${randomUUID()}`
}
