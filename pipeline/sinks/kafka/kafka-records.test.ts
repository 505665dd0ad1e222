import { createRequire } from 'node:module'
import { expect, it } from 'vitest'
import { rangeAt } from '#pipeline/endpoints/selected-fixture.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import { portionsOf } from './kafka-records.ts'
import type { PartitionRecords } from './transactional-producer.ts'

const required = createRequire(import.meta.url)
const Decoder: new (bytes: Buffer) => object = required('kafkajs/src/protocol/decoder')
const decodeBatch: (decoder: object) => Promise<{ records: DecodedRecord[] }> = required(
  'kafkajs/src/protocol/recordBatch/v0/decoder',
)

const shape = { topic: 't', partitionCount: 3, batchBytesMax: 20_000 }
interface DecodedRecord {
  readonly key: Buffer | null
  readonly value: Buffer
}
interface DecodedBatch {
  readonly partition: number
  /** As a topic counts it. */
  readonly byteCount: number
  readonly records: readonly DecodedRecord[]
}

/** Of each portion, as kafkajs reads what is sent. */
async function decoded(portions: AsyncIterable<readonly PartitionRecords[]>): Promise<DecodedBatch[][]> {
  const all: DecodedBatch[][] = []
  for await (const portion of portions) {
    const batches = portion.map(async ({ partition, batch }) => {
      const bytes = await batch.encode({ producerId: '1', producerEpoch: 0, firstSequence: 0 })
      const { records } = await decodeBatch(new Decoder(bytes))
      return { partition, byteCount: bytes.length, records }
    })
    all.push(await Promise.all(batches))
  }
  return all
}

const bodies = (count: number, length: number) =>
  Array.from({ length: count }, (_, index) => `${index} `.padEnd(length))

it('ends a transaction before its mark is written if the messages of the range are not all there', async () => {
  const selected = rangeAt(0, [bodies(3, 10)])
  const counted = { ...selected, range: { ...selected.range, messageCount: 4 } }
  const portions = portionsOf(counted, { format: 'messages', compression: 'none' }, shape, 0)
  await expect(decoded(portions)).rejects.toThrow('a transaction of 4 messages does not have 3')
})

it('puts each device in the partition of its id, in order, and no record batch is larger than the topic takes', async () => {
  const batches = [bodies(200, 300), bodies(200, 300)]
  const seen = new Map<string, string[]>()
  const portions = await decoded(portionsOf(rangeAt(0, batches), { format: 'messages', compression: 'none' }, shape, 0))
  for (const portion of portions) {
    expect(new Set(portion.map(({ partition }) => partition)).size).toBe(portion.length)
    for (const { partition, byteCount, records } of portion) {
      expect(byteCount).toBeLessThan(shape.batchBytesMax)
      for (const { key, value } of records) {
        const device = key?.toString() ?? expect.fail('messages have keys')
        expect(partition).toBe(partitionOfDevice(Buffer.from(device), shape.partitionCount))
        seen.set(device, [...(seen.get(device) ?? []), value.toString()])
      }
    }
  }
  expect(portions.length).toBeGreaterThan(1)
  for (const [device, values] of seen) {
    const number = Number(device.split('-')[1])
    expect(values).toEqual(batches.flatMap((batch) => batch.filter((_, index) => index % 3 === number)))
  }
  expect(seen.size).toBe(3)
})

it('a record that is larger than the topic takes goes alone, so that the topic can refuse it', async () => {
  const large = 'x'.repeat(30_000)
  const range = rangeAt(0, [['a', 'b', large, 'c', 'd', 'e']])
  const batches = (await decoded(portionsOf(range, { format: 'messages', compression: 'none' }, shape, 0))).flat()
  const values = batches.map(({ records }) => records.map(({ value }) => value.toString()))
  expect(values.find((some) => some.includes(large))).toHaveLength(1)
  expect(values.flat().sort()).toEqual(['a', 'b', 'c', 'd', 'e', large].sort())
})

it('batches are whole Avro files of whole blocks, all of a partition of the log in one partition', async () => {
  const text = bodies(500, 200)
  const portions = portionsOf(rangeAt(0, [text], 5), { format: 'batches', compression: 'zstd' }, shape, 0)
  const batches = (await decoded(portions)).flat()
  expect(new Set(batches.map(({ partition }) => partition))).toEqual(new Set([2]))
  const found = batches.flatMap(({ records }) => records.flatMap(({ value }) => envelopesOfBatch(value)))
  expect(found.map(({ body }) => Buffer.from(body).toString())).toEqual(text)
})
