/**
 * One transactional producer, of one transactional id (KIP-98).
 *
 *   fence ──▶ [ send … send ──▶ commit ] ──▶ [ send … ] …        any fault ──▶ fence again, never a second attempt under the same epoch
 *
 * `fence` (InitProducerId) raises the epoch of the id. It is answered once every earlier transaction of the id is over: one that was open is
 * aborted, one that was being committed is committed wholly. From then on whatever is sent under an earlier epoch is refused, so no
 * transaction of another process, and none of our own whose outcome is unknown, can take effect any more.
 */
import { answersOf } from '#pipeline/kafka/answers.ts'
import {
  type Compression,
  compressionTypes,
  faultType,
  type KafkaBroker,
  type KafkaCluster,
  kafkaBackOff,
  type ProducedRecord,
} from '#pipeline/kafka/client.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { retry } from '#runtime/retry.ts'

/** What one partition gets of one request: one record batch. */
export interface PartitionRecords {
  readonly topic: string
  readonly partition: number
  readonly records: readonly ProducedRecord[]
  readonly compression: Compression
}

/** The coordinator aborts a transaction that lasts longer. */
export const transactionMsMax = 60_000
/** How long the end of an earlier transaction is waited for, of which only its markers are missing. */
const settleMsMax = 15_000
/** Time for the replicas to confirm. */
const produceMsMax = 10_000

/** The coordinator still ends the transaction before, or is only just becoming the coordinator. */
const passing: ReadonlySet<string> = new Set([
  'CONCURRENT_TRANSACTIONS',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
])

/** Another process has fenced this one; or Kafka has forgotten the id, which nobody used for a week. Nothing of the attempt is stored. */
const fenced: ReadonlySet<string> = new Set(['INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING'])

export function isFenced(error: unknown): boolean {
  return fenced.has(faultType(error))
}

/** `coordinatorType` of transactional ids. */
const transactionCoordinator = 1

interface Epoch {
  readonly coordinator: KafkaBroker
  readonly producerId: unknown
  readonly producerEpoch: number
}

export class TransactionalProducer {
  readonly #cluster: KafkaCluster
  readonly #transactionalId: string
  readonly #clock: Clock
  #epoch: Epoch | undefined
  /** By `topic/partition`, under this epoch. */
  readonly #sequences = new Map<string, number>()
  /** Partitions of the open transaction. */
  readonly #joined = new Set<string>()

  constructor(cluster: KafkaCluster, transactionalId: string, clock: Clock) {
    this.#cluster = cluster
    this.#transactionalId = transactionalId
    this.#clock = clock
  }

  async fence(): Promise<void> {
    this.#epoch = undefined
    this.#sequences.clear()
    this.#joined.clear()
    this.#epoch = await this.#untilSettled(async () => {
      const coordinator = await this.#findCoordinator()
      const { producerId, producerEpoch } = await coordinator.initProducerId({
        transactionalId: this.#transactionalId,
        transactionTimeout: transactionMsMax,
      })
      assert(Number(producerId) >= 0 && producerEpoch >= 0, `a producer has an id and an epoch, not ${producerEpoch}`)
      return { coordinator, producerId, producerEpoch }
    })
  }

  /** Adds record batches to the transaction, at most one a partition; the first ones begin it. Resolves once all replicas have them. */
  async send(batches: readonly PartitionRecords[]): Promise<void> {
    const { coordinator, producerId, producerEpoch } = this.#current()
    const topics = newPartitions(batches, this.#joined)
    if (topics.length > 0) {
      const request = { transactionalId: this.#transactionalId, producerId, producerEpoch, topics }
      await this.#untilSettled(() => coordinator.addPartitionsToTxn(request))
      for (const batch of batches) this.#joined.add(nameOf(batch))
    }
    // All of them, so that none is under way once the epoch is given up for another.
    const sent = await Promise.allSettled(
      this.#requestsOf(batches).map(([leader, some]) => this.#produce(leader, some)),
    )
    for (const result of sent) if (result.status === 'rejected') throw result.reason
  }

  /** @throws whatever leaves the outcome unknown, which the next `fence` settles */
  async commit(): Promise<void> {
    const { coordinator, producerId, producerEpoch } = this.#current()
    const request = { transactionalId: this.#transactionalId, producerId, producerEpoch }
    await coordinator.endTxn({ ...request, transactionResult: true })
    this.#joined.clear()
  }

  /** kafkajs's own way to it does not say which right is missing. */
  async #findCoordinator(): Promise<KafkaBroker> {
    const broker = await this.#cluster.findControllerBroker()
    const request = { groupId: this.#transactionalId, coordinatorType: transactionCoordinator } as const
    const { coordinator } = await broker.findGroupCoordinator(request)
    return await this.#cluster.findBroker(coordinator)
  }

  /** By leader and compression, which a request has one of. */
  #requestsOf(batches: readonly PartitionRecords[]): (readonly [leader: number, batches: PartitionRecords[]])[] {
    const requests = new Map<string, readonly [number, PartitionRecords[]]>()
    for (const batch of batches) {
      const partitions = this.#cluster.findTopicPartitionMetadata(batch.topic)
      const leader = partitions.find(({ partitionId }) => partitionId === batch.partition)?.leader ?? -1
      const key = `${leader} ${batch.compression}`
      const request = requests.get(key)
      if (request === undefined) requests.set(key, [leader, [batch]])
      else request[1].push(batch)
    }
    return [...requests.values()]
  }

  async #produce(leader: number, batches: readonly PartitionRecords[]): Promise<void> {
    const { producerId, producerEpoch } = this.#current()
    const broker = await this.#cluster.findBroker({ nodeId: leader })
    const byTopic = groupedByTopic(batches)
    const { topics } = await broker.produce({
      acks: -1,
      timeout: produceMsMax,
      transactionalId: this.#transactionalId,
      producerId,
      producerEpoch,
      compression: compressionTypes[batches[0]?.compression ?? 'none'],
      topicData: Array.from(byTopic, ([topic, some]) => ({
        topic,
        partitions: some.map((batch) => ({
          partition: batch.partition,
          firstSequence: this.#sequences.get(nameOf(batch)) ?? 0,
          messages: batch.records,
        })),
      })),
    })
    const answers = topics.map(({ topicName, partitions }) => ({ topic: topicName, partitions }))
    for (const [topic, some] of byTopic)
      answersOf(
        answers,
        topic,
        some.map(({ partition }) => partition),
      )
    for (const batch of batches) {
      const sequence = (this.#sequences.get(nameOf(batch)) ?? 0) + batch.records.length
      this.#sequences.set(nameOf(batch), sequence % sequenceModulus)
    }
  }

  async #untilSettled<T>(ask: () => Promise<T>): Promise<T> {
    const untilMs = this.#clock.monotonicMs() + settleMsMax
    return await retry(ask, {
      backOff: kafkaBackOff,
      clock: this.#clock,
      isRetryable: (error) => passing.has(faultType(error)) && this.#clock.monotonicMs() < untilMs,
    })
  }

  #current(): Epoch {
    assert(this.#epoch !== undefined, 'a producer is fenced before it sends')
    return this.#epoch
  }
}

/** Sequences are 31 bits wide and begin again at 0. */
const sequenceModulus = 2 ** 31

const nameOf = ({ topic, partition }: PartitionRecords): string => `${topic}/${partition}`

function newPartitions(
  batches: readonly PartitionRecords[],
  joined: ReadonlySet<string>,
): { topic: string; partitions: number[] }[] {
  const added = batches.filter((batch) => !joined.has(nameOf(batch)))
  return Array.from(groupedByTopic(added), ([topic, some]) => ({
    topic,
    partitions: some.map(({ partition }) => partition),
  }))
}

function groupedByTopic(batches: readonly PartitionRecords[]): ReadonlyMap<string, readonly PartitionRecords[]> {
  const groups = new Map<string, PartitionRecords[]>()
  for (const batch of batches) {
    const group = groups.get(batch.topic)
    if (group === undefined) groups.set(batch.topic, [batch])
    else group.push(batch)
  }
  return groups
}
