import { createRequire } from 'node:module'
import { expect, it } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { RecordBatch, type RecordHeader } from './record-batch.ts'

const required = createRequire(import.meta.url)
const Record: (record: object) => unknown = required('kafkajs/src/protocol/recordBatch/record/v0')
const kafkajsBatch: (batch: object) => Promise<{ buffer: Buffer }> = required(
  'kafkajs/src/protocol/recordBatch/v0',
).RecordBatch

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9))
const timeMs = Date.UTC(2026, 0, 2)

it(`writes the same bytes as kafkajs (SEED=${seed})`, async () => {
  const random = seededRandom(seed)
  const text = (lengthMax: number) =>
    Array.from({ length: random.below(lengthMax) }, () => 'aé😀 '[random.below(4)]).join('')
  for (let round = 0; round < 30; round++) {
    const origin = {
      producerId: String(random.below(2 ** 31)),
      producerEpoch: random.below(30_000),
      firstSequence: random.below(1_000),
    }
    const batch = new RecordBatch('none')
    const count = random.integer(1, 40)
    const records = Array.from({ length: count }, (_, index) => {
      const key = random.below(4) === 0 ? null : Buffer.from(text(80))
      const value = Buffer.from(text(random.below(10) === 0 ? 20_000 : 200))
      const names = new Map(Array.from({ length: random.below(5) }, (): RecordHeader => [text(40), text(200)]))
      // Clocks of edges differ, so times go backwards too.
      const time = timeMs + random.below(100_000) - 50_000
      return { key, value, names, time, index }
    })
    for (const { key, value, names, time } of records) batch.append(key, value, [...names], time)
    const times = records.map(({ time }) => time)
    const expected = await kafkajsBatch({
      ...origin,
      transactional: true,
      firstTimestamp: times[0],
      maxTimestamp: Math.max(...times),
      lastOffsetDelta: count - 1,
      records: records.map(({ key, value, names, time, index }) =>
        Record({
          key,
          value,
          headers: Object.fromEntries(names),
          offsetDelta: index,
          timestampDelta: time - (times[0] ?? 0),
        }),
      ),
    })
    expect((await batch.encode(origin)).equals(expected.buffer), `round ${round}`).toBe(true)
    expect(batch.count).toBe(count)
  }
})

it('that has no record, or a sequence that Kafka cannot count, is not sent', async () => {
  const origin = { producerId: '1', producerEpoch: 0, firstSequence: 0 }
  const batch = new RecordBatch('none')
  await expect(batch.encode(origin)).rejects.toThrow('a record batch has a record')
  batch.append(null, Buffer.from('x'), [], timeMs)
  await expect(batch.encode({ ...origin, firstSequence: 2 ** 31 })).rejects.toThrow('a sequence is a number of 31 bits')
})
