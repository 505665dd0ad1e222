import { expect, test } from 'vitest'
import type { KafkaBroker, KafkaCluster } from '#pipeline/kafka/client.ts'
import { silentLogger } from '#runtime/logger.ts'
import { KafkaAppender } from './appender.ts'

const stamp = {
  schemaVersion: 1,
  edgeId: 'e',
  epoch: 1,
  sequence: 0,
  messageCount: 1,
  enqueuedAtMsFirst: 0,
  enqueuedAtMsLast: 0,
}

interface ProducedAnswer {
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset: string
}

type Request = Parameters<KafkaBroker['produce']>[0]

/** A broker that knows batches by producer and sequence as Kafka does; `fault` may end a request, before or after it took effect. */
function brokerThat(
  fault: () => { readonly type: string; readonly appends: boolean } | undefined,
  answers: ((answer: ProducedAnswer) => unknown)[] = [],
) {
  const values: string[] = []
  const known = new Map<string, number>()
  let producers = 0
  const append = (key: string, messages: Request['topicData'][number]['partitions'][number]['messages']): number => {
    const offset = known.get(key) ?? values.length
    if (!known.has(key)) values.push(...messages.map(({ value }) => String(value)))
    known.set(key, offset)
    return offset
  }
  const broker = {
    initProducerId: async () => ({ producerId: producers++, producerEpoch: 0 }),
    produce: async ({ producerId, topicData }: Request) => {
      const [{ partition, firstSequence, messages }] = topicData[0]!.partitions as [
        Request['topicData'][number]['partitions'][number],
      ]
      const found = fault()
      const key = `${producerId} ${firstSequence}`
      if (!found || found.appends) append(key, messages)
      if (found) throw Object.assign(new Error(found.type), { type: found.type })
      const answer = { partition, errorCode: 0, baseOffset: String(known.get(key)) }
      const whole = { topics: [{ topicName: 't', partitions: [answer] }] }
      return answers.shift()?.(answer) ?? whole
    },
  }
  const cluster = {
    findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 0 }],
    findControllerBroker: async () => broker,
    findBroker: async () => broker,
    connect: async () => {},
    refreshMetadata: async () => {},
  } as unknown as KafkaCluster
  return { values, appender: new KafkaAppender(cluster, 't', 1, 1_000_000, silentLogger) }
}

test('a batch refused as too large after an attempt without an answer does not lend its sequence to the next: that one is appended [G-1]', async () => {
  let attempts = 0
  const { values, appender } = brokerThat(() => {
    attempts++
    if (attempts === 1) return { type: 'REQUEST_TIMED_OUT', appends: true }
    return attempts === 2 ? { type: 'MESSAGE_TOO_LARGE', appends: false } : undefined
  })
  await expect(appender.append(0, stamp, Buffer.from('first'))).rejects.toMatchObject({ code: 'LOG_RECORD_TOO_LARGE' })
  expect(await appender.append(0, stamp, Buffer.from('second'))).toBe(1)
  expect(values).toEqual(['first', 'second'])
  await appender.close(0)
})

test('a batch whose answer was lost is sent again under its sequence and lies on the log once', async () => {
  let attempts = 0
  const { values, appender } = brokerThat(() =>
    attempts++ === 0 ? { type: 'REQUEST_TIMED_OUT', appends: true } : undefined,
  )
  expect(await appender.append(0, stamp, Buffer.from('only'))).toBe(0)
  expect(values).toEqual(['only'])
  await appender.close(0)
})

const topicsOf = (topicName: string, ...partitions: unknown[]) => ({ topics: [{ topicName, partitions }] })

test.each([
  ['nothing', () => ({ topics: [] })],
  ['no partition', () => topicsOf('t')],
  ['another partition', (answer: ProducedAnswer) => topicsOf('t', { ...answer, partition: 1 })],
  ['another topic', (answer: ProducedAnswer) => topicsOf('other', answer)],
  ['an error code', (answer: ProducedAnswer) => topicsOf('t', { ...answer, errorCode: 7 })],
  ['no offset', (answer: ProducedAnswer) => topicsOf('t', { ...answer, baseOffset: undefined })],
  ['offset -1', (answer: ProducedAnswer) => topicsOf('t', { ...answer, baseOffset: '-1' })],
])('an answer of %s confirms nothing: the batch is sent again, and lies on the log once [G-1]', async (_, answer) => {
  let requests = 0
  const { values, appender } = brokerThat(() => {
    requests++
    return undefined
  }, [answer, answer])
  expect(await appender.append(0, stamp, Buffer.from('only'))).toBe(0)
  expect([requests, values]).toEqual([3, ['only']])
  await appender.close(0)
})

test('one that is never confirmed is refused when the log closes', async () => {
  const silent = new Array(1_000).fill(() => ({ topics: [] }))
  const { appender } = brokerThat(() => undefined, silent)
  const appended = expect(appender.append(0, stamp, Buffer.from('only'))).rejects.toMatchObject({
    code: 'LOG_APPEND_FAILED',
  })
  await appender.close(50)
  await appended
})
