/** Messages published to another broker with QoS 1, under MQTT 5, whose acknowledgements say what became of each. */
import { randomBytes } from 'node:crypto'
import type { IConnackPacket, MqttClient } from 'mqtt'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import { EndpointError, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { MqttSettings } from '#schemas/endpoint-kinds/mqtt.ts'
import { percentEncoded } from '#schemas/hub-fields.ts'
import { assertAllowed, brokerAddress, connectionFault, guardedSocket } from '../queues/guarded-socket.ts'
import { messageFields } from '../queues/message-fields.ts'
import { optionalLibrary } from '../queues/optional-library.ts'
import { type QueueConnection, QueueEndpoint } from '../queues/queue-endpoint.ts'
import type { MessageOutcome } from '../queues/send-window.ts'
import { UnderWay } from '../queues/under-way.ts'
import { reasonOutcome } from './mqtt-reason.ts'

export interface MqttEndpointOptions {
  readonly name: string
  readonly settings: MqttSettings
  readonly rules: OutgoingRules
}

const keepaliveSeconds = 10
/** Most acknowledgements that a broker may have open, if it does not say (MQTT 5 section 3.2.2.3.3). */
const receiveMaximumDefault = 65_535
/** Texts have lengths of two bytes. */
const textBytesMax = 65_535
/** Fixed header, lengths of topic and properties, packet id: at most. */
const packetBytesMax = 5 + 2 + 2 + 4

export function openMqttEndpoint({ name, settings, rules }: MqttEndpointOptions): Endpoint {
  return new QueueEndpoint({ name, settings, open: () => openConnection(settings, rules) })
}

async function openConnection(settings: MqttSettings, rules: OutgoingRules): Promise<QueueConnection> {
  const { MqttClient } = await optionalLibrary('mqtt', () => import('mqtt'))
  const isSecured = settings.url.startsWith('mqtts:')
  const address = brokerAddress(settings.url, isSecured ? 8_883 : 1_883)
  assertAllowed(address, rules)
  const socket = guardedSocket(address, rules, isSecured ? { ca: settings.ca } : undefined)
  const client = new MqttClient(() => socket, {
    protocolVersion: 5,
    clientId: `penstock-${randomBytes(8).toString('hex')}`,
    clean: true,
    keepalive: keepaliveSeconds,
    connectTimeout: settings.timeoutMs,
    reconnectPeriod: 0,
    queueQoSZero: false,
    resubscribe: false,
    ...(settings.user === undefined ? {} : { username: settings.user }),
    ...(settings.password === undefined ? {} : { password: settings.password }),
  })
  const end = (): void => {
    client.end(true)
    socket.destroy()
  }
  const lost = new Promise<EndpointError>((resolve) => {
    const lose = (error?: unknown): void => {
      const { code } = (error ?? {}) as { code?: unknown }
      resolve(
        typeof code === 'number'
          ? reasonOutcome(code, (error as Error).message).error
          : connectionFault(error, address),
      )
    }
    socket.on('error', lose)
    client.on('error', lose)
    client.on('disconnect', ({ reasonCode = 0 }) => resolve(reasonOutcome(reasonCode, 'the broker disconnected').error))
    client.on('close', lose)
  })
  const connected = new Promise<IConnackPacket>((resolve) => client.once('connect', resolve))
  const answer = await Promise.race([connected, lost])
  if (answer instanceof EndpointError) {
    end()
    throw answer
  }
  return new MqttConnection({ client, settings, answer, lost, end })
}

interface MqttConnectionOptions {
  readonly client: MqttClient
  readonly settings: MqttSettings
  readonly answer: IConnackPacket
  /** Why it is of no use any more, once that is so. */
  readonly lost: Promise<EndpointError>
  readonly end: () => void
}

class MqttConnection implements QueueConnection {
  readonly #options: MqttConnectionOptions
  readonly #underWay: UnderWay
  readonly #packetBytesMax: number

  constructor(options: MqttConnectionOptions) {
    const { receiveMaximum = receiveMaximumDefault, maximumPacketSize } = options.answer.properties ?? {}
    this.#options = options
    this.#underWay = new UnderWay(receiveMaximum)
    this.#packetBytesMax = maximumPacketSize ?? Number.POSITIVE_INFINITY
    void options.lost.then((error) => this.#lose(error))
  }

  get isOpen(): boolean {
    return !this.#underWay.isLost && this.#options.client.connected
  }

  send(message: SelectedMessage): Promise<MessageOutcome> {
    const { settings, client } = this.#options
    const topic = settings.topic.replaceAll('{deviceId}', () => topicLevel(message.deviceId))
    const fields = messageFields(message).map(([name, value]): [string, string] => [
      propertyName(name),
      propertyValue(value),
    ])
    const textBytes = Math.max(...fields.flat().map((text) => Buffer.byteLength(text)))
    if (textBytes > textBytesMax) {
      const error = refused(`a property of ${textBytes} bytes is longer than MQTT allows`, 'MaxMessageSizeExceeded')
      return Promise.resolve({ kind: 'refused', error })
    }
    if (packetBytes(topic, fields, message.body) > this.#packetBytesMax) {
      const error = refused(
        `the broker takes packets of at most ${this.#packetBytesMax} bytes`,
        'MaxMessageSizeExceeded',
      )
      return Promise.resolve({ kind: 'refused', error })
    }
    const payload = Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength)
    const options = { qos: 1, properties: { userProperties: Object.fromEntries(fields) } } as const
    return this.#underWay.send((answer) => {
      // The client would keep it for a connection that does not come.
      if (!client.connected) this.end()
      else client.publish(topic, payload, options, (error) => this.#answered(answer, error))
    })
  }

  end(): void {
    this.#lose(unavailable('the connection was ended', 'Transient'))
  }

  #answered(answer: (outcome: MessageOutcome) => void, error: Error | undefined): void {
    if (!error) answer({ kind: 'delivered' })
    // Without a reason it is the connection that is lost, which says so itself.
    else if ('code' in error && typeof error.code === 'number') answer(reasonOutcome(error.code, error.message))
  }

  #lose(error: EndpointError): void {
    this.#underWay.lose(error)
    this.#options.end()
  }
}

function packetBytes(topic: string, fields: readonly (readonly [string, string])[], body: Uint8Array): number {
  // An identifier, and the two lengths, of each user property.
  const sizes = fields.map(([name, value]) => 5 + Buffer.byteLength(name) + Buffer.byteLength(value))
  return packetBytesMax + Buffer.byteLength(topic) + sizes.reduce((sum, size) => sum + size, 0) + body.length
}

/** A device's id as one level of a topic. */
export function topicLevel(deviceId: string): string {
  return deviceId.replace(/[^A-Za-z0-9_\-.:=@!?()',*]/gu, percentEncoded)
}

/**
 * Texts that a broker may end the connection for (MQTT 5 section 1.5.4) hold control characters, or what is no character.
 * In names `%` was written so before.
 */
const propertyName = (name: string): string => name.replace(/[\p{Cc}\p{Noncharacter_Code_Point}]/gu, percentEncoded)
const propertyValue = (value: string): string => value.replace(/[\p{Cc}\p{Noncharacter_Code_Point}%]/gu, percentEncoded)
