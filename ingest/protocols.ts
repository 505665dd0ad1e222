/** What is spoken on the ports of the edge: a protocol is attached to byte streams here, and nowhere else. */
import type { Spoken } from '#ingest/listeners/listener.ts'
import type { SpokenInMessages } from '#ingest/listeners/websocket.ts'
import { MqttConnection } from '#ingest/mqtt/connection.ts'
import type { EdgeContext } from './session/edge-context.ts'

export function mqttInBytes(edge: EdgeContext): Spoken {
  return { protocol: 'MQTT', attach: (transport) => new MqttConnection(edge, transport) }
}

/** On the hub's path, and on the one that most MQTT clients take by default (MQTT 3.1.1 section 6). */
export function mqttInMessages(edge: EdgeContext): SpokenInMessages {
  return { paths: ['/$iothub/websocket', '/mqtt'], subprotocol: 'mqtt', attach: mqttInBytes(edge).attach }
}
