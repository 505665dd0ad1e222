import { PenstockError } from '#schemas/errors.ts'
import type { Connection } from './connection.ts'
import { mqttPacket, parseControlPacket } from './packets.ts'
import type { Publisher } from './route.ts'

/** Answers a packet of an open connection that is neither PUBLISH nor PINGREQ. @throws PenstockError, which ends the connection */
export function answerControlPacket(connection: Connection, frame: Buffer): void {
  const version = connection.version
  const packet = parseControlPacket(frame, version)
  switch (packet.cmd) {
    case 'subscribe': {
      // The hub ends a connection that listens for another device; 0x80 could not say why. MQTT 5.0 has a reason code for it.
      const foreign = version === 4 && packet.subscriptions.find(({ topic }) => isForeign(topic, connection))
      if (foreign) throw new PenstockError('INGEST_TOPIC_NOT_OWN', `a filter of another device: ${foreign.topic}`)
      // No topic is granted: every filter gets a failure of its own, and the connection goes on [MQTT-3.8.4-5].
      const granted = packet.subscriptions.map(({ topic }) => refusalOf(topic, version))
      const suback: mqttPacket.ISubackPacket = { cmd: 'suback', messageId: packet.messageId ?? 0, granted }
      connection.send(mqttPacket.generate(suback, { protocolVersion: version }))
      return
    }
    case 'unsubscribe': {
      const unsuback: mqttPacket.IUnsubackPacket = {
        cmd: 'unsuback',
        messageId: packet.messageId ?? 0,
        granted: packet.unsubscriptions.map(() => noSubscriptionExisted),
      }
      connection.send(mqttPacket.generate(unsuback, { protocolVersion: version }))
      return
    }
    case 'disconnect':
      connection.disconnectByClient(version === 5 && packet.reasonCode === disconnectWithWill)
      return
    case 'connect':
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a second CONNECT [MQTT-3.1.0-2]')
    default:
      throw new PenstockError(
        'INGEST_PROTOCOL_ERROR',
        `a ${packet.cmd.toUpperCase()} is not expected from a client here`,
      )
  }
}

const disconnectWithWill = 0x04
const noSubscriptionExisted = 0x11

/** MQTT 3.1.1: failure 0x80. MQTT 5.0: not authorized, or shared subscriptions not supported. */
function refusalOf(filter: string, version: 4 | 5): number {
  if (version === 4) return 0x80
  return filter.startsWith('$share/') ? 0x9e : 0x87
}

/** True for a filter below `devices/` that asks for more than this device's, or this module's, own. */
function isForeign(filter: string, { deviceId, moduleId }: Publisher): boolean {
  const [collection, owner, modules, module] = filter.split('/', 4)
  if (collection !== 'devices' || deviceId === undefined) return false
  return owner !== deviceId || (modules === 'modules' ? module : undefined) !== moduleId
}
