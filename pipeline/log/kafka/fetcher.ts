import { faultType, type KafkaCluster, pauseAfter, reconnect } from '#pipeline/kafka/client.ts'
import { assert } from '#runtime/assert.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { LogRecord } from '../log.ts'
import { faultText } from './open-kafka.ts'
import { logRecordFromKafka } from './stamp.ts'
import { fetchByTopicId, isTopicIdFault } from './topic-id.ts'

/** Longest long poll if every reader of a broker waits, and if others may come meanwhile. */
const pollMsMax = 250
const pollMsWhenOthersRead = 10

/** Bytes of one answer over all partitions; readers ask for at most `limits.readBytesMax` each. */
const answerBytesMax = 64 * 1024 * 1024

interface WaitingRead {
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  readonly bytesMax: number
  readonly untilMs: number
  readonly stop: AbortSignal | undefined
  readonly resolve: (records: LogRecord[]) => void
  readonly reject: (error: unknown) => void
  failures: number
}

/** Fetches for readers that ask: one request in flight a broker, with all reads that wait there. */
export class KafkaFetcher {
  readonly #cluster: KafkaCluster
  readonly #topic: string
  readonly #askTopicId: () => Promise<string>
  /** Of the topic that was there when somebody read last without saying which. */
  #topicId: Promise<string> | undefined
  /** Partitions some task reads from now and then; decides how long a poll may last. */
  readonly readers = new Set<number>()
  readonly #waiting = new Set<WaitingRead>()
  readonly #busy = new Set<number>()
  #scheduled = false
  #closed = false

  /** @param askTopicId asks for the id of the topic that has the name now */
  constructor(cluster: KafkaCluster, topic: string, askTopicId: () => Promise<string>) {
    this.#cluster = cluster
    this.#topic = topic
    this.#askTopicId = askTopicId
  }

  /**
   * At least one record from `offset` on, or none after `waitMs` or when `stop` aborts.
   * @param logId id of the topic to read; `undefined`: whichever there is
   * @throws LOG_REPLACED, LOG_POSITION_LOST, LOG_UNAVAILABLE, LOG_CLOSED
   */
  async read(
    partition: number,
    offset: number,
    bytesMax: number,
    waitMs: number,
    logId?: string,
    stop?: AbortSignal,
  ): Promise<LogRecord[]> {
    const topicId = logId ?? (await this.#currentTopicId())
    if (this.#closed) throw closedError(this.#topic)
    if (stop?.aborted) return []
    return await new Promise((resolve, reject) => {
      const settle = () => stop?.removeEventListener('abort', abort)
      const read: WaitingRead = {
        topicId,
        partition,
        offset,
        bytesMax,
        untilMs: performance.now() + waitMs,
        stop,
        failures: 0,
        resolve: (records) => {
          settle()
          resolve(records)
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      }
      const abort = () => {
        this.#waiting.delete(read)
        read.resolve([])
      }
      stop?.addEventListener('abort', abort)
      this.#waiting.add(read)
      this.#schedule()
    })
  }

  #currentTopicId(): Promise<string> {
    if (this.#topicId === undefined) {
      this.#topicId = this.#askTopicId()
      this.#topicId.catch(() => {
        this.#topicId = undefined
      })
    }
    return this.#topicId
  }

  close(): void {
    this.#closed = true
    for (const read of this.#waiting) read.reject(closedError(this.#topic))
    this.#waiting.clear()
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#poll()
    })
  }

  #poll(): void {
    const leaders = this.#leaders()
    const byLeader = new Map<number, WaitingRead[]>()
    for (const read of this.#waiting) {
      const leader = leaders.get(read.partition) ?? -1
      if (!this.#busy.has(leader)) byLeader.set(leader, [...(byLeader.get(leader) ?? []), read])
    }
    for (const [leader, reads] of byLeader) {
      this.#busy.add(leader)
      void this.#fetchAll(leader, reads).then(() => {
        this.#busy.delete(leader)
        if (this.#waiting.size > 0) this.#schedule()
      })
    }
  }

  #leaders(): Map<number, number> {
    try {
      const partitions = this.#cluster.findTopicPartitionMetadata(this.#topic)
      return new Map(partitions.map(({ partitionId, leader }) => [partitionId, leader]))
    } catch {
      return new Map() // no metadata yet: the fetch fails, refreshes it and tries again
    }
  }

  /** kafkajs tells of one failed partition only, so a read that failed among others is tried alone. */
  async #fetchAll(leader: number, reads: readonly WaitingRead[]): Promise<void> {
    const one = reads.filter(({ failures }) => failures === 0)
    if (one.length > 0) await this.#fetch(leader, distinct(one))
    for (const read of reads) if (read.failures > 0 && this.#waiting.has(read)) await this.#fetch(leader, [read])
  }

  async #fetch(leader: number, reads: readonly WaitingRead[]): Promise<void> {
    const nowMs = performance.now()
    const pollMs = [...this.readers].every((partition) => reads.some((read) => read.partition === partition))
      ? pollMsMax
      : pollMsWhenOthersRead
    const waitMs = Math.min(pollMs, ...reads.map(({ untilMs }) => untilMs - nowMs))
    try {
      const broker = await this.#cluster.findBroker({ nodeId: leader })
      const fetched = await fetchByTopicId(broker, {
        topicId: reads[0]?.topicId ?? '',
        maxWaitMs: Math.max(0, Math.ceil(waitMs)),
        maxBytes: answerBytesMax,
        partitions: reads.map(({ partition, offset, bytesMax }) => ({
          partition,
          offset,
          maxBytes: Math.max(1, Math.min(bytesMax, answerBytesMax)),
        })),
      })
      const answers = new Map(fetched.map(({ partition, records }) => [partition, records]))
      for (const read of reads) {
        const answered = answers.get(read.partition)
        assert(answered !== undefined, `Kafka answers for partition ${read.partition} of ${this.#topic}`)
        const records = answered
          .filter(({ isControlRecord }) => isControlRecord !== true)
          .map(logRecordFromKafka)
          .filter(({ offset }) => offset >= read.offset)
        assertOrder(records, read.partition)
        read.failures = 0
        if (records.length > 0) this.#settle(read, bounded(records, read.bytesMax))
        else if (performance.now() >= read.untilMs) this.#settle(read, [])
      }
    } catch (error) {
      await this.#failed(reads, error)
    }
  }

  /** Why a topic that no broker knows by its id can't be read any more; `undefined` if it may be the one still. */
  async #replacement(topicId: string): Promise<PenstockError | undefined> {
    try {
      if ((await this.#askTopicId()) === topicId) return undefined
    } catch (error) {
      // It is gone and not made again yet, or nobody answers: the next attempt tells.
      return isPenstockError(error, 'LOG_PARTITIONS_MISMATCH') ? error : undefined
    }
    this.#topicId = undefined
    return new PenstockError(
      'LOG_REPLACED',
      `topic ${this.#topic} was deleted and made again: it is not ${topicId} any more`,
    )
  }

  /** What a read that failed alone is told; `undefined`: it is tried again. */
  async #faultOf(read: WaitingRead, type: string, cause: unknown): Promise<PenstockError | undefined> {
    const { partition, offset, topicId, untilMs, failures } = read
    if (type === 'OFFSET_OUT_OF_RANGE')
      return new PenstockError(
        'LOG_POSITION_LOST',
        `offset ${offset} of partition ${partition} is not in topic ${this.#topic}`,
        { cause },
      )
    const replacement = isTopicIdFault(type) ? await this.#replacement(topicId) : undefined
    if (replacement !== undefined || performance.now() < untilMs || failures <= 5) return replacement
    return new PenstockError('LOG_UNAVAILABLE', `Kafka ${faultText(cause)}`, { cause })
  }

  #settle(read: WaitingRead, records: LogRecord[]): void {
    if (this.#waiting.delete(read)) read.resolve(records)
  }

  async #failed(reads: readonly WaitingRead[], error: unknown): Promise<void> {
    const type = faultType(error)
    for (const read of reads) read.failures++
    const [read, ...others] = reads
    if (read !== undefined && others.length === 0) {
      const fault = await this.#faultOf(read, type, error)
      if (fault !== undefined) {
        if (this.#waiting.delete(read)) read.reject(fault)
        if (fault.disposition !== 'retry') return
      }
    }
    if (type === 'OFFSET_OUT_OF_RANGE' || this.#closed) return
    await pauseAfter(reads[0]?.failures ?? 0)
    await reconnect(this.#cluster)
  }
}

/** The first read of each partition, of one topic: a fetch names a partition once. The others have their turn after it. */
function distinct(reads: readonly WaitingRead[]): WaitingRead[] {
  const partitions = new Set<number>()
  return reads.filter(
    ({ partition, topicId }) =>
      topicId === reads[0]?.topicId && !partitions.has(partition) && partitions.add(partition),
  )
}

function bounded(records: LogRecord[], bytesMax: number): LogRecord[] {
  let bytes = 0
  const end = records.findIndex(({ value }, index) => {
    bytes += value.length
    return index > 0 && bytes > bytesMax
  })
  return end < 0 ? records : records.slice(0, end)
}

/** Per batch. Positions are counted on by offset, so a record before its predecessor would be skipped or stored twice [G-2]. */
function assertOrder(records: readonly LogRecord[], partition: number): void {
  let before = -1
  for (const { offset } of records) {
    assert(Number.isSafeInteger(offset) && offset > before, `a record of partition ${partition} lies behind ${before}`)
    before = offset
  }
}

function closedError(topic: string): PenstockError {
  return new PenstockError('LOG_CLOSED', `log ${topic} is closed`)
}
