/** The brokers of an endpoint, with its two topics as they are now. All partitions of a router share it. */
import { Socket } from 'node:net'
import kafkajs, { type Admin, type Kafka, type SASLOptions } from 'kafkajs'
import { held } from '#pipeline/endpoints/endpoint-error.ts'
import {
  createCluster,
  createKafka,
  faultType,
  type KafkaCluster,
  kafkaBackOff,
  reconnect,
} from '#pipeline/kafka/client.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import { retry } from '#runtime/retry.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'
import type { TopicShape } from './kafka-records.ts'
import { kafkaSockets, type SocketRequest } from './kafka-sockets.ts'

/** Kafka's own default. */
const batchBytesDefault = 1_048_588
/** Larger record batches gain nothing, and are held in memory whole. */
const batchBytesMax = 4 * 1024 * 1024
const unknownTopicMax = 10

/** One partition, so that where a mark lies never changes; the newest mark of each key stays for ever. */
const markerTopicSettings = {
  'cleanup.policy': 'compact',
  'compression.type': 'producer',
  // What is compacted is not read again to find a mark.
  'segment.bytes': 16 * 1024 * 1024,
  'segment.ms': 3_600_000,
  'min.cleanable.dirty.ratio': 0.1,
}

export class KafkaConnection {
  readonly cluster: KafkaCluster
  readonly topic: string
  readonly markerTopic: string
  readonly #kafka: Kafka
  readonly #sockets = new Set<Socket>()
  #isClosed = false
  #batchBytesMax = batchBytesDefault

  /** Nothing is connected yet. @throws EndpointError: held if certificates of the settings can't be used */
  constructor(settings: KafkaSettings, rules: OutgoingRules) {
    const { topic, markerTopic = `${topic}.penstock`, brokers } = settings
    const open = kafkaSockets(settings, rules)
    const sockets = (request: SocketRequest): Socket => {
      if (this.#isClosed) return new Socket().destroy(closed())
      const socket = open(request)
      this.#sockets.add(socket)
      return socket.once('close', () => this.#sockets.delete(socket))
    }
    this.topic = topic
    this.markerTopic = markerTopic
    this.#kafka = createKafka({ brokers: brokers.split(','), sockets, sasl: saslOf(settings), logger: silentLogger })
    this.cluster = createCluster(this.#kafka)
  }

  /** As it was some minutes ago at the most. */
  async shape(): Promise<TopicShape> {
    await this.cluster.refreshMetadataIfNecessary()
    const partitionCount = this.cluster.findTopicPartitionMetadata(this.topic).length
    return { topic: this.topic, partitionCount, batchBytesMax: this.#batchBytesMax }
  }

  /** Connects if need be, and asks what the topics are like now; makes that of marks. @throws what `kafkaFault` reads */
  async refresh(): Promise<void> {
    const { cluster, topic, markerTopic } = this
    await cluster.connect()
    await cluster.addTargetTopic(topic)
    const admin = this.#kafka.admin()
    try {
      await admin.connect()
      await ensureMarkerTopic(admin, cluster, markerTopic)
      const bytes = Number(await topicSetting(admin, topic, 'max.message.bytes').catch(unlessForbidden))
      this.#batchBytesMax = Math.min(batchBytesMax, bytes || batchBytesDefault)
      await cluster.refreshMetadata()
    } finally {
      await admin.disconnect().catch(() => {})
    }
  }

  /** To the brokers that there are now. */
  async reconnect(): Promise<void> {
    if (!this.#isClosed) await reconnect(this.cluster)
  }

  /** kafkajs connects again whenever it is asked, so what is under way gets no other socket. */
  async close(): Promise<void> {
    this.#isClosed = true
    // With an error, so that kafkajs does not wait for answers.
    for (const socket of this.#sockets) socket.destroy(closed())
    await this.cluster.disconnect().catch(() => {})
  }
}

function isUnknownTopic(error: unknown): boolean {
  return faultType(error) === 'UNKNOWN_TOPIC_OR_PARTITION'
}

const closed = (): Error => new Error('the endpoint is closed')

function saslOf({ sasl, user = '', password = '' }: KafkaSettings): SASLOptions | undefined {
  return sasl === 'none' ? undefined : ({ mechanism: sasl, username: user, password } as SASLOptions)
}

/** @throws EndpointError: held where marks would not be kept */
async function ensureMarkerTopic(admin: Admin, cluster: KafkaCluster, topic: string): Promise<void> {
  try {
    await cluster.addTargetTopic(topic)
  } catch (error) {
    if (!isUnknownTopic(error)) throw error
    await createMarkerTopic(admin, topic)
    // A topic that was just made may not be known to every broker yet.
    await retry(() => cluster.addTargetTopic(topic), {
      backOff: kafkaBackOff,
      clock: systemClock,
      isRetryable: (fault, failures) => isUnknownTopic(fault) && failures <= unknownTopicMax,
    })
  }
  const policy = await topicSetting(admin, topic, 'cleanup.policy')
  if (policy?.split(',').includes('delete') !== false)
    throw held(
      `the marker topic ${topic} is not only compacted, so its marks would be removed: kafka-configs.sh --alter --entity-type topics --entity-name ${topic} --add-config cleanup.policy=compact`,
      'InvalidMessage',
    )
}

async function createMarkerTopic(admin: Admin, topic: string): Promise<void> {
  const configEntries = Object.entries(markerTopicSettings).map(([name, value]) => ({ name, value: String(value) }))
  try {
    // As many replicas as the brokers give to topics of which nothing is said (KIP-464).
    const topics = [{ topic, numPartitions: 1, replicationFactor: -1, configEntries }]
    await admin.createTopics({ waitForLeaders: false, topics })
  } catch (error) {
    // Another process, or another partition, made it at the same moment.
    if (faultType(error) === 'TOPIC_ALREADY_EXISTS') return
    if (faultType(error).endsWith('_AUTHORIZATION_FAILED'))
      throw held(
        `there is no marker topic ${topic}, and no right to make it: make it with cleanup.policy=compact`,
        'Unauthorized',
      )
    throw error
  }
}

async function topicSetting(admin: Admin, topic: string, name: string): Promise<string | undefined> {
  const type = kafkajs.ConfigResourceTypes.TOPIC
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type, name: topic, configNames: [name] }],
  })
  return resources[0]?.configEntries.find(({ configName }) => configName === name)?.configValue
}

function unlessForbidden(error: unknown): undefined {
  if (!faultType(error).endsWith('_AUTHORIZATION_FAILED')) throw error
}
