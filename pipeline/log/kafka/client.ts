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
 * - Its own TLS reads no file again, and its OAUTHBEARER takes a refusal for a consent. `kafka-socket.ts` and `kafka-oauth.ts` do
 *   these; PLAIN and SCRAM are its own.
 *
 * `Cluster` and `Broker` are not in kafkajs's published types; the part used here is typed below, for the exact version that
 * package.json names.
 */
import { createRequire } from 'node:module'
import kafkajs, { type Kafka, type logCreator, type SASLOptions } from 'kafkajs'
import { sleep, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type BackOff, pauseMs } from '#runtime/retry.ts'
import type { KafkaAccess, KafkaPassword } from '../kafka-access.ts'
import { accessFault, causeOf } from './access-fault.ts'
import type { TopicAnswer } from './answers.ts'
import { oauthMechanism } from './oauth.ts'
import { kafkaSockets, withoutColons } from './socket.ts'

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

/** @throws TLS_FILES_INVALID */
export function createKafka(brokers: readonly string[], access: KafkaAccess, logger: Logger): Kafka {
  mendConnections()
  const { sasl } = access
  return new kafkajs.Kafka({
    clientId: 'penstock',
    brokers: brokers.map(withoutColons),
    socketFactory: kafkaSockets(access, logger),
    ...(sasl === undefined
      ? {}
      : { sasl: sasl.mechanism === 'oauthbearer' ? oauthMechanism(sasl) : ownMechanism(sasl) }),
    reauthenticationThreshold: reauthenticationMs,
    connectionTimeout: 5_000,
    requestTimeout: requestMsMax,
    retry,
    logLevel: kafkajs.logLevel.ERROR,
    logCreator: logCreatorFor(logger),
  })
}

/** A copy, in which kafkajs keeps things. Its types want the mechanisms one by one. */
function ownMechanism(password: KafkaPassword): SASLOptions {
  return { ...password } as SASLOptions
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

/** What to say of an error after "Kafka": what mends it where that is known, else its type. */
export function faultText(error: unknown): string {
  return accessFault(error)?.text ?? `cannot be used: ${faultType(error)}`
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
