import type { EndpointField, SettingsOf } from './field.ts'

/** Rows of a table of another name, database or server. */
export const clickhouseFields = {
  url: {
    type: 'url',
    schemes: ['http', 'https'],
    address: true,
    meaning: 'address of the server; unset: where penstock.telemetry is',
  },
  user: { type: 'text', bytesMax: 256, address: true, meaning: 'user there; unset: as the settings say, or default' },
  password: { type: 'text', secret: true, bytesMax: 1_024, meaning: 'password of the user' },
  database: {
    type: 'text',
    default: 'penstock',
    pattern: /^[A-Za-z_][A-Za-z0-9_]{0,127}$/,
    example: 'letters, digits and _',
    address: true,
    meaning: 'database of the table',
  },
  table: {
    type: 'text',
    required: true,
    pattern: /^[A-Za-z_][A-Za-z0-9_]{0,127}$/,
    example: 'letters, digits and _',
    address: true,
    meaning: 'the table; it is made if there is none',
  },
  columns: {
    type: 'columns',
    countMax: 100,
    meaning:
      'columns by expressions over device_id, enqueued_at, body, properties, system_properties; unset: those of penstock.telemetry',
  },
  delayMs: {
    type: 'integer',
    min: 1,
    max: 60_000,
    default: 250,
    meaning: 'longest time that messages wait for others',
  },
} as const satisfies Record<string, EndpointField>

export type ClickhouseSettings = SettingsOf<typeof clickhouseFields>
