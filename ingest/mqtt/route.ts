import type { Batcher } from '#ingest/batches/batcher.ts'
import { type MessageReading, type Route, routeOfReading } from '#ingest/batches/route.ts'
import type { Registrant } from '#ingest/session/principal.ts'
import type { SparkplugRoutes } from '#ingest/sparkplug/sparkplug-routes.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { isBridgeState } from '#schemas/hub-topics.ts'
import { limits } from '#schemas/limits.ts'
import { malformed, textOf } from './fields.ts'
import { type Properties, systemPropertiesOf } from './properties.ts'
import { readPropertyBag } from './property-bag.ts'

/** Where messages of one topic go. A connection keeps its last one, as topics rarely change. */
export interface TopicRoute {
  readonly route: Route
  /** Own copies of the packet's bytes it was made from; the same bytes have the same route. */
  readonly topic: Uint8Array
  readonly propertyBytes: Uint8Array
  readonly retain: boolean
  readonly deviceId: string
}

/** The part of a connection that topics are judged by. */
export interface Publisher {
  readonly deviceId: string | undefined
  readonly moduleId: string | undefined
  /** That it announced when it connected: it stands with each of its messages, as the hub has it. */
  readonly modelId?: string | undefined
  /** Set: it publishes nothing but what it asks. */
  readonly registrant?: Registrant | undefined
}

/** A topic read. */
export interface TopicReading extends MessageReading {
  readonly properties: Map<string, string>
  readonly systemProperties: Map<string, string>
}

/** The application property that tells of a RETAIN flag, as the hub names it; nothing is retained. */
export const retainProperty = ['mqtt-retain', 'true'] as const

/**
 * Reads a topic name:
 *   devices/{device}/messages/events/{bag}[/]                     telemetry
 *   devices/{device}/modules/{module}/messages/events/{bag}[/]    telemetry of a module
 *   anything else that begins with neither `$` nor `devices/`     telemetry with the topic as system property
 *   $SYS/broker/connection/{name}/state                           the same: what a bridge of mosquitto says of its own connection
 * @throws INGEST_TOPIC_REFUSED, INGEST_TOPIC_NOT_OWN [G-6], INGEST_FRAME_MALFORMED (not UTF-8, empty, with a wildcard)
 */
export function readTopic(topicBytes: Buffer, publisher: Publisher): TopicReading {
  const topic = topicNameOf(topicBytes)
  if (publisher.registrant !== undefined)
    throw new PenstockError('INGEST_TOPIC_REFUSED', `who registers publishes below $dps/ only: ${topic}`)
  const levels = topic.split('/', 7)
  const owner = levels[0] === 'devices' ? levels[1] : undefined
  if (owner !== undefined && publisher.deviceId !== undefined && owner !== publisher.deviceId) {
    throw new PenstockError(
      'INGEST_TOPIC_NOT_OWN',
      `the topic belongs to another device than ${publisher.deviceId}: ${topic}`,
    )
  }
  const bag = telemetryBag(topic, levels)
  const namedModuleId = bag !== undefined && levels[2] === 'modules' ? levels[3] : undefined
  const deviceId = publisher.deviceId ?? (bag === undefined ? undefined : owner)
  if (deviceId === undefined || deviceId === '') {
    throw new PenstockError(
      'INGEST_TOPIC_REFUSED',
      'a client without an id must publish to devices/{id}/messages/events/',
    )
  }
  const properties = new Map<string, string>()
  const systemProperties = new Map<string, string>()
  if (bag === undefined) {
    if (levels[0] === 'devices') {
      throw new PenstockError(
        'INGEST_TOPIC_REFUSED',
        `below devices/ only devices/{device}[/modules/{module}]/messages/events/ may be published to: ${topic}`,
      )
    }
    systemProperties.set('topic', topic)
  } else {
    if (namedModuleId !== publisher.moduleId && publisher.deviceId !== undefined) {
      throw new PenstockError(
        'INGEST_TOPIC_NOT_OWN',
        `the topic is not that of this client's device and module: ${topic}`,
      )
    }
    readPropertyBag(bag, properties, systemProperties)
  }
  const moduleId = publisher.moduleId ?? namedModuleId
  if (moduleId !== undefined) systemProperties.set('moduleId', moduleId)
  if (publisher.modelId !== undefined) systemProperties.set('modelId', publisher.modelId)
  return { deviceId, properties, systemProperties }
}

/** A topic name that may be published to as far as any device is concerned. @throws as `readTopic` */
function topicNameOf(bytes: Buffer): string {
  if (bytes.length > limits.topicBytesMax) {
    throw new PenstockError(
      'INGEST_TOPIC_REFUSED',
      `a topic of ${bytes.length} bytes; at most ${limits.topicBytesMax} are allowed`,
    )
  }
  const topic = textOf(bytes)
  // A property bag holds a plain `+` or `#` in no SDK.
  if (topic === '' || topic.includes('#') || topic.includes('+'))
    throw malformed('a topic name must not be empty [MQTT-4.7.3-1] or hold the wildcards + and # [MQTT-3.3.2-2]')
  // Without its state a bridge never gets in.
  if (topic.startsWith('$') && !isBridgeState(topic))
    throw new PenstockError('INGEST_TOPIC_REFUSED', `topics that begin with $ are reserved: ${topic}`)
  return topic
}

/** The property bag of a telemetry topic, without the slash that may follow it; `undefined` for any other topic. */
function telemetryBag(topic: string, levels: readonly string[]): string | undefined {
  if (levels[0] !== 'devices') return undefined
  const offset = levels[2] === 'modules' ? 2 : 0
  if (levels[offset + 2] !== 'messages' || levels[offset + 3] !== 'events') return undefined
  let end = 0
  for (let level = 0; level < offset + 4; level++) end += (levels[level] ?? '').length + 1
  assert(end <= topic.length + 1, 'levels of a topic lie in it')
  const bag = topic.slice(end)
  return bag.endsWith('/') ? bag.slice(0, -1) : bag
}

/** Most messages have no property bytes. All their routes share these, so that comparing them touches no memory of one device. */
const none = new Uint8Array(0)

/**
 * The route of a topic for a publisher, with the extra properties that an MQTT 5.0 packet carried. Cost: once a new topic.
 * @param sparkplug `undefined`: its payloads are stored as they come
 */
export function routeFor(
  batcher: Batcher,
  publisher: Publisher,
  topic: Buffer,
  retain: boolean,
  extra: Properties | undefined,
  propertyBytes: Uint8Array,
  sparkplug: SparkplugRoutes | undefined,
): TopicRoute {
  const reading = readTopic(topic, publisher)
  if (extra !== undefined) {
    for (const [key, value] of extra.userProperties ?? []) reading.properties.set(key, value)
    for (const [key, value] of systemPropertiesOf(extra)) reading.systemProperties.set(key, value)
  }
  if (retain) reading.properties.set(...retainProperty)
  return {
    route: sparkplug?.routeOf(reading) ?? routeOfReading(batcher, reading),
    deviceId: reading.deviceId,
    topic: Uint8Array.from(topic),
    propertyBytes: propertyBytes.length === 0 ? none : Uint8Array.from(propertyBytes),
    retain,
  }
}
