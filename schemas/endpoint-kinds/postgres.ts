import type { EndpointField, SettingsOf } from './field.ts'

/** Rows of a PostgreSQL table. */
export const postgresFields = {
  url: {
    type: 'url',
    schemes: ['postgres', 'postgresql'],
    required: true,
    address: true,
    meaning: 'address of the server with the database as its path',
  },
  user: { type: 'text', required: true, bytesMax: 63, address: true, meaning: 'role that writes' },
  password: { type: 'text', secret: true, bytesMax: 1_024, meaning: 'password of the role' },
  tls: {
    type: 'choice',
    choices: ['off', 'required', 'verified'],
    default: 'verified',
    address: true,
    meaning: 'verified: only to a server whose certificate a known authority signed; off: for a server that is near',
  },
  table: {
    type: 'text',
    required: true,
    address: true,
    pattern: /^([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$/,
    example: 'table or schema.table, of letters, digits and _',
    meaning: 'the table; it is made if there is none',
  },
  body: {
    type: 'choice',
    choices: ['bytea', 'text', 'jsonb'],
    default: 'bytea',
    meaning:
      'type of the column body; what is not UTF-8, or not JSON, is refused by the last two and becomes a dead letter',
  },
  delayMs: {
    type: 'integer',
    min: 1,
    max: 60_000,
    default: 1_000,
    meaning: 'longest time that messages wait for others',
  },
} as const satisfies Record<string, EndpointField>

export type PostgresSettings = SettingsOf<typeof postgresFields>
