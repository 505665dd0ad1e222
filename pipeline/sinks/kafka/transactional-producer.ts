/**
 * One transactional producer, of one transactional id (KIP-98).
 *
 *   fence ──▶ [ send … send ──▶ commit ] ──▶ [ send … ] …        any fault ──▶ fence again, never a second attempt under the same epoch
 *
 * `fence` (InitProducerId) raises the epoch of the id. It is answered once every earlier transaction of the id is over: one that was open is
 * aborted, one that was being committed is committed wholly. From then on whatever is sent under an earlier epoch is refused, so no
 * transaction of another process, and none of our own whose outcome is unknown, can take effect any more.
 */
import { faultType, type KafkaBroker, type KafkaCluster, kafkaBackOff } from '#pipeline/kafka/client.ts'
import { groupedByTopic, produceBatches } from '#pipeline/kafka/produce.ts'
import type { RecordBatch } from '#pipeline/kafka/record-batch.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { retry } from '#runtime/retry.ts'

/** What one partition gets of one request. */
export interface PartitionRecords {
  readonly topic: string
  readonly partition: number
  readonly batch: RecordBatch
}

/** The coordinator aborts a transaction that lasts longer. */
export const transactionMsMax = 60_000
/** How long the end of an earlier transaction is waited for, of which only its markers are missing. */
const settleMsMax = 15_000
/** Time for the replicas to confirm. */
const produceMsMax = 10_000

/** The coordinator still ends the transaction before. */
const ending = 'CONCURRENT_TRANSACTIONS'
/** Besides: there is none yet, or it is another one by now. */
const moving: ReadonlySet<string> = new Set([
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
    const open = async (): Promise<Epoch> => {
      const coordinator = await this.#findCoordinator()
      const { producerId, producerEpoch } = await coordinator.initProducerId({
        transactionalId: this.#transactionalId,
        transactionTimeout: transactionMsMax,
      })
      assert(Number(producerId) >= 0 && producerEpoch >= 0, `a producer has an id and an epoch, not ${producerEpoch}`)
      return { coordinator, producerId, producerEpoch }
    }
    this.#epoch = await this.#whileRefused(open, (type) => type === ending || moving.has(type))
  }

  /** Adds record batches to the transaction, at most one a partition; the first ones begin it. Resolves once all replicas have them. */
  async send(batches: readonly PartitionRecords[]): Promise<void> {
    const { coordinator, producerId, producerEpoch } = this.#current()
    assert(new Set(batches.map(nameOf)).size === batches.length, 'a partition gets one record batch of a request')
    const topics = newPartitions(batches, this.#joined)
    if (topics.length > 0) {
      const request = { transactionalId: this.#transactionalId, producerId, producerEpoch, topics }
      await this.#whileRefused(
        () => coordinator.addPartitionsToTxn(request),
        (type) => type === ending,
      )
      for (const batch of batches) this.#joined.add(nameOf(batch))
    }
    // All of them, so that none is under way once the epoch is given up for another.
    const sent = await Promise.allSettled(
      Array.from(this.#byLeader(batches), ([leader, some]) => this.#produce(leader, some)),
    )
    for (const result of sent) if (result.status === 'rejected') throw result.reason
  }

  /** @throws whatever leaves the outcome unknown, which the next `fence` settles */
  async commit(): Promise<void> {
    const { coordinator, producerId, producerEpoch } = this.#current()
    assert(this.#joined.size > 0, 'a transaction that is committed holds records')
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

  #byLeader(batches: readonly PartitionRecords[]): ReadonlyMap<number, readonly PartitionRecords[]> {
    const requests = new Map<number, PartitionRecords[]>()
    for (const batch of batches) {
      const partitions = this.#cluster.findTopicPartitionMetadata(batch.topic)
      const leader = partitions.find(({ partitionId }) => partitionId === batch.partition)?.leader ?? -1
      const request = requests.get(leader)
      if (request === undefined) requests.set(leader, [batch])
      else request.push(batch)
    }
    return requests
  }

  async #produce(leader: number, batches: readonly PartitionRecords[]): Promise<void> {
    const epoch = this.#current()
    const encode = async (each: PartitionRecords) => {
      const { topic, partition, batch } = each
      return { topic, partition, batch: await batch.encode({ ...epoch, firstSequence: this.#sequenceOf(each) }) }
    }
    const encoded = await Promise.all(batches.map(encode))
    const broker = await this.#cluster.findBroker({ nodeId: leader })
    await produceBatches(broker, this.#transactionalId, encoded, produceMsMax)
    for (const each of batches)
      this.#sequences.set(nameOf(each), (this.#sequenceOf(each) + each.batch.count) % sequenceModulus)
  }

  #sequenceOf(batch: PartitionRecords): number {
    return this.#sequences.get(nameOf(batch)) ?? 0
  }

  async #whileRefused<T>(ask: () => Promise<T>, passes: (type: string) => boolean): Promise<T> {
    const untilMs = this.#clock.monotonicMs() + settleMsMax
    return await retry(ask, {
      backOff: kafkaBackOff,
      clock: this.#clock,
      isRetryable: (error) => passes(faultType(error)) && this.#clock.monotonicMs() < untilMs,
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
