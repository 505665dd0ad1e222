/** Topics of a real Kafka, as its own consumer shows them. */
import { Readable } from 'node:stream'
import { zstdDecompress } from 'node:zlib'
import avsc from 'avsc'
import kafkajs, { type Admin } from 'kafkajs'
import { type CommittedRecord, type KafkaReader, startKafkaReader } from '#infra/testbed/kafka-reader.ts'
import { type SecuredKafka, startSecuredKafka } from '#infra/testbed/secured-kafka.ts'
import type { TestMessage } from '#pipeline/endpoints/selected-fixture.ts'
import { kafkaBackOff } from '#pipeline/kafka/client.ts'
import { systemClock } from '#runtime/clock.ts'
import { retry } from '#runtime/retry.ts'
import type { Envelope } from '#schemas/batch.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'

const metadataFailuresMax = 10

export class TestTopics {
  /** Asks nothing of who comes over its plain listener. */
  readonly secured: SecuredKafka
  readonly admin: Admin
  readonly #reader: KafkaReader

  constructor(secured: SecuredKafka, reader: KafkaReader) {
    this.secured = secured
    this.#reader = reader
    this.admin = new kafkajs.Kafka({ brokers: [...secured.kafka.brokers], logLevel: kafkajs.logLevel.NOTHING }).admin()
  }

  async create(topic: string, numPartitions: number, settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
    await this.admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions, configEntries }] })
    // What was just made, or made again, may not be known yet.
    await retry(() => this.admin.fetchTopicMetadata({ topics: [topic] }), {
      backOff: kafkaBackOff,
      clock: systemClock,
      isRetryable: (_, failures) => failures <= metadataFailuresMax,
    })
  }

  async records(topic: string): Promise<readonly CommittedRecord[]> {
    return await this.#reader.read(topic)
  }

  /** Partition by partition, in their order. */
  async messages(topic: string, format: KafkaSettings['format'] = 'messages'): Promise<readonly TestMessage[]> {
    const records = await this.records(topic)
    if (format === 'messages')
      return records.map(({ key, value }) => ({ deviceId: key?.toString() ?? '', body: value.toString() }))
    const envelopes = await Promise.all(records.map(({ value }) => envelopesOf(value)))
    return envelopes.flat().map(({ deviceId, body }) => ({ deviceId, body: Buffer.from(body).toString() }))
  }

  async stop(): Promise<void> {
    await this.admin.disconnect()
    await this.#reader.stop()
    await this.secured.stop()
  }
}

export async function startTestTopics(): Promise<TestTopics> {
  const secured = await startSecuredKafka()
  try {
    const topics = new TestTopics(secured, await startKafkaReader(secured.kafka.bootstrap))
    await topics.admin.connect()
    return topics
  } catch (error) {
    await secured.stop()
    throw error
  }
}

/** Messages of an Avro file, as `avsc` reads it by the schema that the file itself holds. */
async function envelopesOf(file: Buffer): Promise<Envelope[]> {
  const decoder = new avsc.streams.BlockDecoder({ codecs: { zstandard: zstdDecompress } })
  return await Readable.from([file]).pipe(decoder).toArray()
}

export function kafkaSettings(brokers: string, topic: string, changes: Partial<KafkaSettings> = {}): KafkaSettings {
  return {
    brokers,
    topic,
    markerTopic: undefined,
    tls: 'off',
    ca: undefined,
    certificate: undefined,
    key: undefined,
    sasl: 'none',
    user: undefined,
    password: undefined,
    format: 'messages',
    compression: 'zstd',
    delayMs: 250,
    ...changes,
  }
}
