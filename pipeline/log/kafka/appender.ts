/**
 * Appends to a topic as an idempotent producer, one produce request in flight a leader and one batch in flight a partition.
 *
 *   append ──▶ queue of its partition ──▶ batch in flight ──(acks=all)──▶ resolved
 *                                             │    ▲
 *                                             └────┘ any failure: the same records under the same sequence, until it is known
 *
 * A batch whose fate is unknown is sent again unchanged for as long as the log is open; the broker knows it by producer id and
 * sequence and answers with its first offset. That is why a batch is never doubled or lost within one producer's life, and why
 * an append waits out an outage instead of failing. Requests carry batches of several partitions; after a failure each batch
 * goes alone until it succeeded, because kafkajs tells of one failed partition only.
 */

import { answersOf, offsetFrom } from '#pipeline/kafka/answers.ts'
import {
  faultType,
  type KafkaBroker,
  type KafkaCluster,
  type ProducedPartition,
  pauseAfter,
  reconnect,
} from '#pipeline/kafka/client.ts'
import { assert } from '#runtime/assert.ts'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { BatchStamp } from '../log.ts'
import { accessFault } from './access-fault.ts'
import { headersFromStamp } from './stamp.ts'
import { batchOverheadBytes } from './topic.ts'

/** Bytes of one produce request; well below Kafka's `socket.request.max.bytes` (100 MB). */
const requestBytesMax = 8 * 1024 * 1024

/** Sequences are 31 bits wide and begin again at 0. */
const sequenceModulus = 2 ** 31

/** The broker no longer knows the producer or its sequence (its state was deleted): begin again with a new producer id. */
const producerLost: ReadonlySet<string> = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
])

const tooLarge: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

/** What does not end by itself within seconds is worth a line in the log, and another one this often: each pause is up to a second. */
const failuresUntilTold = 8
const failuresALine = 30

interface PendingRecord {
  readonly value: Buffer
  readonly stamp: BatchStamp
  readonly resolve: (offset: number) => void
  readonly reject: (error: PenstockError) => void
}

interface Producer {
  readonly producerId: unknown
  readonly producerEpoch: number
}

interface Lane {
  readonly partition: number
  queue: PendingRecord[]
  /** Sent at least once and not known to be appended; `sequence` is the first one's. */
  inFlight: PendingRecord[]
  sequence: number
  producer: Producer | undefined
  failures: number
  busy: boolean
}

export class KafkaAppender {
  readonly #cluster: KafkaCluster
  readonly #topic: string
  readonly #batchBytesMax: number
  readonly #logger: Logger
  readonly #lanes: Lane[] = []
  readonly #busyLeaders = new Set<number>()
  readonly #idle: (() => void)[] = []
  #producer: Promise<Producer> | undefined
  #scheduled = false
  #closed = false

  constructor(cluster: KafkaCluster, topic: string, partitionCount: number, batchBytesMax: number, logger: Logger) {
    this.#cluster = cluster
    this.#topic = topic
    this.#batchBytesMax = batchBytesMax
    this.#logger = logger
    this.grow(partitionCount)
  }

  /** The topic has so many partitions now. */
  grow(partitionCount: number): void {
    for (let partition = this.#lanes.length; partition < partitionCount; partition++)
      this.#lanes.push({
        partition,
        queue: [],
        inFlight: [],
        sequence: 0,
        producer: undefined,
        failures: 0,
        busy: false,
      })
  }

  /** `value` must not change until the result is known. */
  append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      this.#lane(partition).queue.push({ value: bytes, stamp, resolve, reject })
      this.#schedule()
    })
  }

  /** Waits up to `waitMs` for what was appended, then refuses the rest: its outcome stays unknown. */
  async close(waitMs: number): Promise<void> {
    if (this.#isBusy()) {
      let timer: NodeJS.Timeout | undefined
      const drained = new Promise<void>((resolve) => this.#idle.push(resolve))
      await Promise.race([drained, new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)))])
      clearTimeout(timer)
    }
    this.#closed = true
    for (const lane of this.#lanes) {
      for (const { reject } of [...lane.inFlight, ...lane.queue])
        reject(new PenstockError('LOG_APPEND_FAILED', `Kafka did not confirm a batch before the log was closed`))
      lane.inFlight = []
      lane.queue = []
    }
  }

  #lane(partition: number): Lane {
    const lane = this.#lanes[partition]
    if (lane === undefined) throw new Error(`there is no partition ${partition}`)
    return lane
  }

  #isBusy(): boolean {
    return this.#lanes.some(({ queue, inFlight }) => queue.length + inFlight.length > 0)
  }

  /** At the end of this turn, so that appends of several partitions share a request. */
  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#sendReady()
    })
  }

  #sendReady(): void {
    if (this.#closed) return
    const byLeader = new Map<number, Lane[]>()
    const leaders = this.#leaders()
    for (const lane of this.#lanes) {
      if (lane.busy || lane.queue.length + lane.inFlight.length === 0) continue
      const leader = leaders.get(lane.partition) ?? -1
      // A batch that failed goes alone, and its request beside the leader's ordinary one.
      if (lane.failures > 0) void this.#send([lane], leader)
      else if (!this.#busyLeaders.has(leader)) byLeader.set(leader, [...(byLeader.get(leader) ?? []), lane])
    }
    for (const [leader, lanes] of byLeader) {
      this.#busyLeaders.add(leader)
      void this.#send(lanes, leader).then(() => {
        this.#busyLeaders.delete(leader)
        this.#schedule()
      })
    }
  }

  #leaders(): Map<number, number> {
    try {
      const partitions = this.#cluster.findTopicPartitionMetadata(this.#topic)
      return new Map(partitions.map(({ partitionId, leader }) => [partitionId, leader]))
    } catch {
      return new Map() // no metadata yet: the send below fails, refreshes it and tries again
    }
  }

  /** HOT: per request. Settles the batches of these lanes, or leaves them in flight for the next attempt. */
  async #send(lanes: readonly Lane[], leader: number): Promise<void> {
    const sent: Lane[] = []
    let bytes = 0
    for (const lane of lanes) {
      if (bytes > 0 && bytes >= requestBytesMax) break
      this.#fill(lane)
      bytes += lane.inFlight.reduce((sum, { value }) => sum + value.length, 0)
      lane.busy = true
      sent.push(lane)
    }
    try {
      const producer = await this.#producerOf(sent)
      const together = sent.filter((lane) => lane.producer === producer)
      const broker = await this.#cluster.findBroker({ nodeId: leader })
      const { topics } = await broker.produce({
        acks: -1,
        timeout: 10_000,
        ...producer,
        topicData: [{ topic: this.#topic, partitions: together.map(producedPartition) }],
      })
      const offsets = baseOffsetsOf(topics, this.#topic, together)
      for (const [lane, offset] of offsets) this.#appended(lane, offset)
    } catch (error) {
      await this.#failed(sent, error)
    }
    for (const lane of sent) lane.busy = false
    if (!this.#isBusy()) for (const resolve of this.#idle.splice(0)) resolve()
    this.#schedule()
  }

  /** Moves records from the queue into flight, unless a batch is in flight already: then that one is sent again. */
  #fill(lane: Lane): void {
    if (lane.inFlight.length > 0) return
    let count = 0
    let bytes = batchOverheadBytes / 2
    for (const { value } of lane.queue) {
      bytes += value.length + 512
      if (count > 0 && bytes > this.#batchBytesMax) break
      count++
    }
    lane.inFlight = lane.queue.splice(0, count)
  }

  async #producerOf(lanes: readonly Lane[]): Promise<Producer> {
    const known = lanes.find(({ producer }) => producer !== undefined)?.producer
    this.#producer ??= this.#cluster
      .findControllerBroker()
      .then((broker) => broker.initProducerId({ transactionTimeout: 60_000 }))
      .then(checkedProducer)
    const current = this.#producer
    const producer = await current.catch((error: unknown) => {
      if (this.#producer === current) this.#producer = undefined
      throw error
    })
    for (const lane of lanes) lane.producer ??= producer
    return known ?? producer
  }

  #appended(lane: Lane, baseOffset: number): void {
    const records = lane.inFlight
    lane.inFlight = []
    lane.failures = 0
    lane.sequence = (lane.sequence + records.length) % sequenceModulus
    for (const [index, { resolve }] of records.entries()) resolve(baseOffset + index)
  }

  async #failed(lanes: readonly Lane[], error: unknown): Promise<void> {
    const type = faultType(error)
    for (const lane of lanes) lane.failures++
    const [alone] = lanes
    if (lanes.length === 1 && alone !== undefined) {
      if (tooLarge.has(type)) this.#refuse(alone)
      if (producerLost.has(type)) {
        this.#logger.warn('Kafka lost the state of an idempotent producer; a new one goes on', {
          partition: alone.partition,
          type,
        })
        this.#renewProducer(alone)
      }
      if (alone.failures % failuresALine === failuresUntilTold)
        this.#logger.warn('Kafka does not confirm a batch; it is sent again', {
          partition: alone.partition,
          failures: alone.failures,
          why: accessFault(error)?.text,
          error,
        })
    }
    await pauseAfter(lanes.length === 1 ? (alone?.failures ?? 0) : 0)
    if (this.#closed) return
    await reconnect(this.#cluster)
  }

  /**
   * Kafka refused the batch whole. That is known of this attempt only: an earlier one, whose answer was lost, may have been appended
   * under a larger limit. Then its sequence is taken, and the next batch under it would be confirmed and dropped as its repetition.
   */
  #refuse(lane: Lane): void {
    const [first, ...rest] = lane.inFlight
    first?.reject(
      new PenstockError('LOG_RECORD_TOO_LARGE', `Kafka refused a record of ${first.value.length} bytes as too large`),
    )
    lane.inFlight = []
    lane.queue.unshift(...rest)
    if (lane.failures > 1) this.#renewProducer(lane)
  }

  #renewProducer(lane: Lane): void {
    this.#producer = undefined
    lane.producer = undefined
    lane.sequence = 0
  }
}

function checkedProducer(producer: Producer): Producer {
  const { producerId, producerEpoch } = producer
  assert(Number(producerId) >= 0, `a producer has an id, not ${String(producerId)}`)
  assert(Number.isInteger(producerEpoch) && producerEpoch >= 0, `a producer has an epoch, not ${producerEpoch}`)
  return producer
}

/**
 * Where the batches of these lanes lie. An answer that does not say so of each confirms none: they are sent again, and the broker, who
 * knows them by their sequences, appends none twice [G-1].
 */
function baseOffsetsOf(
  topics: Awaited<ReturnType<KafkaBroker['produce']>>['topics'],
  topic: string,
  lanes: readonly Lane[],
): [Lane, number][] {
  const answers = topics.map(({ topicName, partitions }) => ({ topic: topicName, partitions }))
  const found = answersOf(
    answers,
    topic,
    lanes.map(({ partition }) => partition),
  )
  return lanes.map((lane) => {
    const { partition } = lane
    return [lane, offsetFrom(found.get(partition)?.baseOffset, `where a batch of partition ${partition} lies`)]
  })
}

function producedPartition({ partition, sequence, inFlight }: Lane): ProducedPartition {
  return {
    partition,
    firstSequence: sequence,
    messages: inFlight.map(({ value, stamp }) => ({ key: null, value, headers: headersFromStamp(stamp) })),
  }
}
