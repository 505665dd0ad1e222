import { expect, it } from 'vitest'
import { rangeAt } from '#pipeline/endpoints/selected-fixture.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import { portionsOf } from './kafka-records.ts'
import type { PartitionRecords } from './transactional-producer.ts'

const shape = { topic: 't', partitionCount: 3, batchBytesMax: 20_000 }
async function batchesOf(portions: AsyncIterable<readonly PartitionRecords[]>): Promise<PartitionRecords[]> {
  const batches: PartitionRecords[] = []
  for await (const portion of portions) batches.push(...portion)
  return batches
}
const bodies = (count: number, length: number) =>
  Array.from({ length: count }, (_, index) => `${index} `.padEnd(length))

it('puts each device in the partition of its id, in order, and no record batch is larger than the topic takes', async () => {
  const batches = [bodies(200, 300), bodies(200, 300)]
  const seen = new Map<string, string[]>()
  let portions = 0
  for await (const portion of portionsOf(rangeAt(0, batches), { format: 'messages', compression: 'zstd' }, shape)) {
    portions++
    expect(new Set(portion.map(({ partition }) => partition)).size).toBe(portion.length)
    for (const { partition, records } of portion) {
      const bytes = records.reduce((sum, { value }) => sum + value.length, 0)
      expect(bytes).toBeLessThan(shape.batchBytesMax)
      for (const { key, value } of records) {
        const device = key?.toString() ?? expect.fail('messages have keys')
        expect(partition).toBe(partitionOfDevice(Buffer.from(device), shape.partitionCount))
        seen.set(device, [...(seen.get(device) ?? []), value.toString()])
      }
    }
  }
  expect(portions).toBeGreaterThan(1)
  for (const [device, values] of seen) {
    const number = Number(device.split('-')[1])
    expect(values).toEqual(batches.flatMap((batch) => batch.filter((_, index) => index % 3 === number)))
  }
  expect(seen.size).toBe(3)
})

it('a record that is larger than the topic takes goes alone, so that the topic can refuse it', async () => {
  const large = 'x'.repeat(30_000)
  const range = rangeAt(0, [['a', 'b', large, 'c', 'd', 'e']])
  const batches = await batchesOf(portionsOf(range, { format: 'messages', compression: 'none' }, shape))
  const values = batches.map(({ records }) => records.map(({ value }) => value.toString()))
  expect(values.find((some) => some.includes(large))).toHaveLength(1)
  expect(values.flat().sort()).toEqual(['a', 'b', 'c', 'd', 'e', large].sort())
})

it('batches are whole Avro files of whole blocks, all of a partition of the log in one partition', async () => {
  const text = bodies(500, 200)
  const portions = portionsOf(rangeAt(0, [text], 5), { format: 'batches', compression: 'zstd' }, shape)
  const batches = await batchesOf(portions)
  expect(new Set(batches.map(({ partition, compression }) => `${partition} ${compression}`))).toEqual(
    new Set(['2 none']),
  )
  const found = batches.flatMap(({ records }) => records.flatMap(({ value }) => envelopesOfBatch(value)))
  expect(found.map(({ body }) => Buffer.from(body).toString())).toEqual(text)
})
