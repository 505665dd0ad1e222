/**
 * PUBLISH to a client (MQTT 3.1.1 and 5.0, section 3.3):
 *
 *   header 1 │ remaining length 1–4 │ topic length 2 │ topic │ packet id 2, QoS 1 only │ 5.0: properties │ body
 */
import type { CommandDelivery, Delivery } from '#ingest/session/delivery.ts'
import type { Qos } from '#ingest/session/subscriptions.ts'
import { assert } from '#runtime/assert.ts'
import { commandPath, desiredTopic, methodTopic, registrationTopic, twinAnswerTopic } from '#schemas/hub-topics.ts'
import type { ProtocolVersion } from './packets.ts'
import type { Publisher } from './route.ts'

/** The topic of a delivery to this device or module. */
export function topicOf(delivery: Delivery, { deviceId, moduleId }: Publisher): string {
  switch (delivery.feed) {
    case 'commands':
      assert(deviceId !== undefined, 'who listens has a name')
      return `${commandPath(deviceId, moduleId)}/${propertyBagOf(delivery)}`
    case 'methods':
      return methodTopic(delivery.name, delivery.requestId)
    case 'twinAnswers':
      return twinAnswerTopic(delivery.status, delivery.requestId, delivery.version)
    case 'desired':
      return desiredTopic(delivery.version)
    case 'registration':
      return registrationTopic(delivery.status, delivery.requestId, delivery.retryAfterSeconds)
  }
}

/**
 * System properties first, their sign encoded: clients for Java look for the first `%24`. An empty value keeps its `=`, without which they
 * throw.
 */
function propertyBagOf({ systemProperties, applicationProperties }: CommandDelivery): string {
  const pairs: string[] = []
  for (const [name, value] of systemProperties) pairs.push(`%24.${pairOf(name, value)}`)
  for (const [name, value] of applicationProperties) pairs.push(pairOf(name, value))
  return pairs.join('&')
}

function pairOf(name: string, value: string): string {
  return `${encodeURIComponent(name)}=${encodeURIComponent(value)}`
}

const packetIdBytes = 2
const noProperties: Uint8Array = Buffer.from([0])

/**
 * The packet; with QoS 1 its id is still to be set.
 * @param properties of MQTT 5.0, with their length
 * @returns `undefined`: no packet can hold it
 */
export function publishPacket(
  version: ProtocolVersion,
  qos: Qos,
  isRepeated: boolean,
  topic: string,
  body: Uint8Array,
  properties = noProperties,
): Buffer | undefined {
  const topicBytes = Buffer.byteLength(topic)
  if (topicBytes > 0xffff) return undefined
  const remaining = 2 + topicBytes + qos * packetIdBytes + (version === 5 ? properties.length : 0) + body.length
  const packet = Buffer.allocUnsafe(1 + lengthBytes(remaining) + remaining)
  let at = 0
  packet[at++] = 0x30 | (isRepeated && qos === 1 ? 0x08 : 0) | (qos << 1)
  for (let left = remaining; ; left >>>= 7) {
    packet[at++] = left > 0x7f ? (left & 0x7f) | 0x80 : left
    if (left <= 0x7f) break
  }
  at = packet.writeUInt16BE(topicBytes, at)
  at += packet.write(topic, at)
  if (qos === 1) at = packet.writeUInt16BE(0, at)
  if (version === 5) {
    packet.set(properties, at)
    at += properties.length
  }
  packet.set(body, at)
  // It was not cleared: what is not written would be bytes of others.
  assert(at + body.length === packet.length, 'a packet is written to its end')
  return packet
}

/** @param packet of QoS 1 */
export function setPacketId(packet: Buffer, packetId: number): void {
  let at = 1
  while ((packet[at++] as number) > 0x7f);
  const idAt = at + 2 + packet.readUInt16BE(at)
  assert(packet.readUInt16BE(idAt) === 0, 'the place of an id is empty: anything else is a part of the message')
  packet.writeUInt16BE(packetId, idAt)
}

function lengthBytes(length: number): number {
  return length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4
}
