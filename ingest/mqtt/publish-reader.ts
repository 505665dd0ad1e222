/**
 * PUBLISH, read in place (MQTT 3.1.1 and 5.0, section 3.3):
 *
 *   topic length 2 │ topic │ packet id 2, QoS 1 only │ 5.0: property length 1–4, properties │ body to the end of the frame
 *
 * Header flags: DUP 8, QoS 6, RETAIN 1. The route of the last message is kept: the same topic and property bytes need no look.
 */

import type { Batcher } from '#ingest/batches/batcher.ts'
import { bodyTooLarge } from '#ingest/device-api/telemetry.ts'
import type { SparkplugRoutes } from '#ingest/sparkplug/sparkplug-routes.ts'
import { assert } from '#runtime/assert.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type RequestTopic, requestOf } from './device-requests.ts'
import { FieldReader, malformed } from './fields.ts'
import type { ProtocolVersion } from './packets.ts'
import { readAllProperties } from './properties.ts'
import { type Publisher, routeFor, type TopicRoute } from './route.ts'

const none = new Uint8Array(0)
/** Stands for every topic that is refused for its length, so that no alias keeps one. */
const tooLongTopic = Buffer.alloc(limits.topicBytesMax + 1)

/** Reads the PUBLISH packets of one connection; results lie in its fields until the next `read`, so that none is allocated. */
export class PublishReader {
  /** Position of the message body, which ends with the frame. */
  bodyStart = 0
  /** 0 for QoS 0. */
  packetId = 0
  /** What it is if `read` gave no route: a request of the device, or a message that is refused, with the reason for its PUBACK. */
  request: RequestTopic | PenstockError | undefined = undefined
  readonly #batcher: Batcher
  readonly #publisher: Publisher
  readonly #version: ProtocolVersion
  readonly #sparkplug: SparkplugRoutes | undefined
  #route: TopicRoute | undefined = undefined
  #aliases: (Buffer | undefined)[] | undefined = undefined

  constructor(batcher: Batcher, publisher: Publisher, version: ProtocolVersion, sparkplug?: SparkplugRoutes) {
    this.#batcher = batcher
    this.#publisher = publisher
    this.#version = version
    this.#sparkplug = sparkplug
  }

  /**
   * Reads the packet whose first byte is `first` and whose variable header begins at `start`; returns where it goes, `undefined` for
   * what is not stored (`request`): a request of the device, and a message of MQTT 5.0 that has a PUBACK to say why.
   * HOT: per message; compares topic and property bytes with the last ones.
   * @throws PenstockError, which ends the connection
   */
  read(first: number, bytes: Buffer, start: number, end: number): TopicRoute | undefined {
    const qos = first & 0x06
    if (qos > 2) {
      throw qos === 4
        ? new PenstockError('INGEST_QOS_REFUSED', 'QoS 2 is not offered')
        : malformed('both QoS bits are set [MQTT-3.3.1-4]')
    }
    if (qos === 0 && (first & 0x08) !== 0) throw malformed('DUP with QoS 0 [MQTT-3.3.1-2]')
    if (end - start < 2) throw cutShort()
    const topicStart = start + 2
    const topicEnd = topicStart + (((bytes[start] as number) << 8) | (bytes[start + 1] as number))
    let at = topicEnd + qos
    if (at > end) throw cutShort()
    this.packetId = qos === 0 ? 0 : ((bytes[topicEnd] as number) << 8) | (bytes[topicEnd + 1] as number)
    if (qos !== 0 && this.packetId === 0) throw malformed('packet id 0 [MQTT-2.3.1-1]')
    let propertiesStart = at
    if (this.#version === 5) {
      let length = at < end ? (bytes[at++] as number) : 0x80
      if (length > 0x7f) {
        length = propertyBytesOf(bytes, propertiesStart, end)
        at = propertiesStart + (length > 0x3fff ? 3 : 2)
      }
      propertiesStart = at
      at += length
      if (at > end) throw cutShort()
    }
    this.bodyStart = at
    const retain = (first & 1) === 1
    let route = this.#route
    if (
      route === undefined ||
      route.retain !== retain ||
      !sameBytes(route.topic, bytes, topicStart, topicEnd) ||
      !sameBytes(route.propertyBytes, bytes, propertiesStart, at)
    ) {
      route = this.#routeOrRefusal(bytes.subarray(topicStart, topicEnd), retain, bytes.subarray(propertiesStart, at))
    }
    // Behind the topic, which may set an alias that later messages rely on.
    if (end - at > limits.bodyBytesMax && route !== undefined) return this.#refuse(bodyTooLarge(end - at))
    return route
  }

  #routeOrRefusal(topicBytes: Buffer, retain: boolean, propertyBytes: Buffer): TopicRoute | undefined {
    try {
      return this.#routeOf(topicBytes, retain, propertyBytes)
    } catch (error) {
      if (isPenstockError(error) && error.disposition === 'reject') return this.#refuse(error)
      throw error
    }
  }

  /** The route of another topic than the last message's; resolves topic aliases [MQTT-3.3.2-8]. */
  #routeOf(topicBytes: Buffer, retain: boolean, propertyBytes: Buffer): TopicRoute | undefined {
    const extra =
      propertyBytes.length === 0
        ? undefined
        : readAllProperties(new FieldReader(propertyBytes, 0, propertyBytes.length), 'publish')
    let topic = topicBytes
    if (extra?.topicAlias !== undefined) topic = this.#aliased(topicBytes, extra.topicAlias)
    else if (topicBytes.length === 0) {
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'an empty topic name without a topic alias')
    }
    this.request = requestOf(topic, this.#publisher.registrant !== undefined)
    if (this.request !== undefined) return undefined
    const route = routeFor(this.#batcher, this.#publisher, topic, retain, extra, propertyBytes, this.#sparkplug)
    // Kept under the bytes of the packet: with an alias alone those are an empty topic.
    this.#route = topic === topicBytes ? route : { ...route, topic: none }
    return this.#route
  }

  /**
   * MQTT 5.0 can refuse a message alone, with a reason in its PUBACK [MQTT-3.4.2-1]. With QoS 0, or with MQTT 3.1.1,
   * nobody would hear of it. There the connection ends, so that nothing is lost in silence.
   */
  #refuse(fault: PenstockError): undefined {
    if (this.#version === 4 || this.packetId === 0) throw fault
    this.request = fault
  }

  #aliased(topic: Buffer, alias: number): Buffer {
    if (alias > limits.topicAliasMax) {
      throw new PenstockError(
        'INGEST_TOPIC_ALIAS_INVALID',
        `topic alias ${alias} is above ${limits.topicAliasMax} [MQTT-3.3.2-9]`,
      )
    }
    assert(alias > 0, 'alias 0 was refused where properties are read')
    this.#aliases ??= []
    if (topic.length > 0) {
      this.#aliases[alias] = topic.length > limits.topicBytesMax ? tooLongTopic : Buffer.from(topic)
      return topic
    }
    const known = this.#aliases[alias]
    if (known === undefined) throw new PenstockError('INGEST_TOPIC_ALIAS_INVALID', `topic alias ${alias} was never set`)
    return known
  }
}

function sameBytes(kept: Uint8Array, bytes: Buffer, start: number, end: number): boolean {
  if (kept.length !== end - start) return false
  for (let i = 0; i < kept.length; i++) if (kept[i] !== bytes[start + i]) return false
  return true
}

/** A property length of two or three bytes; a packet has no room for four. */
function propertyBytesOf(bytes: Buffer, start: number, end: number): number {
  let length = 0
  for (let i = 0; i < 3 && start + i < end; i++) {
    const byte = bytes[start + i] as number
    length += (byte & 0x7f) << (7 * i)
    if (byte < 0x80) {
      if (byte === 0) break // more bytes than needed [MQTT-1.5.5-1]
      return length
    }
  }
  throw malformed('a property length that is cut short, too long or beyond the packet')
}

function cutShort(): PenstockError {
  return malformed('a PUBLISH that is cut short')
}
