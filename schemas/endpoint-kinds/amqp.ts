import type { EndpointField, SettingsOf } from './field.ts'
import { queueFields } from './queue-fields.ts'

/** Messages of a queue or topic of a broker that speaks AMQP 1.0. */
export const amqpFields = {
  url: {
    type: 'url',
    schemes: ['amqps', 'amqp'],
    required: true,
    address: true,
    meaning: 'address of the broker; amqps: only to one whose certificate a known authority signed',
  },
  user: { type: 'text', bytesMax: 256, address: true, meaning: 'user there, or name of the policy' },
  password: { type: 'text', secret: true, bytesMax: 4_096, meaning: 'password of the user, or key of the policy' },
  queue: { type: 'text', required: true, bytesMax: 512, address: true, meaning: 'name of the queue, topic or hub' },
  ...queueFields,
} as const satisfies Record<string, EndpointField>

export type AmqpSettings = SettingsOf<typeof amqpFields>
