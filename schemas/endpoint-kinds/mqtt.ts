import type { EndpointField, SettingsOf } from './field.ts'
import { queueFields } from './queue-fields.ts'

/** Messages published to another MQTT 5 broker. */
export const mqttFields = {
  url: {
    type: 'url',
    schemes: ['mqtts', 'mqtt'],
    required: true,
    address: true,
    meaning: 'address of the broker; mqtts: only to one whose certificate a known authority signed',
  },
  user: { type: 'text', bytesMax: 256, address: true, meaning: 'user there' },
  password: { type: 'text', secret: true, bytesMax: 4_096, meaning: 'password of the user' },
  topic: {
    type: 'text',
    default: 'penstock/telemetry/{deviceId}',
    bytesMax: 512,
    // No wildcards or control characters, and no topic of the broker's own.
    pattern: /^(?!\$)(?:[^{}+#\p{Cc}]|\{deviceId\})+$/u,
    example: 'plant/{deviceId}/telemetry',
    address: true,
    meaning: 'topic of each message; in {deviceId}, whatever a level does not allow is written as %XX',
  },
  ...queueFields,
} as const satisfies Record<string, EndpointField>

export type MqttSettings = SettingsOf<typeof mqttFields>
