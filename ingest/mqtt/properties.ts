/**
 * Properties of MQTT 5.0 (section 2.2.2.2): those that a client may send, each with the packets that may carry it. Length of all as a
 * variable byte integer, then identifier byte and value of each. Only user properties may repeat.
 */
import type { SystemPropertyName } from '#ingest/device-api/telemetry.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type FieldReader, malformed } from './fields.ts'

/** The will's are a set of their own inside CONNECT. */
export type PropertyPlace = 'connect' | 'will' | 'publish' | 'puback' | 'subscribe' | 'unsubscribe' | 'disconnect'

interface Property<Value> {
  readonly id: number
  readonly places: readonly PropertyPlace[]
  readonly read: (fields: FieldReader) => Value
}

const message: readonly PropertyPlace[] = ['will', 'publish']
const binary = (fields: FieldReader): Buffer => fields.binary()
const text = (fields: FieldReader): string => fields.text()
const twoBytes = (fields: FieldReader): number => fields.twoBytes()
const fourBytes = (fields: FieldReader): number => fields.fourBytes()

const table = {
  payloadFormatIndicator: { id: 0x01, places: message, read: zeroOrOne },
  messageExpiryInterval: { id: 0x02, places: message, read: fourBytes },
  contentType: { id: 0x03, places: message, read: text },
  responseTopic: { id: 0x08, places: message, read: responseTopic },
  correlationData: { id: 0x09, places: message, read: binary },
  subscriptionIdentifier: { id: 0x0b, places: ['subscribe'], read: (fields) => notZero(fields.variableInteger()) },
  sessionExpiryInterval: { id: 0x11, places: ['connect', 'disconnect'], read: fourBytes },
  authenticationMethod: { id: 0x15, places: ['connect'], read: text },
  authenticationData: { id: 0x16, places: ['connect'], read: binary },
  requestProblemInformation: { id: 0x17, places: ['connect'], read: zeroOrOne },
  willDelayInterval: { id: 0x18, places: ['will'], read: fourBytes },
  requestResponseInformation: { id: 0x19, places: ['connect'], read: zeroOrOne },
  reasonString: { id: 0x1f, places: ['puback', 'disconnect'], read: text },
  receiveMaximum: { id: 0x21, places: ['connect'], read: (fields) => notZero(fields.twoBytes()) },
  topicAliasMaximum: { id: 0x22, places: ['connect'], read: twoBytes },
  topicAlias: { id: 0x23, places: ['publish'], read: topicAlias },
  maximumPacketSize: { id: 0x27, places: ['connect'], read: (fields) => notZero(fields.fourBytes()) },
} as const satisfies Record<string, Property<unknown>>

type Name = keyof typeof table

/** Absent where they were not given. */
export type Properties = { -readonly [N in Name]?: ReturnType<(typeof table)[N]['read']> } & {
  /** Of a name given twice the last value. */
  userProperties?: Map<string, string>
}

const userPropertyId = 0x26

interface NamedProperty extends Property<unknown> {
  readonly name: Name
}

const byId: ReadonlyMap<number, NamedProperty> = new Map(
  Object.entries(table).map(([name, property]) => [property.id, { name: name as Name, ...property }]),
)

/**
 * Reads the length of the properties and all of them.
 * @throws INGEST_FRAME_MALFORMED (also a property that this place does not have), INGEST_PROTOCOL_ERROR (one given twice, or a value
 * that is not allowed), INGEST_TOPIC_ALIAS_INVALID
 */
export function readProperties(fields: FieldReader, place: PropertyPlace): Properties {
  return readAllProperties(fields.part(fields.variableInteger()), place)
}

/** As `readProperties`, of `fields` that hold the properties and nothing else. */
export function readAllProperties(fields: FieldReader, place: PropertyPlace): Properties {
  const properties: Properties = {}
  while (fields.bytesLeft > 0) {
    const id = fields.byte()
    if (id === userPropertyId) {
      properties.userProperties ??= new Map()
      properties.userProperties.set(fields.text(), fields.text()) // [MQTT-1.5.7-1]
      continue
    }
    const property = byId.get(id)
    if (!property?.places.includes(place)) throw malformed(`property 0x${id.toString(16)} in a ${place} of a client`)
    if (properties[property.name] !== undefined) throw notAllowed(`property 0x${id.toString(16)} twice`)
    ;(properties as Record<Name, unknown>)[property.name] = property.read(fields)
  }
  return properties
}

/** What the properties of a message say about it, by the names under which it is stored. */
export function systemPropertiesOf(properties: Properties): Map<SystemPropertyName, string> {
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic, correlationData } = properties
  const stored = new Map<SystemPropertyName, string>()
  if (payloadFormatIndicator !== undefined) stored.set('payloadFormatIndicator', String(payloadFormatIndicator))
  if (messageExpiryInterval !== undefined) stored.set('messageExpiryInterval', String(messageExpiryInterval))
  if (contentType !== undefined) stored.set('contentType', contentType)
  if (responseTopic !== undefined) stored.set('responseTopic', responseTopic)
  if (correlationData !== undefined) stored.set('correlationData', correlationData.toString('base64'))
  return stored
}

function zeroOrOne(fields: FieldReader): number {
  const value = fields.byte()
  if (value > 1) throw notAllowed(`${value} for a property that is 0 or 1`)
  return value
}

function notZero(value: number): number {
  if (value === 0) throw notAllowed('0 for a property that must not be 0')
  return value
}

function topicAlias(fields: FieldReader): number {
  const alias = fields.twoBytes()
  if (alias === 0) throw new PenstockError('INGEST_TOPIC_ALIAS_INVALID', 'topic alias 0 is not allowed [MQTT-3.3.2-8]')
  return alias
}

function responseTopic(fields: FieldReader): string {
  const topic = fields.text()
  if (/[+#]/.test(topic)) throw notAllowed('a response topic with a wildcard [MQTT-3.3.2-14]')
  return topic
}

function notAllowed(what: string): PenstockError {
  return new PenstockError('INGEST_PROTOCOL_ERROR', what)
}
