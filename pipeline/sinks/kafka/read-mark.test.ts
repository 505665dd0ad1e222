import { expect, it } from 'vitest'
import type { KafkaBroker, KafkaCluster, TransactionalRecord } from '#pipeline/kafka/client.ts'
import { systemClock } from '#runtime/clock.ts'
import { readMark } from './read-mark.ts'

const topic = 'marks'

interface TestRecord {
  readonly producerId: string
  /** `abort` and `commit` are control records. */
  readonly text: string
  readonly key?: string
}

/** A marker topic whose records lie at these offsets; `undefined` where compaction left none. */
function clusterOf(records: readonly (TestRecord | undefined)[], aborted: readonly [string, number][] = []) {
  const fetched: number[] = []
  const fetch: KafkaBroker['fetch'] = async ({ topics }) => {
    const from = Number(topics[0]?.partitions[0]?.fetchOffset)
    fetched.push(from)
    const messages = records.slice(from, from + 100).flatMap((record, index): TransactionalRecord[] => {
      if (record === undefined) return []
      const { producerId, text, key = 'mine' } = record
      const isControlRecord = text === 'abort' || text === 'commit'
      return [
        {
          offset: String(from + index),
          timestamp: '0',
          key: isControlRecord ? Buffer.from([0, 0, 0, text === 'abort' ? 0 : 1]) : Buffer.from(key),
          value: Buffer.from(text),
          headers: {},
          isControlRecord,
          batchContext: { producerId, inTransaction: true },
        },
      ]
    })
    const abortedTransactions = aborted.map(([producerId, offset]) => ({ producerId, firstOffset: String(offset) }))
    const answer = { partition: 0, errorCode: 0, lastStableOffset: String(records.length), abortedTransactions }
    return { responses: [{ topicName: topic, partitions: [{ ...answer, messages: records[from] ? messages : [] }] }] }
  }
  const listOffsets: KafkaBroker['listOffsets'] = async ({ topics }) => {
    const isEnd = topics[0]?.partitions[0]?.timestamp === -1
    const partitions = [{ partition: 0, errorCode: 0, offset: String(isEnd ? records.length : 0) }]
    return { responses: [{ topic, partitions }] }
  }
  const cluster = {
    findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 1 }],
    findBroker: async () => ({ fetch, listOffsets }),
  } as unknown as KafkaCluster
  return { read: async () => (await readMark(cluster, topic, 'mine', systemClock))?.toString(), fetched }
}

const one = (text: string): TestRecord => ({ producerId: '1', text })
const two = (text: string): TestRecord => ({ producerId: '2', text })
const other = (text: string): TestRecord => ({ producerId: '9', text, key: 'other' })

it('finds the newest committed mark of its key', async () => {
  const { read } = clusterOf([one('a'), one('commit'), one('b'), one('commit'), other('c'), other('commit')])
  expect(await read()).toBe('b')
})

it('takes no mark of an aborted transaction, also where several were aborted together', async () => {
  const records = [one('a'), one('commit'), one('b'), two('c'), two('abort'), one('abort')]
  const aborted: [string, number][] = [
    ['1', 2],
    ['2', 3],
  ]
  expect(await clusterOf(records, aborted).read()).toBe('a')
  // The first of them began before what is read.
  expect(
    await clusterOf(
      [two('c'), two('abort'), one('abort')],
      [
        ['1', 0],
        ['2', 0],
      ],
    ).read(),
  ).toBeUndefined()
})

it('looks behind where compaction left nothing, and far back', async () => {
  const long = [one('a'), one('commit'), ...Array.from({ length: 2_000 }, () => other('x')), undefined, undefined]
  const { read, fetched } = clusterOf(long)
  expect(await read()).toBe('a')
  expect(fetched[0]).toBe(long.length - 500)
})

it('finds nothing where there is nothing', async () => {
  expect(await clusterOf([]).read()).toBeUndefined()
  expect(await clusterOf([other('a'), other('commit')]).read()).toBeUndefined()
})
