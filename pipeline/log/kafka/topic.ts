import kafkajs, { type Admin } from 'kafkajs'
import { faultType, kafkaBackOff } from '#pipeline/kafka/client.ts'
import { systemClock } from '#runtime/clock.ts'
import { retry } from '#runtime/retry.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { KafkaLogOptions } from './../log-options.ts'
import { partitionCountDefault } from '../partition-count.ts'
import { warnOfDifferences } from './topic-differences.ts'

/** What a record batch takes beyond its largest record: its own head, the record's lengths and headers. */
export const batchOverheadBytes = 64 * 1024

/** Of a topic that was just made; more is no delay of a moment. */
const metadataFailuresMax = 10

/** Kafka's word for no limit of retention. */
const unlimited = -1

/** `max.message.bytes` limits a whole record batch. */
export const messageBytesMax = limits.recordBytesMax + batchOverheadBytes

export interface KafkaTopic {
  readonly partitionCount: number
  /** Largest record batch that it takes. */
  readonly batchBytesMax: number
}

/** Creates the topic, or checks the one that exists. @throws LOG_PARTITIONS_MISMATCH */
export async function ensureTopic(admin: Admin, options: KafkaLogOptions): Promise<KafkaTopic> {
  const { topic, partitionCount, replicas, retention } = options
  const entries = Object.entries({
    'max.message.bytes': messageBytesMax,
    'retention.ms': retention === 'none' ? unlimited : retention.ageMsMax,
    'retention.bytes': retention === 'none' ? unlimited : retention.partitionBytesMax,
    'min.insync.replicas': Math.floor(replicas / 2) + 1,
    // Batches are compressed blocks already.
    'compression.type': 'uncompressed',
    'cleanup.policy': 'delete',
    // Age counts from arrival, whatever an edge's clock says; the stamps carry the edge's times.
    'message.timestamp.type': 'LogAppendTime',
    'unclean.leader.election.enable': 'false',
  })
  try {
    await admin.createTopics({
      waitForLeaders: true,
      topics: [
        {
          topic,
          numPartitions: partitionCount ?? partitionCountDefault(),
          replicationFactor: replicas,
          configEntries: entries.map(([name, value]) => ({ name, value: String(value) })),
        },
      ],
    })
  } catch (error) {
    const type = faultType(error)
    // Kafka asks for the right to make a topic before it looks whether there is one.
    const mayUseOnly = type.endsWith('_AUTHORIZATION_FAILED') && (await admin.listTopics()).includes(topic)
    if (type !== 'TOPIC_ALREADY_EXISTS' && !mayUseOnly) throw error
  }
  const found = await partitionsOf(admin, topic)
  const wanted = Object.fromEntries(entries)
  await warnOfDifferences(
    admin,
    topic,
    {
      replicas,
      'min.insync.replicas': Number(wanted['min.insync.replicas']),
      'retention.ms': Number(wanted['retention.ms']),
      'retention.bytes': Number(wanted['retention.bytes']),
    },
    options.logger,
  )
  if (partitionCount !== undefined && found % partitionCount !== 0)
    throw new PenstockError(
      'LOG_PARTITIONS_MISMATCH',
      `topic ${topic} has ${found} partitions, the settings say ${partitionCount}. Leave PENSTOCK_PARTITIONS out, or set it to ${found}; penstock grow-partitions makes them more`,
    )
  return { partitionCount: found, batchBytesMax: await checkSettings(admin, options) }
}

/** Adds partitions until there are so many, and waits until each has a leader. */
export async function growTopic(admin: Admin, topic: string, partitionCount: number): Promise<void> {
  if ((await partitionsOf(admin, topic)) >= partitionCount) return
  await admin.createPartitions({ topicPartitions: [{ topic, count: partitionCount }] })
  const grown = async (): Promise<void> => {
    const found = await partitionsOf(admin, topic)
    if (found < partitionCount)
      throw new PenstockError('LOG_UNAVAILABLE', `topic ${topic} has ${found} of ${partitionCount} partitions so far`)
  }
  await retry(grown, {
    backOff: kafkaBackOff,
    clock: systemClock,
    isRetryable: (_, failures) => failures <= metadataFailuresMax,
  })
}

/** A topic that was just created may not be known to every broker yet. */
async function partitionsOf(admin: Admin, topic: string): Promise<number> {
  const ask = async (): Promise<number> => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0]?.partitions ?? []
    if (partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)) return partitions.length
    throw new PenstockError('LOG_UNAVAILABLE', `topic ${topic} has partitions without a leader`)
  }
  return retry(ask, {
    backOff: kafkaBackOff,
    clock: systemClock,
    isRetryable: (_, failures) => failures <= metadataFailuresMax,
  })
}

/** Says what an existing topic lacks. @returns largest record batch it takes */
async function checkSettings(admin: Admin, { topic, logger }: KafkaLogOptions): Promise<number> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }],
  })
  const setting = (name: string) => resources[0]?.configEntries.find((entry) => entry.configName === name)?.configValue
  const bytes = Number(setting('max.message.bytes') ?? messageBytesMax)
  if (bytes < messageBytesMax)
    logger.warn('the topic takes smaller records than batches may become; larger ones will be refused', {
      topic,
      'max.message.bytes': bytes,
      wanted: messageBytesMax,
    })
  if (setting('cleanup.policy')?.includes('compact'))
    logger.error('the topic is compacted: Kafka will remove batches that were not delivered', { topic })
  return bytes
}
