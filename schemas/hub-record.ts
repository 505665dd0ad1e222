/**
 * The record as which a hub writes a message to storage, in Avro object container files whose blocks are plain or deflated.
 *
 *   header │ count · byte length · records · sync │ count · byte length · records · sync │ …
 */
import avsc from 'avsc'
import { containerHeader, longBytes } from './batch.ts'

export const hubRecordSchema = {
  type: 'record',
  name: 'Message',
  namespace: 'Microsoft.Azure.Devices',
  fields: [
    { name: 'EnqueuedTimeUtc', type: 'string' },
    { name: 'Properties', type: { type: 'map', values: 'string' } },
    { name: 'SystemProperties', type: { type: 'map', values: 'string' } },
    { name: 'Body', type: ['null', 'bytes'] },
  ],
} as const

/** One message as a hub's readers know it. */
export interface HubRecord {
  /** ISO 8601 with seven digits of a second. */
  readonly EnqueuedTimeUtc: string
  readonly Properties: Readonly<Record<string, string>>
  readonly SystemProperties: Readonly<Record<string, string>>
  readonly Body: Uint8Array
}

/** Names of codecs as Avro has them. */
export type HubRecordCodec = 'null' | 'deflate'

/** Constant, so that the same messages are the same bytes whenever they are written. */
const syncMarker: Uint8Array = Buffer.from('penstock.hub.rec', 'latin1')

const recordType = avsc.Type.forSchema(JSON.parse(JSON.stringify(hubRecordSchema)), { wrapUnions: false })

/** The beginning of every file of this codec. */
export function hubRecordHeader(codec: HubRecordCodec): Uint8Array {
  return containerHeader(hubRecordSchema, codec, syncMarker)
}

/** Records as they stand in a block, before its codec. */
export function hubRecordBytes(records: readonly HubRecord[]): Buffer {
  const encoded = records.map((record) => recordType.toBuffer({ ...record, Body: asBuffer(record.Body) }))
  return Buffer.concat(encoded)
}

/** @param content of so many records, after the codec */
export function hubRecordBlock(recordCount: number, content: Uint8Array): Uint8Array[] {
  return [longBytes(recordCount), longBytes(content.length), content, syncMarker]
}

/** The library takes nothing else for bytes. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
