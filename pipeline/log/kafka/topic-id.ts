/**
 * Requests by topic id, which kafkajs 2.2.4 does not know. A topic that is deleted and made again keeps its name and gets another id:
 * whoever asks by name reads the new one at the old one's offsets and sees nothing amiss; whoever asks by id is refused. Kafka 3.1.
 *
 *   request   [header v2: tagged fields]  body        COMPACT types: lengths are UVARINT, one more than they say, 0 is null;
 *   response  [header v1: tagged fields]  body        every structure ends with tagged fields (KIP-482)
 *
 * Layouts: Metadata v12 and Fetch v13 in https://kafka.apache.org/protocol.
 */
import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import type { KafkaBroker, KafkaRecord } from '#pipeline/kafka/client.ts'
import { type Decoder, type Encoder, KafkaDecoder, KafkaEncoder, sendRequest } from '#pipeline/kafka/request.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'

const required = createRequire(import.meta.url)
const decodeMessages: (decoder: object) => Promise<KafkaRecord[]> = required(
  'kafkajs/src/protocol/requests/fetch/v4/decodeMessages',
)
const errorFromCode: (code: number) => Error = required('kafkajs/src/protocol/error').createErrorFromCode

const fetchApi = { apiKey: 1, apiName: 'Fetch', apiVersion: 13 }
const metadataApi = { apiKey: 3, apiName: 'Metadata', apiVersion: 12 }

const idBytes = 16
const noId = Buffer.alloc(idBytes)
const noTags = 0

/** Codes that kafkajs has no name for. */
const idFaults: Readonly<Record<number, string>> = { 100: 'UNKNOWN_TOPIC_ID', 103: 'INCONSISTENT_TOPIC_ID' }

/** True if the broker does not know a topic of this id: it is gone, or the broker is behind. */
export function isTopicIdFault(type: string): boolean {
  return Object.values(idFaults).includes(type)
}

/** @throws LOG_SERVER_TOO_OLD */
export function assertKnowsTopicIds({ versions }: KafkaBroker): void {
  for (const { apiKey, apiName, apiVersion } of [fetchApi, metadataApi]) {
    const { maxVersion = 0 } = versions[apiKey] ?? {}
    if (maxVersion < apiVersion)
      throw new PenstockError(
        'LOG_SERVER_TOO_OLD',
        `this Kafka speaks ${apiName} up to version ${maxVersion}, and topic ids need ${apiVersion}: Kafka 3.1 or later`,
      )
  }
}

export interface TopicIdentity {
  /** 16 bytes, base64url as Kafka's own tools write it. */
  readonly topicId: string
  readonly partitionCount: number
}

/** The topic that has this name now, as the broker knows it. Never creates one. @throws Kafka's fault, as kafkajs throws it */
export async function identityOfTopic(broker: KafkaBroker, topic: string): Promise<TopicIdentity> {
  const named = new KafkaEncoder().writeBuffer(noId).writeUVarIntString(topic).writeUVarInt(noTags)
  const body = new KafkaEncoder()
    .writeUVarInt(noTags)
    .writeUVarIntArray([named])
    .writeBoolean(false)
    .writeBoolean(false)
    .writeUVarInt(noTags)
  const { faultCode, name, ...identity } = await send(broker, metadataApi, body, (decoder) => {
    decoder.readUVarIntArray(skipBroker)
    decoder.readUVarIntString()
    decoder.readInt32()
    const [found] = decoder.readUVarIntArray(readTopic) ?? []
    return found ?? { faultCode: 3, name: topic, topicId: '', partitionCount: 0 }
  })
  if (faultCode !== 0) throw errorFromCode(faultCode)
  assert(name === topic, `Kafka tells of topic ${topic}, not ${name}`)
  assert(identity.topicId !== noId.toString('base64url'), `topic ${topic} has an id`)
  assert(identity.partitionCount > 0, `topic ${topic} has partitions`)
  return identity
}

function skipBroker(decoder: Decoder): void {
  decoder.readInt32()
  decoder.readUVarIntString()
  decoder.readInt32()
  decoder.readUVarIntString()
  decoder.readTaggedFields()
}

function readTopic(decoder: Decoder): TopicIdentity & { readonly faultCode: number; readonly name: string | null } {
  const faultCode = decoder.readInt16()
  const name = decoder.readUVarIntString()
  const topicId = decoder.readBytes(idBytes).toString('base64url')
  decoder.readBoolean()
  const partitions = decoder.readUVarIntArray(skipPartition) ?? []
  decoder.readInt32()
  decoder.readTaggedFields()
  return { faultCode, name, topicId, partitionCount: partitions.length }
}

function skipPartition(decoder: Decoder): void {
  decoder.readInt16()
  for (const _ of ['partition', 'leader', 'leader epoch']) decoder.readInt32()
  for (const _ of ['replicas', 'in sync', 'offline']) decoder.readUVarIntArray((replica) => replica.readInt32())
  decoder.readTaggedFields()
}

export interface FetchRequest {
  readonly topicId: string
  readonly maxWaitMs: number
  readonly maxBytes: number
  readonly partitions: readonly { readonly partition: number; readonly offset: number; readonly maxBytes: number }[]
}

export interface FetchedPartition {
  readonly topicId: string
  readonly partition: number
  readonly faultCode: number
  readonly records: readonly KafkaRecord[]
}

/**
 * Fetches committed records of one topic. HOT: per request; the records are views of the answer.
 * @throws the first partition's fault, as kafkajs throws it
 */
export async function fetchByTopicId(broker: KafkaBroker, request: FetchRequest): Promise<readonly FetchedPartition[]> {
  const partitions = request.partitions.map(({ partition, offset, maxBytes }) =>
    new KafkaEncoder()
      .writeInt32(partition)
      .writeInt32(-1) // any leader epoch
      .writeInt64(String(offset))
      .writeInt32(-1) // last fetched epoch: replicas only
      .writeInt64('-1') // log start offset: replicas only
      .writeInt32(maxBytes)
      .writeUVarInt(noTags),
  )
  const topic = new KafkaEncoder()
    .writeBuffer(Buffer.from(request.topicId, 'base64url'))
    .writeUVarIntArray(partitions)
    .writeUVarInt(noTags)
  const body = new KafkaEncoder()
    .writeUVarInt(noTags)
    .writeInt32(-1) // no replica
    .writeInt32(request.maxWaitMs)
    .writeInt32(1) // answer as soon as there is anything
    .writeInt32(request.maxBytes)
    .writeInt8(1) // read committed
    .writeInt32(0) // no session
    .writeInt32(-1)
    .writeUVarIntArray([topic])
    .writeUVarIntArray([])
    .writeUVarIntString('') // any rack
    .writeUVarInt(noTags)
  const { faultCode, topics } = await send(broker, fetchApi, body, (decoder) => {
    const code = decoder.readInt16()
    decoder.readInt32()
    return { faultCode: code, topics: decoder.readUVarIntArray(readFetchedTopic) ?? [] }
  })
  const fetched = await Promise.all(topics.flat())
  const fault = [faultCode, ...fetched.map((partition) => partition.faultCode)].find((code) => code !== 0)
  if (fault !== undefined) throw faultOf(fault)
  for (const { topicId } of fetched)
    assert(topicId === request.topicId, `Kafka sends records of topic ${request.topicId}, not of ${topicId}`)
  return fetched
}

function readFetchedTopic(decoder: Decoder): Promise<FetchedPartition>[] {
  const topicId = decoder.readBytes(idBytes).toString('base64url')
  const partitions = decoder.readUVarIntArray((each) => readFetchedPartition(each, topicId)) ?? []
  decoder.readTaggedFields()
  return partitions
}

function readFetchedPartition(decoder: Decoder, topicId: string): Promise<FetchedPartition> {
  const partition = decoder.readInt32()
  const faultCode = decoder.readInt16()
  for (const _ of ['high watermark', 'last stable', 'log start']) decoder.readInt64()
  decoder.readUVarIntArray(skipAborted)
  decoder.readInt32()
  const bytes = decoder.readBytes(Math.max(0, decoder.readUVarInt() - 1))
  decoder.readTaggedFields()
  return recordsOf(bytes).then((records) => ({ topicId, partition, faultCode, records }))
}

function skipAborted(decoder: Decoder): void {
  decoder.readInt64()
  decoder.readInt64()
  decoder.readTaggedFields()
}

/** kafkajs reads records behind a length of the older form. */
function recordsOf(bytes: Buffer): Promise<readonly KafkaRecord[]> {
  if (bytes.length === 0) return Promise.resolve([])
  return decodeMessages({ readInt32: () => bytes.length, canReadBytes: () => true, readBytes: () => bytes })
}

function faultOf(code: number): Error {
  const type = idFaults[code]
  if (type === undefined) return errorFromCode(code)
  return new kafkajs.KafkaJSProtocolError({ type, code, retriable: true, message: 'the topic of this id' } as never)
}

/** Both answers begin with tagged fields of the header and a throttle time, which is waited for by the next request. */
function send<T>(broker: KafkaBroker, api: typeof fetchApi, body: Encoder, read: (decoder: Decoder) => T): Promise<T> {
  return sendRequest(broker, {
    request: { ...api, encode: async () => body },
    response: {
      decode: async (bytes: Buffer) => {
        const decoder = new KafkaDecoder(bytes)
        decoder.readTaggedFields()
        const clientSideThrottleTime = decoder.readInt32()
        return { throttleTime: 0, clientSideThrottleTime, read: read(decoder) }
      },
      parse: async (answer: { read: T }) => answer.read,
    },
  })
}
