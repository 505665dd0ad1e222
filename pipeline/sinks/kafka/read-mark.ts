/**
 * Finds the newest committed mark of a key in the marker topic. Marks of partitions that are busy lie near its end, so it is read backwards,
 * in ever larger spans.
 */
import { unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { answersOf, offsetFrom } from '#pipeline/kafka/answers.ts'
import type { KafkaBroker, KafkaCluster, TransactionalRecord } from '#pipeline/kafka/client.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'

const partition = 0
const spanFirst = 500
const spanFactor = 8
const fetchBytesMax = 1024 * 1024
/** A broker answers others on the same connection only after this. */
const pollMs = 25
/** Longest time that marks of other partitions, whose transactions are open, stand in the way. */
const waitMsMax = 15_000

const readUncommitted = 0
const readCommitted = 1
const latestTimestamp = -1
const earliestTimestamp = -2

interface Span {
  readonly from: number
  readonly end: number
}

/** @returns `undefined` if there is none. To be called behind the fence of the key: then nothing of it is under way. */
export async function readMark(
  cluster: KafkaCluster,
  topic: string,
  key: string,
  clock: Clock,
): Promise<Buffer | undefined> {
  const leader = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)?.leader
  const broker = await cluster.findBroker({ nodeId: leader ?? -1 })
  // Whatever was written before: what is committed of it may end earlier, while somebody's transaction is open.
  const end = await endOf(broker, topic, latestTimestamp)
  const begin = await endOf(broker, topic, earliestTimestamp)
  assert(begin <= end, `the topic ${topic} goes from ${begin} to ${end}`)
  const untilMs = clock.monotonicMs() + waitMsMax
  for (let upper = end, span = spanFirst; upper > begin; span *= spanFactor) {
    const from = Math.max(begin, upper - span)
    const found = await newestIn(broker, topic, key, { from, end: upper }, () => clock.monotonicMs() < untilMs)
    if (found !== undefined) return found
    upper = from
  }
  return undefined
}

async function endOf(broker: KafkaBroker, topic: string, timestamp: number): Promise<number> {
  const topics = [{ topic, partitions: [{ partition, timestamp }] }]
  const { responses } = await broker.listOffsets({ replicaId: -1, isolationLevel: readUncommitted, topics })
  return offsetFrom(answersOf(responses, topic, [partition]).get(partition)?.offset, `an end of ${topic}`)
}

async function newestIn(
  broker: KafkaBroker,
  topic: string,
  key: string,
  { from, end }: Span,
  mayWait: () => boolean,
): Promise<Buffer | undefined> {
  let found: Buffer | undefined
  for (let offset = from; offset < end; ) {
    const { records, stableEnd } = await fetchCommitted(broker, topic, offset)
    for (const record of records) {
      const at = offsetFrom(record.offset, `a record of ${topic}`)
      offset = Math.max(offset, at + 1)
      if (at < end && !record.isAborted && record.key?.toString() === key) found = record.value
    }
    if (records.length > 0) continue
    // Compaction leaves batches without records; each of them was of one.
    if (offset < stableEnd) offset++
    else if (!mayWait()) throw unavailable(`a transaction holds up the marker topic ${topic}`, 'Timeout')
  }
  return found
}

interface FetchedMark {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer
  readonly isAborted: boolean
}

async function fetchCommitted(
  broker: KafkaBroker,
  topic: string,
  offset: number,
): Promise<{ readonly records: readonly FetchedMark[]; readonly stableEnd: number }> {
  const { responses } = await broker.fetch({
    replicaId: -1,
    isolationLevel: readCommitted,
    maxWaitTime: pollMs,
    minBytes: 1,
    maxBytes: fetchBytesMax,
    topics: [{ topic, partitions: [{ partition, fetchOffset: String(offset), maxBytes: fetchBytesMax }] }],
  })
  const answers = responses.map(({ topicName, partitions }) => ({ topic: topicName, partitions }))
  const answer = answersOf(answers, topic, [partition]).get(partition)
  assert(answer !== undefined, 'every partition has its answer')
  const stableEnd = offsetFrom(answer.lastStableOffset, `the stable end of ${topic}`)
  return { records: withAborted(answer.messages, answer.abortedTransactions), stableEnd }
}

/**
 * Says which records are of aborted transactions: those of its producer from where a transaction began to the control record that ends it.
 * Control records come too, so that what was read is known to the end.
 */
function withAborted(
  messages: readonly TransactionalRecord[],
  abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[] | null,
): FetchedMark[] {
  const begins = [...(abortedTransactions ?? [])].sort(
    (one, other) => Number(one.firstOffset) - Number(other.firstOffset),
  )
  const aborted = new Set<string>()
  return messages.map(({ offset, key, value, isControlRecord, batchContext: { producerId } }) => {
    while (begins[0] !== undefined && Number(begins[0].firstOffset) <= Number(offset))
      aborted.add(begins.shift()?.producerId ?? '')
    if (isControlRecord) aborted.delete(producerId)
    const isMark = !isControlRecord && value !== null
    return { offset, key: isMark ? key : null, value: value ?? Buffer.alloc(0), isAborted: aborted.has(producerId) }
  })
}
