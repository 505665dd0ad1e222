import type { EndpointField, SettingsOf } from './field.ts'

/** HTTP requests of many messages each, signed after the Standard Webhooks convention. */
export const webhookFields = {
  url: {
    type: 'url',
    schemes: ['https', 'http'],
    required: true,
    address: true,
    restIn: 'urlRest',
    meaning: 'where messages are posted to',
  },
  urlRest: {
    type: 'text',
    secret: true,
    address: true,
    bytesMax: 4_096,
    pattern: /^[/?][^#\s]*$/,
    example: '/… or ?…',
    meaning: 'what comes behind url where that is a secret: a path that only the receiver knows, or ?code=…',
  },
  secret: {
    type: 'text',
    secret: true,
    pattern: /^(whsec_)?[A-Za-z0-9+/]{32,88}={0,2}$/,
    example: 'whsec_ and 24 to 64 bytes in base64',
    meaning: 'key of the signature; unset: requests are not signed',
  },
  previousSecret: {
    type: 'text',
    secret: true,
    pattern: /^(whsec_)?[A-Za-z0-9+/]{32,88}={0,2}$/,
    example: 'whsec_ and 24 to 64 bytes in base64',
    meaning: 'key that was used before: while it is set, requests carry a signature by each',
  },
  authorization: {
    type: 'text',
    secret: true,
    bytesMax: 4_096,
    pattern: /^[\x20-\x7e]+$/,
    example: 'characters of ASCII',
    meaning: 'value of the Authorization header',
  },
  headers: {
    type: 'texts',
    secret: true,
    countMax: 20,
    // Field names (RFC 9110 section 5.6.2), but for those that the request itself sets.
    namePattern:
      /^(?!(?:host|connection|content-.*|transfer-encoding|expect|upgrade|te|trailer|authorization|user-agent|webhook-.*)$)[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/i,
    // Field values (RFC 9110 section 5.5); others cannot be sent.
    textPattern: /^[\x20-\x7e\xa0-\xff]{0,4096}$/,
    textExample: 'a text of at most 4,096 characters of Latin 1',
    meaning: 'further headers of each request',
  },
  format: {
    type: 'choice',
    choices: ['json', 'ndjson'],
    default: 'json',
    meaning: 'json: an array of messages; ndjson: one message a line',
  },
  messagesMax: { type: 'integer', min: 1, max: 10_000, default: 1_000, meaning: 'most messages a request' },
  bytesMax: {
    type: 'integer',
    min: 1_024,
    max: 16_777_216,
    default: 1_048_576,
    meaning: 'most bytes a request, unless one message is larger',
  },
  delayMs: {
    type: 'integer',
    min: 0,
    max: 60_000,
    default: 500,
    meaning: 'longest time that messages wait for others',
  },
  timeoutMs: { type: 'integer', min: 100, max: 120_000, default: 10_000, meaning: 'longest time for an answer' },
} as const satisfies Record<string, EndpointField>

export type WebhookSettings = SettingsOf<typeof webhookFields>
