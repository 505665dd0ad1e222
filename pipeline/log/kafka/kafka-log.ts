import type { Admin, Kafka } from 'kafkajs'
import { answersOf, offsetFrom } from '#pipeline/kafka/answers.ts'
import { createCluster, type KafkaCluster, kafkaBackOff, reconnect } from '#pipeline/kafka/client.ts'
import { assert } from '#runtime/assert.ts'
import { systemClock } from '#runtime/clock.ts'
import { retry } from '#runtime/retry.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type {
  Assignment,
  BatchStamp,
  GroupMember,
  GroupPosition,
  Log,
  LogRecord,
  PartitionRange,
  RetentionResult,
} from '../log.ts'
import { assertPartition, assertRecordSize } from '../log-checks.ts'
import type { KafkaLogOptions } from './../log-options.ts'
import { accessFault } from './access-fault.ts'
import { KafkaAppender } from './appender.ts'
import { KafkaFetcher } from './fetcher.ts'
import { KafkaMember, positionsOf } from './member.ts'
import { faultText, openKafka } from './open-kafka.ts'
import { ensureTopic, growTopic, type KafkaTopic } from './topic.ts'
import { assertKnowsTopicIds, identityOfTopic, type TopicIdentity } from './topic-id.ts'

const sessionMsDefault = 10_000

/** How long opening tries to reach a broker, and closing waits for appends. */
const openMsMax = 15_000
const closeMsMax = 10_000
/** Fewer are a broker that is just starting. */
const failuresUntilTold = 2

/** Then whoever asked decides. */
const askFailuresMax = 5

/** Timestamps by which ListOffsets asks for the ends of a partition. */
const latestTimestamp = -1
const earliestTimestamp = -2

/** Opens a topic on Apache Kafka, and creates it if there is none. @throws LOG_PARTITIONS_MISMATCH, LOG_SERVER_TOO_OLD, LOG_ACCESS_REFUSED, LOG_UNAVAILABLE */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const kafka = openKafka(options.brokers, options.access ?? {}, options.logger)
  const brokers = options.brokers.join(',')
  const untilMs = performance.now() + openMsMax
  const isRefused = (error: unknown, failures: number): boolean =>
    accessFault(error)?.certain === true && failures > failuresUntilTold
  let failed = 0
  try {
    return await retry(() => openOnce(kafka, options), {
      backOff: kafkaBackOff,
      clock: systemClock,
      isRetryable: (error, failures) => {
        failed = failures
        return !isFatal(error) && !isRefused(error, failures) && performance.now() <= untilMs
      },
      onRetry: (error, { failures }) => {
        if (failures === failuresUntilTold + 1)
          options.logger.warn('Kafka cannot be used yet; trying again', {
            brokers,
            why: accessFault(error)?.text,
            error,
          })
      },
    })
  } catch (error) {
    if (isFatal(error)) throw error
    const [code, text] = isRefused(error, failed)
      ? (['LOG_ACCESS_REFUSED', accessFault(error)?.text] as const)
      : (['LOG_UNAVAILABLE', faultText(error)] as const)
    throw new PenstockError(code, `topic ${options.topic}: Kafka at ${brokers} ${text}`, { cause: error })
  }
}

function isFatal(error: unknown): boolean {
  return isPenstockError(error) && error.disposition === 'fatal'
}

async function openOnce(kafka: Kafka, options: KafkaLogOptions): Promise<KafkaLog> {
  const opened: KafkaCluster[] = []
  const open = async (): Promise<KafkaCluster> => {
    const cluster = createCluster(kafka)
    opened.push(cluster)
    await connect(cluster, options.topic)
    return cluster
  }
  try {
    const found = await withAdmin(kafka, (admin) => ensureTopic(admin, options))
    const clusters = { produce: await open(), fetch: await open(), ask: await open() }
    const controller = await clusters.ask.findControllerBroker()
    assertKnowsTopicIds(controller)
    const { topicId } = await identityOfTopic(controller, options.topic)
    return new KafkaLog(options, kafka, { ...found, topicId }, clusters)
  } catch (error) {
    await Promise.all(opened.map((cluster) => cluster.disconnect().catch(() => {})))
    throw error
  }
}

async function withAdmin<T>(kafka: Kafka, action: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin()
  try {
    await admin.connect()
    return await action(admin)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

async function connect(cluster: KafkaCluster, topic: string): Promise<void> {
  await cluster.connect()
  await cluster.addTargetTopic(topic)
}

interface Clusters {
  readonly produce: KafkaCluster
  readonly fetch: KafkaCluster
  /** For positions and ends of partitions, and to leave groups. */
  readonly ask: KafkaCluster
}

class KafkaLog implements Log {
  readonly topic: string
  #partitionCount: number
  /** Of the topic that was there when this was opened, or when it was last seen to have been made anew. */
  #topicId: string
  readonly #options: KafkaLogOptions
  readonly #kafka: Kafka
  readonly #clusters: Clusters
  readonly #appender: KafkaAppender
  readonly #fetcher: KafkaFetcher
  readonly #members = new Set<KafkaMember>()
  #closed = false

  constructor(
    options: KafkaLogOptions,
    kafka: Kafka,
    found: KafkaTopic & { readonly topicId: string },
    clusters: Clusters,
  ) {
    const { topic, logger } = options
    const { partitionCount, batchBytesMax } = found
    this.topic = topic
    this.#partitionCount = partitionCount
    this.#topicId = found.topicId
    this.#options = options
    this.#kafka = kafka
    this.#clusters = clusters
    this.#appender = new KafkaAppender(clusters.produce, topic, partitionCount, batchBytesMax, logger)
    this.#fetcher = new KafkaFetcher(clusters.fetch, topic, () => this.id())
  }

  get partitionCount(): number {
    return this.#partitionCount
  }

  async append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number> {
    this.#assertOpen()
    assertPartition(partition, this.partitionCount)
    assertRecordSize(value, limits.recordBytesMax)
    return this.#appender.append(partition, stamp, value)
  }

  /** @throws LOG_PARTITIONS_MISMATCH if the topic was made again with other partitions */
  async id(): Promise<string> {
    const { topicId, partitionCount } = await this.#identity()
    if (topicId === this.#topicId || partitionCount === this.partitionCount) {
      this.#topicId = topicId
      return topicId
    }
    throw new PenstockError(
      'LOG_PARTITIONS_MISMATCH',
      `topic ${this.topic} was made again with ${partitionCount} partitions instead of ${this.partitionCount}; devices are spread by that number`,
    )
  }

  async join(group: string, onAssigned: (assignment: Assignment) => void): Promise<GroupMember> {
    this.#assertOpen()
    const { topic, logger, sessionMs = sessionMsDefault } = this.#options
    const cluster = createCluster(this.#kafka)
    await connect(cluster, topic)
    const member = new KafkaMember(cluster, this.#fetcher, {
      group,
      topic,
      partitionCount: () => this.partitionCount,
      refreshPartitions: () => this.refreshPartitions(),
      sessionMs,
      asking: this.#clusters.ask,
      logger,
      onAssigned,
    })
    this.#members.add(member)
    member.start()
    return {
      close: async () => {
        this.#members.delete(member)
        await member.close()
      },
    }
  }

  async positions(group: string): Promise<(GroupPosition | undefined)[]> {
    const partitions = Array.from({ length: this.partitionCount }, (_, partition) => partition)
    const positions = await this.#ask(async (cluster) =>
      positionsOf(await cluster.findGroupCoordinator({ groupId: group }), group, this.topic, partitions),
    )
    return partitions.map((partition) => positions.get(partition))
  }

  async ranges(): Promise<PartitionRange[]> {
    // Partitions may be added while Kafka is asked.
    const { partitionCount } = this
    const [first, next] = await this.#ask((cluster) =>
      Promise.all([this.#ends(cluster, earliestTimestamp), this.#ends(cluster, latestTimestamp)]),
    )
    return Array.from({ length: partitionCount }, (_, partition) => {
      const range = { first: first.get(partition), next: next.get(partition) }
      assert(range.first !== undefined && range.next !== undefined, `Kafka says where partition ${partition} ends`)
      // Asked for at two moments, between which retention may have gone on.
      return { first: Math.min(range.first, range.next), next: range.next }
    })
  }

  async read(partition: number, offset: number, bytesMax: number): Promise<LogRecord[]> {
    this.#assertOpen()
    assertPartition(partition, this.partitionCount)
    return this.#fetcher.read(partition, offset, bytesMax, 0)
  }

  async grow(partitionCount: number): Promise<void> {
    this.#assertOpen()
    try {
      await withAdmin(this.#kafka, (admin) => growTopic(admin, this.topic, partitionCount))
    } catch (error) {
      if (isPenstockError(error)) throw error
      throw new PenstockError('LOG_UNAVAILABLE', `Kafka ${faultText(error)}`, { cause: error })
    }
    await this.refreshPartitions()
  }

  async refreshPartitions(): Promise<void> {
    const { topicId, partitionCount } = await this.#identity()
    if (topicId !== this.#topicId || partitionCount <= this.partitionCount) return
    const clusters: readonly KafkaCluster[] = Object.values(this.#clusters)
    await Promise.all(clusters.map((cluster) => cluster.refreshMetadata()))
    if (clusters.some((cluster) => cluster.findTopicPartitionMetadata(this.topic).length < partitionCount))
      throw this.#unknownPartitions()
    this.#appender.grow(partitionCount)
    this.#partitionCount = Math.max(this.#partitionCount, partitionCount)
    for (const member of this.#members) member.divideAnew()
  }

  /** Kafka removes records by the topic's own settings; there is nothing to do here. */
  async retain(): Promise<RetentionResult> {
    this.#assertOpen()
    return { removedRecords: 0, lostRecords: 0, keptBytes: 0, overLimitBytes: 0 }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([...this.#members].map((member) => member.close()))
    await this.#appender.close(closeMsMax)
    this.#fetcher.close()
    await Promise.all(
      Object.values(this.#clusters).map((cluster: KafkaCluster) => cluster.disconnect().catch(() => {})),
    )
  }

  async #ends(cluster: KafkaCluster, timestamp: number): Promise<Map<number, number>> {
    const byLeader = new Map<number, number[]>()
    const known = cluster.findTopicPartitionMetadata(this.topic)
    // A broker that is behind: another one knows them.
    if (known.length < this.partitionCount) throw this.#unknownPartitions()
    for (const { partitionId, leader } of known) byLeader.set(leader, [...(byLeader.get(leader) ?? []), partitionId])
    const ends = new Map<number, number>()
    for (const [nodeId, partitions] of byLeader) {
      const broker = await cluster.findBroker({ nodeId })
      const topics = [{ topic: this.topic, partitions: partitions.map((partition) => ({ partition, timestamp })) }]
      const { responses } = await broker.listOffsets({ replicaId: -1, isolationLevel: 0, topics })
      const found = answersOf(responses, this.topic, partitions)
      for (const partition of partitions)
        ends.set(partition, offsetFrom(found.get(partition)?.offset, `an end of partition ${partition}`))
    }
    return ends
  }

  #identity(): Promise<TopicIdentity> {
    return this.#ask(async (cluster) => identityOfTopic(await cluster.findControllerBroker(), this.topic))
  }

  /** A question that may be asked again. @throws LOG_UNAVAILABLE */
  async #ask<T>(question: (cluster: KafkaCluster) => Promise<T>): Promise<T> {
    const cluster = this.#clusters.ask
    const attempt = async (failures: number): Promise<T> => {
      if (failures > 0) await reconnect(cluster)
      this.#assertOpen()
      return question(cluster)
    }
    try {
      return await retry(attempt, {
        backOff: kafkaBackOff,
        clock: systemClock,
        isRetryable: (error, failures) => !isPenstockError(error, 'LOG_CLOSED') && failures <= askFailuresMax,
      })
    } catch (error) {
      if (isPenstockError(error, 'LOG_CLOSED')) throw error
      throw new PenstockError('LOG_UNAVAILABLE', `Kafka ${faultText(error)}`, { cause: error })
    }
  }

  #unknownPartitions(): PenstockError {
    return new PenstockError('LOG_UNAVAILABLE', `not every broker knows all partitions of topic ${this.topic} yet`)
  }

  #assertOpen(): void {
    if (this.#closed) throw new PenstockError('LOG_CLOSED', `log ${this.topic} is closed`)
  }
}
