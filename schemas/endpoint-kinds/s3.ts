import type { EndpointField, SettingsOf } from './field.ts'
import { objectFields } from './object-fields.ts'

/** Objects in a bucket of a store that speaks S3. */
export const s3Fields = {
  endpoint: {
    type: 'url',
    schemes: ['https', 'http'],
    address: true,
    meaning: "address of the store; unset: that of the region's own",
  },
  region: {
    type: 'text',
    default: 'us-east-1',
    pattern: /^[a-z0-9-]{1,64}$/,
    example: 'a name such as eu-central-1',
    address: true,
    meaning: 'region of the bucket, which is part of each signature',
  },
  bucket: {
    type: 'text',
    required: true,
    pattern: /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    example: '3 to 63 lower case letters, digits, dots and dashes',
    address: true,
    meaning: 'the bucket, which must be there',
  },
  addressing: {
    type: 'choice',
    choices: ['path', 'host'],
    meaning:
      'where the bucket stands in addresses; unset: in the path if endpoint is set, else in the name of the host',
  },
  accessKeyId: {
    type: 'text',
    required: true,
    pattern: /^[\w./+=@-]{1,256}$/,
    example: 'the id of an access key',
    meaning: 'whose key signs',
  },
  secretAccessKey: { type: 'text', secret: true, required: true, meaning: 'the key itself' },
  sessionToken: { type: 'text', secret: true, bytesMax: 8_192, meaning: 'of a key that was given for some hours' },
  ...objectFields,
} as const satisfies Record<string, EndpointField>

export type S3Settings = SettingsOf<typeof s3Fields>
