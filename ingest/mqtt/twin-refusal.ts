import { twinAnswerTopic, twinRequestPattern } from '#schemas/hub-topics.ts'
import { limits } from '#schemas/limits.ts'
import { textOf } from './fields.ts'
import { mqttPacket, type ProtocolVersion } from './packets.ts'

const dollar = 0x24

const refusal = JSON.stringify({ errorCode: 400_003, message: 'this hub has no device twins yet' })

/**
 * The answer to a request for the device's twin, which does not exist yet; `undefined` for any other topic. SDKs of the
 * hub do not look at SUBACK. Without an answer the caller waits for ever. If the connection ended instead, those that
 * ask with QoS 1 would ask again on each new connection, and end it as well. On this code they do not try again.
 * @returns a PUBLISH for the topic on which these clients, all of MQTT 3.1.1, expect answers
 * @throws INGEST_FRAME_MALFORMED (not UTF-8)
 */
export function twinRefusal(topic: Buffer, version: ProtocolVersion): Buffer | undefined {
  // HOT: once a new topic, which with a message id in it is once a message: others differ in the first byte.
  if (topic[0] !== dollar || version !== 4 || topic.length > limits.topicBytesMax) return undefined
  const requestId = twinRequestPattern.exec(textOf(topic))?.[1]
  if (requestId === undefined) return undefined
  const response = twinAnswerTopic(400, requestId)
  return mqttPacket.generate({ cmd: 'publish', topic: response, payload: refusal, qos: 0, dup: false, retain: false })
}
