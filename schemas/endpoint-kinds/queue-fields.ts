import type { EndpointField } from './field.ts'

/** Settings that all brokers of messages share. */
export const queueFields = {
  ca: {
    type: 'text',
    lines: true,
    bytesMax: 65_536,
    address: true,
    meaning: 'certificates of authorities in PEM, one of which signed that of the server; unset: those that Node knows',
  },
  windowMessages: {
    type: 'integer',
    min: 1,
    max: 1_000,
    default: 100,
    meaning:
      'messages of a partition that are under way at once; with 1 they stay in order even where the server turns one away and takes the next',
  },
  messagesMax: {
    type: 'integer',
    min: 1,
    max: 10_000,
    default: 1_000,
    meaning: 'most messages that wait for each other',
  },
  delayMs: {
    type: 'integer',
    min: 0,
    max: 60_000,
    default: 100,
    meaning: 'longest time that messages wait for others',
  },
  timeoutMs: {
    type: 'integer',
    min: 100,
    max: 120_000,
    default: 10_000,
    meaning: 'longest time for a connection, and for the answers to what was sent',
  },
} as const satisfies Record<string, EndpointField>
