/**
 * The door to `kafkajs`. Of it, this log uses the connections and the protocol (`Cluster`, `Broker`), not its producer and
 * consumer:
 *
 * - Its producer shares one sequence over concurrent requests to several brokers: when one of them fails, the other's records
 *   are sent again under new numbers and may be doubled, or another batch takes a failed one's numbers and is dropped as its
 *   duplicate. `kafka-appender.ts` keeps a sequence and one request in flight for each partition.
 * - Its consumer commits under the generation the member has now, not the one a partition was assigned under, and pushes
 *   records instead of waiting to be asked. `kafka-member.ts` and `kafka-fetcher.ts` do that.
 * - It reads a topic by its name, which may be another topic's by now. `kafka-topic-id.ts` does by its id.
 *
 * `Cluster` and `Broker` are not in kafkajs's published types; the part used here is typed below, for the exact version that
 * package.json names.
 */
import { createRequire } from 'node:module'
import { connect, type Socket } from 'node:net'
import kafkajs, { type ISocketFactoryArgs, type Kafka, type logCreator } from 'kafkajs'
import type { Logger } from '#runtime/logger.ts'

export interface KafkaRecord {
  readonly offset: string
  readonly timestamp: string
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | string | undefined>>
  readonly isControlRecord?: boolean
}

export interface KafkaBroker {
  /** By API key; known once connected. */
  readonly versions: Readonly<Record<number, { readonly maxVersion: number }>>
  produce(request: {
    acks: number
    timeout: number
    producerId: unknown
    producerEpoch: number
    topicData: readonly { topic: string; partitions: readonly ProducedPartition[] }[]
  }): Promise<{ topics: readonly { partitions: readonly { partition: number; baseOffset: string }[] }[] }>
  listOffsets(request: {
    replicaId: number
    isolationLevel: number
    topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[]
  }): Promise<{ responses: readonly { partitions: readonly { partition: number; offset: string }[] }[] }>
  initProducerId(request: { transactionTimeout: number }): Promise<{ producerId: unknown; producerEpoch: number }>
  joinGroup(request: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    groupProtocols: readonly { name: string; metadata: Buffer }[]
  }): Promise<{
    generationId: number
    leaderId: string
    memberId: string
    members: readonly { memberId: string; memberMetadata: Buffer }[]
  }>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  offsetCommit(request: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: readonly {
      topic: string
      partitions: readonly { partition: number; offset: string; metadata: string }[]
    }[]
  }): Promise<unknown>
  offsetFetch(request: {
    groupId: string
    topics: readonly { topic: string; partitions: readonly { partition: number }[] }[]
  }): Promise<{
    responses: readonly { partitions: readonly { partition: number; offset: string; metadata: string | null }[] }[]
  }>
}

export interface ProducedPartition {
  readonly partition: number
  readonly firstSequence: number
  readonly messages: readonly { readonly key: null; readonly value: Buffer; readonly headers: Record<string, string> }[]
}

export interface KafkaCluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { partitionId: number; leader: number }[]
  findBroker(node: { nodeId: number }): Promise<KafkaBroker>
  findControllerBroker(): Promise<KafkaBroker>
  findGroupCoordinator(group: { groupId: string }): Promise<KafkaBroker>
}

/** A request without an answer for so long failed; its outcome is then unknown. */
const requestMsMax = 10_000

/** Quick and few: the callers here go on by themselves for as long as it makes sense. */
const retry = { retries: 2, initialRetryTime: 50, maxRetryTime: 500 }

export function createKafka(brokers: readonly string[], logger: Logger): Kafka {
  forgetBrokenAnswers()
  return new kafkajs.Kafka({
    clientId: 'penstock',
    brokers: brokers.map(withoutColons),
    socketFactory,
    connectionTimeout: 5_000,
    requestTimeout: requestMsMax,
    retry,
    logLevel: kafkajs.logLevel.ERROR,
    logCreator: logCreatorFor(logger),
  })
}

/** kafkajs takes a broker's name to end at its first colon, and an IPv6 address is full of them. Names of this form mean nothing else. */
const literalSuffix = '.ipv6-literal.net'

function withoutColons(broker: string): string {
  const [, address, port] = /^\[([^\]]+)\]:(\d+)$/.exec(broker) ?? []
  return address === undefined ? broker : `${address.replaceAll(':', '-')}${literalSuffix}:${port}`
}

const keepAliveDelayMs = 60_000

function socketFactory({ host, port, onConnect }: ISocketFactoryArgs): Socket {
  const address = host.endsWith(literalSuffix) ? host.slice(0, -literalSuffix.length).replaceAll('-', ':') : host
  return connect({ host: address, port }, onConnect).setKeepAlive(true, keepAliveDelayMs)
}

interface KafkaConnection {
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  isConnected(): boolean
  connect(): Promise<unknown>
}

/** Bytes of the length before each answer. */
const answerLengthBytes = 4

let forgetsBrokenAnswers = false

/**
 * kafkajs connects again with the same object, and takes the answer that the old connection broke in the middle of for the
 * beginning of the new one's first: no answer is understood from then on, and every request times out for ever.
 */
function forgetBrokenAnswers(): void {
  if (forgetsBrokenAnswers) return
  forgetsBrokenAnswers = true
  const { prototype }: { prototype: KafkaConnection } = createRequire(import.meta.url)('kafkajs/src/network/connection')
  const { connect } = prototype
  prototype.connect = function (this: KafkaConnection) {
    if (!this.isConnected()) {
      this.chunks = []
      this.bytesBuffered = 0
      this.bytesNeeded = answerLengthBytes
    }
    return connect.call(this)
  }
}

/** kafkajs calls errors what its callers retry; here whoever gives up says so. */
function logCreatorFor(logger: Logger): logCreator {
  return () =>
    ({ log: { message, logger: _, timestamp: __, stack: ___, ...fields } }) =>
      logger.debug(`kafkajs: ${message}`, fields)
}

/** Connections of their own, so that one use (a long poll, a join) never keeps another waiting. */
export function createCluster(kafka: Kafka): KafkaCluster {
  const create = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  const factory: unknown = create && Reflect.get(kafka, create)
  if (typeof factory !== 'function') throw new Error('this is not the version of kafkajs that package.json names')
  return factory({ metadataMaxAge: 300_000, allowAutoTopicCreation: false })
}

/** Kafka's own name of an error (`NOT_ENOUGH_REPLICAS`), or kafkajs's class name. */
export function faultType(error: unknown): string {
  if (!(error instanceof Error)) return 'UNKNOWN'
  if ('type' in error && typeof error.type === 'string') return error.type
  return error.cause instanceof Error ? faultType(error.cause) : error.name
}

/** Resolves after a pause that grows with the number of failures, up to a second. */
export function backoff(failures: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(1_000, 25 * 2 ** Math.min(failures, 10))))
}
