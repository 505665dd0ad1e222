import type { EndpointField, SettingsOf } from './field.ts'
import type { FieldFault } from './object-fields.ts'

const topicName = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/

/** Records of a topic of Kafka, or of what speaks its protocol. */
export const kafkaFields = {
  brokers: {
    type: 'text',
    required: true,
    bytesMax: 2_048,
    pattern: /^(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}(?:,(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5})*$/,
    example: 'host:port, several with commas between them',
    address: true,
    meaning: 'brokers to ask first; they name the others',
  },
  topic: {
    type: 'text',
    required: true,
    pattern: topicName,
    example: '1 to 249 letters, digits and . _ -',
    address: true,
    meaning: 'the topic; it is not made: one that is missing holds the endpoint',
  },
  markerTopic: {
    type: 'text',
    pattern: topicName,
    example: '1 to 249 letters, digits and . _ -',
    address: true,
    meaning: 'compacted topic that says how far each partition is stored; unset: the topic with .penstock behind it',
  },
  tls: {
    type: 'choice',
    choices: ['verified', 'off'],
    default: 'verified',
    address: true,
    meaning: 'verified: only to brokers whose certificate a known authority signed',
  },
  ca: {
    type: 'text',
    lines: true,
    bytesMax: 65_536,
    address: true,
    meaning:
      'certificates of authorities in PEM, one of which signed those of the brokers; unset: those that Node knows',
  },
  certificate: {
    type: 'text',
    lines: true,
    bytesMax: 65_536,
    meaning: 'certificate in PEM that is shown to brokers that ask',
  },
  key: { type: 'text', lines: true, secret: true, bytesMax: 65_536, meaning: 'private key of the certificate in PEM' },
  sasl: {
    type: 'choice',
    choices: ['none', 'plain', 'scram-sha-256', 'scram-sha-512'],
    default: 'none',
    address: true,
    meaning:
      'how the user is proven; plain sends the password and so needs tls, unless the brokers are on this machine',
  },
  user: { type: 'text', bytesMax: 256, address: true, meaning: 'user there; at an event hub $ConnectionString' },
  password: { type: 'text', secret: true, bytesMax: 4_096, meaning: 'password of the user' },
  format: {
    type: 'choice',
    choices: ['messages', 'batches'],
    default: 'messages',
    meaning: "messages: a record a message, keyed by device; batches: Penstock's own Avro files, some messages each",
  },
  compression: {
    type: 'choice',
    choices: ['none', 'gzip', 'zstd'],
    default: 'zstd',
    meaning: 'of records that are messages; batches are compressed already',
  },
  delayMs: {
    type: 'integer',
    min: 1,
    max: 60_000,
    default: 250,
    meaning: 'longest time that messages wait for others of their transaction',
  },
} as const satisfies Record<string, EndpointField>

export type KafkaSettings = SettingsOf<typeof kafkaFields>

/** What a field alone can't say. */
export function checkKafka(given: Readonly<Record<string, unknown>>): readonly FieldFault[] {
  const { brokers, topic, markerTopic, sasl, tls, user, password, certificate, key } = given as Partial<KafkaSettings>
  const faults: FieldFault[] = []
  const fault = (field: keyof KafkaSettings, message: string): void => void faults.push({ field, message })
  if (sasl !== undefined && sasl !== 'none') {
    if (user === undefined) fault('user', `is missing: sasl ${sasl} proves one`)
    if (password === undefined) fault('password', `is missing: sasl ${sasl} needs it`)
  }
  if (sasl === 'plain' && tls === 'off' && !(brokers ?? '').split(',').every(isOnThisMachine))
    fault('tls', 'must be on: sasl plain would send the password to another machine in the clear')
  if ((certificate === undefined) !== (key === undefined))
    fault(key === undefined ? 'key' : 'certificate', 'is missing: a certificate and its key belong together')
  if (topic !== undefined && topic === markerTopic) fault('markerTopic', 'must be another topic')
  return faults
}

const isOnThisMachine = (broker: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]):/.test(broker)
