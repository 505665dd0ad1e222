import type { EndpointField, SettingsOf } from './field.ts'
import { objectFields } from './object-fields.ts'

/** Files in a folder of the machines that routers run on. */
export const fileFields = {
  folder: {
    type: 'text',
    required: true,
    address: true,
    bytesMax: 1_024,
    pattern: /^\//,
    example: 'an absolute path',
    meaning: 'the folder, which must be there; it lies in the file system of whichever router delivers',
  },
  ...objectFields,
} as const satisfies Record<string, EndpointField>

export type FileSettings = SettingsOf<typeof fileFields>
