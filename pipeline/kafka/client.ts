/**
 * The door to `kafkajs`. Of it, the log and endpoints use the connections and the protocol (`Cluster`, `Broker`), not its producer and
 * consumer:
 *
 * - Its producer shares one sequence over concurrent requests to several brokers: when one of them fails, the other's records
 *   are sent again under new numbers and may be doubled, or another batch takes a failed one's numbers and is dropped as its
 *   duplicate. The log's appender keeps a sequence and one request in flight for each partition. And what is not known of a transaction
 *   only a new epoch settles, which its producer does not ask for.
 * - Its consumer commits under the generation the member has now, not the one a partition was assigned under, and pushes
 *   records instead of waiting to be asked. Of two transactions that were aborted together it takes the second one's records for committed.
 * - It reads a topic by its name, which may be another topic's by now. `topic-id.ts` does by its id.
 * - Its own TLS reads no file again, and its OAUTHBEARER takes a refusal for a consent: whoever opens it gives sockets, and a mechanism.
 *
 * `Cluster` and `Broker` are not in kafkajs's published types; the part used here is typed below, for the exact version that
 * package.json names.
 */
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'
import kafkajs, { type ISocketFactory, type Kafka, type logCreator, type Mechanism, type SASLOptions } from 'kafkajs'
import { sleep, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type BackOff, pauseMs } from '#runtime/retry.ts'
import type { TopicAnswer } from './answers.ts'

export interface KafkaRecord {
  readonly offset: string
  readonly timestamp: string
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | string | undefined>>
  readonly isControlRecord?: boolean
}

/** As brokers answer reads that keep to what is committed. */
export interface TransactionalRecord extends KafkaRecord {
  readonly key: Buffer | null
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean }
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
  }): Promise<{
    topics: readonly {
      topicName: string
      partitions: readonly { partition: number; errorCode: number; baseOffset: string }[]
    }[]
  }>
  listOffsets(request: {
    replicaId: number
    isolationLevel: number
    topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[]
  }): Promise<{ responses: readonly TopicAnswer<{ partition: number; errorCode: number; offset: string }>[] }>
  fetch(request: {
    replicaId: number
    isolationLevel: number
    maxWaitTime: number
    minBytes: number
    maxBytes: number
    topics: readonly {
      topic: string
      partitions: readonly { partition: number; fetchOffset: string; maxBytes: number }[]
    }[]
  }): Promise<{
    responses: readonly {
      topicName: string
      partitions: readonly {
        partition: number
        errorCode: number
        lastStableOffset: string
        abortedTransactions: readonly { producerId: string; firstOffset: string }[]
        messages: readonly TransactionalRecord[]
      }[]
    }[]
  }>
  initProducerId(request: {
    transactionTimeout: number
    transactionalId?: string
  }): Promise<{ producerId: unknown; producerEpoch: number }>
  addPartitionsToTxn(request: {
    transactionalId: string
    producerId: unknown
    producerEpoch: number
    topics: readonly { topic: string; partitions: readonly number[] }[]
  }): Promise<unknown>
  endTxn(request: {
    transactionalId: string
    producerId: unknown
    producerEpoch: number
    transactionResult: boolean
  }): Promise<unknown>
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
  /** @param request `coordinatorType` 1: `groupId` is a transactional id */
  findGroupCoordinator(request: {
    groupId: string
    coordinatorType: 0 | 1
  }): Promise<{ coordinator: { nodeId: number } }>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  offsetCommit(request: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: readonly {
      topic: string
      partitions: readonly { partition: number; offset: string; metadata: string }[]
    }[]
  }): Promise<{ responses: readonly TopicAnswer<{ partition: number; errorCode: number }>[] }>
  offsetFetch(request: {
    groupId: string
    topics: readonly { topic: string; partitions: readonly { partition: number }[] }[]
  }): Promise<{
    responses: readonly TopicAnswer<{
      partition: number
      errorCode: number
      offset: string
      metadata: string | null
    }>[]
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
  /** Every five minutes. */
  refreshMetadataIfNecessary(): Promise<void>
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

/** kafkajs proves the user again so long before a session ends (KIP-368). Its own 10 s would be all of a short token's life. */
const reauthenticationMs = 3_000

export interface KafkaOptions {
  /** `host:port`; IPv6 addresses in brackets. */
  readonly brokers: readonly string[]
  /** Opens every connection, also to brokers that others name. */
  readonly sockets: ISocketFactory
  readonly sasl?: SASLOptions | Mechanism | undefined
  readonly logger: Logger
}

/** Nothing is connected yet. */
export function createKafka({ brokers, sockets, sasl, logger }: KafkaOptions): Kafka {
  mendConnections()
  kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => zstandard
  return new kafkajs.Kafka({
    clientId: 'penstock',
    brokers: brokers.map(withoutColons),
    socketFactory: sockets,
    ...(sasl === undefined ? {} : { sasl }),
    reauthenticationThreshold: reauthenticationMs,
    connectionTimeout: 5_000,
    requestTimeout: requestMsMax,
    retry,
    logLevel: kafkajs.logLevel.ERROR,
    logCreator: logCreatorFor(logger),
  })
}

/** A record batch holds no more: what decompresses to more is not one of ours. */
const decompressedBytesMax = 64 * 1024 * 1024

const zstandard = {
  compress: () => Promise.reject(new Error('what is written is compressed by `record-batch.ts`')),
  decompress: (bytes: Buffer) => promisify(zstdDecompress)(bytes, { maxOutputLength: decompressedBytesMax }),
}

/** kafkajs takes a broker's name to end at its first colon, and an IPv6 address is full of them. Names of this form mean nothing else. */
const literalSuffix = '.ipv6-literal.net'

export function withoutColons(broker: string): string {
  const [, address, port] = /^\[([^\]]+)\]:(\d+)$/.exec(broker) ?? []
  return address === undefined ? broker : `${address.replaceAll(':', '-')}${literalSuffix}:${port}`
}

/** Undoes `withoutColons`: a name, or an address without brackets. */
export function hostOf(name: string): string {
  return name.endsWith(literalSuffix) ? name.slice(0, -literalSuffix.length).replaceAll('-', ':') : name
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

let connectionsMended = false

/**
 * kafkajs connects again with the same object, and takes the answer that the old connection broke in the middle of for the
 * beginning of the new one's first: no answer is understood from then on, and every request times out for ever. And two requests
 * that find it unconnected both connect: the answers of both sockets then run into each other.
 */
function mendConnections(): void {
  if (connectionsMended) return
  connectionsMended = true
  const { prototype }: { prototype: KafkaConnection } = createRequire(import.meta.url)('kafkajs/src/network/connection')
  const { connect } = prototype
  const connecting = new WeakMap<KafkaConnection, Promise<unknown>>()
  prototype.connect = function (this: KafkaConnection) {
    const begun = connecting.get(this)
    if (begun !== undefined) return begun
    if (!this.isConnected()) {
      this.chunks = []
      this.bytesBuffered = 0
      this.bytesNeeded = answerLengthBytes
    }
    const connected = connect.call(this).finally(() => connecting.delete(this))
    connecting.set(this, connected)
    return connected
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
  const cause = causeOf(error)
  return cause instanceof Error ? faultType(cause) : error.name
}

/** What kafkajs wrapped: one error, or those of several topics, of which ours has one at a time. */
export function causeOf(error: Error): unknown {
  return 'errors' in error && Array.isArray(error.errors) ? error.errors[0] : error.cause
}

/** Between two attempts at a broker, whatever is asked of it. */
export const kafkaBackOff: BackOff = { firstMs: 25, factor: 2, maxMs: 1_000, jitter: 0 }

/** For what is tried again by another turn of the caller, not by a loop. */
export function pauseAfter(failures: number): Promise<void> {
  return sleep(systemClock, pauseMs(kafkaBackOff, failures))
}

/** To the brokers that there are now; where none answers the next request fails and says why. */
export async function reconnect(cluster: KafkaCluster): Promise<void> {
  await cluster
    .connect()
    .then(() => cluster.refreshMetadata())
    .catch(() => {})
}
