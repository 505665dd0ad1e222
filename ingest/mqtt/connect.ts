/**
 * CONNECT, step by step; the first step that fails decides the answer.
 *
 *   1 version      protocol name and level: 3.1.1 and 5.0                        [MQTT-3.1.2-1] [MQTT-3.1.2-2]
 *   2 packet       flags, properties and every field as the version has them (`connect-reader.ts`)  [MQTT-3.1.4-1]
 *   3 client id    what a device id may hold; empty only with a clean start      [MQTT-3.1.3-8]
 *   4 will         its topic is one this device may publish to, its QoS 0 or 1
 *   5 identity     who this is (may take a moment; packets that follow wait)
 *   6 capacity     connections, draining
 *   7 take-over    an older connection of the same client ends                   [MQTT-3.1.4-2]
 *   8 CONNACK
 */
import { randomUUID } from 'node:crypto'
import { bodyTooLarge } from '#ingest/device-api/telemetry.ts'
import type { DeviceSession } from '#ingest/session/device-session.ts'
import { modelIdOf } from '#ingest/session/model-id.ts'
import { PenstockError } from '#schemas/errors.ts'
import { idRule, isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { type OnConnectKnown, readConnectPacket, type WillPacket } from './connect-reader.ts'
import { mqttPacket, type ProtocolVersion } from './packets.ts'
import { systemPropertiesOf } from './properties.ts'

/** A CONNECT that passed steps 1 to 3. */
export interface ConnectRequest {
  readonly version: ProtocolVersion
  /** As sent; empty if the server is to choose one. */
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Buffer | undefined
  readonly modelId: string | undefined
  readonly keepAliveSeconds: number
  readonly will: WillRequest | undefined
  /** Largest packet the client accepts, bytes; MQTT 5.0. */
  readonly packetBytesMax: number
  /** It wants to go on with its session, if one is kept. */
  readonly resumes: boolean
  /** Unacknowledged messages that the client takes; MQTT 5.0. */
  readonly receiveMaximum: number
  /** How long its session is to be kept after the connection ended; `undefined`: for ever. */
  readonly keptSeconds: number | undefined
}

export interface WillRequest {
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
  readonly userProperties: ReadonlyMap<string, string>
  readonly systemProperties: ReadonlyMap<string, string>
}

/**
 * Steps 1 to 3 on one whole CONNECT packet.
 * @param onKnown told the version, and then the client's Maximum Packet Size, as soon as they are known: a refusal must keep to them
 * @throws PenstockError; `UnsupportedVersion` from step 1
 */
export function readConnect(frame: Buffer, onKnown: OnConnectKnown = () => {}): ConnectRequest {
  const { version, clientId, username, password, keepAliveSeconds, will, isCleanStart, properties } = readConnectPacket(
    frame,
    onKnown,
  )
  if (properties.authenticationMethod !== undefined) {
    throw new PenstockError('INGEST_CONNECT_METHOD_REFUSED', 'extended authentication is not offered')
  }
  checkClientId(clientId, version, isCleanStart)
  return {
    version,
    clientId,
    username,
    password: password && Buffer.from(password),
    modelId: modelIdOf(username, properties.userProperties),
    keepAliveSeconds,
    will: will && willOf(will),
    packetBytesMax: properties.maximumPacketSize ?? Number.MAX_SAFE_INTEGER,
    receiveMaximum: properties.receiveMaximum ?? 0xffff,
    resumes: !isCleanStart,
    keptSeconds: version === 5 ? keptSecondsOf(properties.sessionExpiryInterval ?? 0) : isCleanStart ? 0 : undefined,
  }
}

/** @param interval of MQTT 5.0, whose largest value is for ever (section 3.1.2.11.2) */
export function keptSecondsOf(interval: number): number | undefined {
  return interval === 0xffff_ffff ? undefined : interval
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

function willOf({ qos, isRetained, properties, topic, payload }: WillPacket): WillRequest {
  if (qos === 2) throw new PenstockError('INGEST_QOS_REFUSED', 'a will with QoS 2 is not offered [MQTT-3.2.2-12]')
  if (payload.length > limits.bodyBytesMax) throw bodyTooLarge(payload.length)
  return {
    topic,
    payload: Buffer.from(payload),
    retain: isRetained,
    userProperties: properties.userProperties ?? new Map(),
    systemProperties: systemPropertiesOf(properties),
  }
}

/** Keep-alive the server holds the client to: the hub's cap where none or a longer one was asked for. */
export function grantedKeepAliveSeconds(asked: number): number {
  return asked === 0 || asked > limits.keepAliveSecondsMax ? limits.keepAliveSecondsMax : asked
}

/**
 * Step 8. `assignedId` is set where the client left its id to the server.
 * @throws INGEST_FRAME_TOO_LARGE: the client takes no packet of this length [MQTT-3.1.2-24], and must not miss what it says
 */
export function acceptingConnack(
  request: ConnectRequest,
  assignedId: string | undefined,
  { isKept, isResumed }: Pick<DeviceSession, 'isKept' | 'isResumed'>,
): Buffer {
  const sessionPresent = request.resumes && isResumed // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
  if (request.version === 4) return mqttPacket.generate({ cmd: 'connack', returnCode: 0, sessionPresent })
  const granted = grantedKeepAliveSeconds(request.keepAliveSeconds)
  const connack = mqttPacket.generate(
    {
      cmd: 'connack',
      reasonCode: 0,
      sessionPresent,
      properties: {
        // Where devices are not known, no session outlives its connection.
        ...(request.keptSeconds === 0 || isKept ? {} : { sessionExpiryInterval: 0 }),
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
