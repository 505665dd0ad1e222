import { limits } from '../limits.ts'
import { defaultObjectNameFormat, faultOfNameFormat } from '../object-name-format.ts'
import type { EndpointField, SettingsOf } from './field.ts'

/** Settings that all kinds of objects share: how they are named, what they hold, and when one ends. */
export const objectFields = {
  nameFormat: {
    type: 'text',
    default: defaultObjectNameFormat,
    bytesMax: 256,
    meaning: 'how names begin: all seven parts, in any order; the positions that an object holds are added',
  },
  encoding: {
    type: 'choice',
    choices: ['json', 'avro', 'avroDeflate', 'batches'],
    default: 'json',
    meaning: "json: a message a line; avro, avroDeflate: the hub's records; batches: Penstock's own Avro files",
  },
  rollSeconds: {
    type: 'integer',
    min: 1,
    max: 3_600,
    default: 60,
    meaning: 'an object ends so long after its first message was read',
  },
  rollBytes: {
    type: 'integer',
    min: 1_024,
    max: limits.insertBodyBytesMax,
    default: 67_108_864,
    meaning: 'an object ends when it holds messages of so many bytes, before they are encoded; of batches: as they are',
  },
} as const satisfies Record<string, EndpointField>

export type ObjectSettings = SettingsOf<typeof objectFields>
export type ObjectEncoding = ObjectSettings['encoding']

/** What a field alone can't say. */
export function checkObjectNames({ nameFormat }: Readonly<Record<string, unknown>>): readonly FieldFault[] {
  const message = typeof nameFormat === 'string' ? faultOfNameFormat(nameFormat) : undefined
  return message === undefined ? [] : [{ field: 'nameFormat', message }]
}

export interface FieldFault {
  readonly field: string
  readonly message: string
}
