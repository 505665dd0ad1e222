/** Produce, version 7, of record batches that are encoded already: `transactional_id acks timeout [topic [partition records]]`. */
import { createRequire } from 'node:module'
import { answersOf } from './answers.ts'
import type { KafkaBroker } from './client.ts'
import { type Encoder, KafkaEncoder, type KafkaRequest, sendRequest } from './request.ts'

const produceApi = { apiKey: 0, apiName: 'Produce', apiVersion: 7 }
const allReplicas = -1

interface ProduceAnswer {
  readonly topics: readonly {
    readonly topicName: string
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number }[]
  }[]
}

const response: KafkaRequest<ProduceAnswer>['response'] = createRequire(import.meta.url)(
  'kafkajs/src/protocol/requests/produce/v7/response',
)

export interface EncodedBatch {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
}

/**
 * Resolves once all replicas in sync have them.
 * @param batches at most one a partition @param timeoutMs for the replicas
 * @throws the first partition's fault, as kafkajs throws it
 */
export async function produceBatches(
  broker: KafkaBroker,
  transactionalId: string,
  batches: readonly EncodedBatch[],
  timeoutMs: number,
): Promise<void> {
  const topics = groupedByTopic(batches)
  const body = new KafkaEncoder()
    .writeString(transactionalId)
    .writeInt16(allReplicas)
    .writeInt32(timeoutMs)
    .writeArray(Array.from(topics, ([topic, some]) => topicOf(topic, some)))
  const answer = await sendRequest(broker, { request: { ...produceApi, encode: async () => body }, response })
  const answers = answer.topics.map(({ topicName, partitions }) => ({ topic: topicName, partitions }))
  for (const [topic, some] of topics)
    answersOf(
      answers,
      topic,
      some.map(({ partition }) => partition),
    )
}

function topicOf(topic: string, batches: readonly EncodedBatch[]): Encoder {
  const partitions = batches.map(({ partition, batch }) => new KafkaEncoder().writeInt32(partition).writeBytes(batch))
  return new KafkaEncoder().writeString(topic).writeArray(partitions)
}

export function groupedByTopic<T extends { readonly topic: string }>(
  batches: readonly T[],
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const batch of batches) {
    const group = groups.get(batch.topic)
    if (group === undefined) groups.set(batch.topic, [batch])
    else group.push(batch)
  }
  return groups
}
