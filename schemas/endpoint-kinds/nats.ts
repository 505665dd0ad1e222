import type { EndpointField, SettingsOf } from './field.ts'
import { queueFields } from './queue-fields.ts'

/** Messages of NATS subjects, which a stream of JetStream keeps. */
export const natsFields = {
  url: {
    type: 'url',
    schemes: ['tls', 'nats'],
    required: true,
    address: true,
    meaning: 'address of the server; tls: only to one whose certificate a known authority signed',
  },
  user: { type: 'text', bytesMax: 256, address: true, meaning: 'user there' },
  password: { type: 'text', secret: true, bytesMax: 1_024, meaning: 'password of the user' },
  token: { type: 'text', secret: true, bytesMax: 4_096, meaning: 'token, instead of a user' },
  credentials: {
    type: 'text',
    lines: true,
    secret: true,
    bytesMax: 16_384,
    meaning: 'text of a file of credentials (JWT and key), instead of a user',
  },
  subject: {
    type: 'text',
    default: 'penstock.telemetry.{deviceId}',
    bytesMax: 256,
    // Tokens of letters, digits and a few signs, parted by full stops.
    pattern: /^(?:[A-Za-z0-9_-]|\{deviceId\})+(?:\.(?:[A-Za-z0-9_-]|\{deviceId\})+)*$/,
    example: 'plant.{deviceId}.telemetry',
    address: true,
    meaning: 'subject of each message; in {deviceId}, whatever a subject does not allow is written as %XX',
  },
  ...queueFields,
} as const satisfies Record<string, EndpointField>

export type NatsSettings = SettingsOf<typeof natsFields>
