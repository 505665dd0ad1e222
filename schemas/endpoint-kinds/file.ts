import type { EndpointField, SettingsOf } from './field.ts'

/** Files in a folder of the machines that routers run on. */
export const fileFields = {
  folder: {
    type: 'text',
    required: true,
    address: true,
    bytesMax: 1_024,
    pattern: /^\//,
    example: 'an absolute path',
    meaning: 'the folder; it lies in the file system of whichever router delivers',
  },
  nameFormat: {
    type: 'text',
    default: '{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}',
    bytesMax: 256,
    meaning: 'names of the files: all seven parts, in any order; the positions that a file holds are added',
  },
  encoding: {
    type: 'choice',
    choices: ['avro', 'json', 'batches'],
    default: 'json',
    meaning: "json: a message a line; avro: the hub's records; batches: Penstock's own Avro files",
  },
  rollSeconds: {
    type: 'integer',
    min: 1,
    max: 3_600,
    default: 60,
    meaning: 'a file ends so long after its first message was enqueued',
  },
  rollBytes: {
    type: 'integer',
    min: 1_024,
    max: 524_288_000,
    default: 67_108_864,
    meaning: 'a file ends once it is so large',
  },
} as const satisfies Record<string, EndpointField>

export type FileSettings = SettingsOf<typeof fileFields>
