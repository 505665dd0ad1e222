/**
 * The usual Node pipeline, kept small and as good as it gets without leaving that shape, to be measured beside Penstock:
 *
 *   aedes ── one Kafka record a message, gathered for some milliseconds, acks=all, PUBACK after it ──▶ Kafka
 *   Kafka ── kafkajs consumer (a process of its own) ── INSERT … JSONEachRow, then commit ──▶ ClickHouse
 *
 * Usage: node infra/run.js loadtest/peers/aedes-pipeline.ts --port 1884 --kafka 127.0.0.1:9092 --clickhouse http://127.0.0.1:8123
 * Prints `ready` and its process ids. The table is peer.telemetry, so `npm run loadtest -- --table peer.telemetry` reconciles it.
 */
import { fork } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createClient } from '@clickhouse/client'
import { Aedes, type AedesPublishPacket, type Client } from 'aedes'
import { Kafka, logLevel, type Message } from 'kafkajs'

interface PeerOptions {
  readonly port: number
  readonly kafka: string
  readonly clickhouse: string
  readonly topic: string
  readonly partitions: number
}

const table = 'peer.telemetry'
const gatherMs = 5
/** Both keep a produce request below Kafka's default message.max.bytes, even if all its records are of one partition. */
const gatherRecordsMax = 5_000
const gatherBytesMax = 900_000
/** Key, lengths and timestamp beside a record's value. */
const recordOverheadBytesMax = 64
const insertRowsMax = 100_000

async function startPipeline(options: PeerOptions): Promise<void> {
  const kafka = kafkaOf(options)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic: options.topic, numPartitions: options.partitions }],
    waitForLeaders: true,
  })
  await admin.disconnect()
  const consumer = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--role', 'consumer'])
  await new Promise<void>((resolve) => consumer.once('message', () => resolve()))
  consumer.once('exit', () => process.exit(1))
  await runBroker(kafka, options)
  process.stdout.write(`ready ${JSON.stringify({ brokerPid: process.pid, consumerPid: consumer.pid })}\n`)
}

async function runBroker(kafka: Kafka, options: PeerOptions): Promise<void> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const gathering = new RecordGatherer((messages) => producer.send({ topic: options.topic, acks: -1, messages }))
  const broker = await Aedes.createBroker({
    concurrency: 10_000,
    published: (packet: AedesPublishPacket, client: Client | null, done: (error?: Error | null) => void) => {
      if (!client || packet.topic.startsWith('$')) {
        done()
        return
      }
      gathering.add({ key: client.id, value: packet.payload as Buffer, timestamp: String(Date.now()) }, done)
    },
  })
  broker.on('clientError', (client, error) => process.stderr.write(`client ${client.id}: ${error.message}\n`))
  const server = createServer({ noDelay: true }, (socket) => broker.handle(socket))
  await new Promise<void>((resolve) => server.listen({ port: options.port, host: '127.0.0.1', backlog: 4096 }, resolve))
}

/** Gathers records for a few milliseconds; one request is under way at a time, so that order is kept. */
class RecordGatherer {
  readonly #send: (messages: Message[]) => Promise<unknown>
  #messages: Message[] = []
  #done: ((error?: Error | null) => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #isSending = false

  constructor(send: (messages: Message[]) => Promise<unknown>) {
    this.#send = send
  }

  add(message: Message, done: (error?: Error | null) => void): void {
    this.#messages.push(message)
    this.#done.push(done)
    if (this.#messages.length >= gatherRecordsMax) void this.#flush()
    else this.#timer ??= setTimeout(() => void this.#flush(), gatherMs)
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#isSending || this.#messages.length === 0) return
    this.#isSending = true
    const count = countOfRequest(this.#messages)
    const messages = this.#messages.splice(0, count)
    const done = this.#done.splice(0, count)
    const error = await this.#send(messages).then(
      () => null,
      (cause: Error) => cause,
    )
    if (error) process.stderr.write(`Kafka did not take ${messages.length} records: ${error.message}\n`)
    this.#isSending = false
    for (const each of done) each(error)
    if (this.#messages.length > 0) this.#timer ??= setTimeout(() => void this.#flush(), 0)
  }
}

/** How many of the waiting messages one request takes; one at least. */
function countOfRequest(messages: readonly Message[]): number {
  let count = 0
  for (let bytes = 0; count < Math.min(messages.length, gatherRecordsMax); count++) {
    bytes += (messages[count]?.value?.length ?? 0) + recordOverheadBytesMax
    if (bytes > gatherBytesMax && count > 0) break
  }
  return count
}

async function runConsumer(options: PeerOptions): Promise<void> {
  const clickhouse = createClient({ url: options.clickhouse })
  await clickhouse.command({ query: 'CREATE DATABASE IF NOT EXISTS peer' })
  await clickhouse.command({
    query: `CREATE TABLE IF NOT EXISTS ${table} (device_id String, enqueued_at DateTime64(3, 'UTC'), body String,
      properties Map(LowCardinality(String), String), system_properties Map(LowCardinality(String), String),
      log_partition UInt32, log_offset UInt64)
      ENGINE = MergeTree PARTITION BY toDate(enqueued_at) ORDER BY (device_id, enqueued_at)`,
  })
  const consumer = kafkaOf(options).consumer({
    groupId: `${options.topic}-clickhouse`,
    maxBytesPerPartition: 8 << 20,
    maxWaitTimeInMs: 200,
  })
  await consumer.connect()
  await consumer.subscribe({ topic: options.topic, fromBeginning: true })
  await consumer.run({
    partitionsConsumedConcurrently: options.partitions,
    eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
      for (let from = 0; from < batch.messages.length; from += insertRowsMax) {
        const messages = batch.messages.slice(from, from + insertRowsMax)
        await clickhouse.insert({
          table,
          format: 'JSONEachRow',
          values: messages.map(({ key, value, timestamp, offset }) => ({
            device_id: key?.toString() ?? '',
            enqueued_at: new Date(Number(timestamp)).toISOString().slice(0, 23).replace('T', ' '),
            body: value?.toString() ?? '',
            properties: {},
            system_properties: {},
            log_partition: batch.partition,
            log_offset: offset,
          })),
        })
        resolveOffset(messages.at(-1)?.offset ?? '')
        await heartbeat()
      }
    },
  })
  process.send?.('ready')
  process.on('disconnect', () => process.exit(0))
}

function kafkaOf({ kafka }: PeerOptions): Kafka {
  return new Kafka({ clientId: 'peer', brokers: kafka.split(','), logLevel: logLevel.ERROR })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '1884' },
      kafka: { type: 'string', default: '127.0.0.1:9092' },
      clickhouse: { type: 'string', default: 'http://127.0.0.1:8123' },
      topic: { type: 'string', default: 'peer.telemetry' },
      partitions: { type: 'string', default: '4' },
      role: { type: 'string', default: 'broker' },
    },
  })
  const options = { ...values, port: Number(values.port), partitions: Number(values.partitions) }
  if (values.role === 'consumer') await runConsumer(options)
  else await startPipeline(options)
}

if (import.meta.main) await main()
