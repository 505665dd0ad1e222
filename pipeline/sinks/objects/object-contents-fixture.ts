/** What objects hold, read by nothing of what wrote them. */
import { Readable } from 'node:stream'
import avsc from 'avsc'
import type { TestMessage } from '#pipeline/endpoints/selected-fixture.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import type { ObjectEncoding } from '#schemas/endpoint-kinds/object-fields.ts'
import type { HubRecord } from '#schemas/hub-record.ts'

export async function messagesOfObject(content: Buffer, encoding: ObjectEncoding): Promise<TestMessage[]> {
  if (encoding === 'batches')
    return envelopesOfBatch(content).map(({ deviceId, body }) => ({ deviceId, body: Buffer.from(body).toString() }))
  if (encoding !== 'json')
    return (await recordsOfFile(content)).map(({ SystemProperties, Body }) => ({
      deviceId: String(SystemProperties.connectionDeviceId),
      body: Buffer.from(Body).toString(),
    }))
  const lines = content.toString().split('\n')
  if (lines.pop() !== '') throw new Error('each line ends')
  return lines.map((line) => {
    const { SystemProperties, Body } = JSON.parse(line)
    const body = typeof Body === 'string' ? Buffer.from(Body, 'base64').toString() : JSON.stringify(Body)
    return { deviceId: SystemProperties.connectionDeviceId, body }
  })
}

/** Records of an Avro file, by the library's own reader of files. */
export function recordsOfFile(content: Buffer): Promise<HubRecord[]> {
  const records: HubRecord[] = []
  const decoder = new avsc.streams.BlockDecoder({
    parseHook: (schema) => avsc.Type.forSchema(schema, { wrapUnions: false }),
  })
  return new Promise((resolve, reject) => {
    Readable.from([content]).pipe(decoder)
    decoder.on('data', (record: HubRecord) => records.push(record))
    decoder.on('end', () => resolve(records))
    decoder.on('error', reject)
  })
}
