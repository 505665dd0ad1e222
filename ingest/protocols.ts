/** What is spoken on the ports of the edge: a protocol is attached to byte streams here, and nowhere else. */
import { AmqpConnection } from '#ingest/amqp/connection.ts'
import type { Provisioning } from '#ingest/device-api/provisioning.ts'
import type { Spoken } from '#ingest/listeners/listener.ts'
import type { SpokenInMessages } from '#ingest/listeners/websocket.ts'
import { MqttConnection } from '#ingest/mqtt/connection.ts'
import { openServices } from '#ingest/services/service-nodes.ts'
import type { AmqpServices } from '#ingest/services/services.ts'
import { amqpWebSocketPaths, webSocketPaths } from '#schemas/hub-topics.ts'
import type { EdgeContext } from './session/edge-context.ts'

export function mqttInBytes(edge: EdgeContext): Spoken {
  return { protocol: 'MQTT', attach: (transport) => new MqttConnection(edge, transport) }
}

/** In messages of WebSockets (MQTT 3.1.1 section 6). */
export function mqttInMessages(edge: EdgeContext): SpokenInMessages {
  return { paths: webSocketPaths, subprotocol: 'mqtt', attach: mqttInBytes(edge).attach }
}

/** What AMQP offers beside devices. */
export interface AmqpParts {
  readonly services?: AmqpServices | undefined
  readonly provisioning?: Provisioning | undefined
}

export function amqpInBytes(edge: EdgeContext, { services, provisioning }: AmqpParts = {}): Spoken {
  const offers = { openServices: services && openServices(services), provisioning }
  return { protocol: 'AMQP', attach: (transport) => new AmqpConnection(edge, transport, offers) }
}

export function amqpInMessages(edge: EdgeContext, parts: AmqpParts): SpokenInMessages {
  return { paths: amqpWebSocketPaths, subprotocol: 'amqpwsb10', attach: amqpInBytes(edge, parts).attach }
}
