/**
 * One partition of the log, as it is stored in the topic: range by range, a transaction each, with the mark that says so.
 *
 *   not ours ──fence, read the mark──▶ ours, and what is stored is known ──▶ a range, with its mark, committed ──▶ …
 *      ▲                                                                         │
 *      └──────────────── any fault, whatever it was: another may own it by now ──┘
 *
 * That the mark is only read behind the fence is what makes it an answer: docs/GUARANTEES.md, "Transactions".
 */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { type EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import { RecordBatch } from '#pipeline/kafka/record-batch.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { Permits } from '#runtime/permits.ts'
import type { KafkaSettings } from '#schemas/endpoint-kinds/kafka.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { kafkaFault } from './kafka-fault.ts'
import { portionsOf } from './kafka-records.ts'
import { bytesOfMark, emptyMark, holds, isPassed, type Mark, markFromBytes, withStored } from './mark.ts'
import { readMark } from './read-mark.ts'
import { isFenced, type PartitionRecords, TransactionalProducer } from './transactional-producer.ts'

export interface KafkaPartitionOptions {
  readonly connection: Pick<KafkaConnection, 'cluster' | 'markerTopic' | 'shape'>
  /** Key of its mark, too. */
  readonly transactionalId: string
  readonly settings: Pick<KafkaSettings, 'format' | 'compression'>
  readonly clock: Clock
}

export class KafkaPartition {
  readonly #options: KafkaPartitionOptions
  readonly #producer: TransactionalProducer
  readonly #turn = new Permits(1)
  /** `undefined`: not ours, as far as we know. */
  #mark: Mark | undefined

  constructor(options: KafkaPartitionOptions) {
    const { connection, transactionalId, clock } = options
    this.#options = options
    this.#producer = new TransactionalProducer(connection.cluster, transactionalId, clock)
  }

  /** What is stored, once nobody but us can change it. @throws EndpointError */
  mark(): Promise<Mark> {
    return this.#inTurn(() => this.#owned())
  }

  /** @throws EndpointError */
  store(selected: SelectedRange, expiresMonotonicMs: number): Promise<void> {
    return this.#inTurn(async () => {
      const wasOwned = this.#mark !== undefined
      try {
        await this.#store(selected, expiresMonotonicMs)
      } catch (error) {
        // Another asked since the last range. What it stored, its mark says.
        if (!wasOwned || !isFenced(error)) throw error
        this.#mark = undefined
        await this.#store(selected, expiresMonotonicMs)
      }
    })
  }

  async #store(selected: SelectedRange, expiresMonotonicMs: number): Promise<void> {
    const { range } = selected
    const mark = await this.#owned()
    if (holds(mark, range)) return
    if (isPassed(mark, range)) throw passed(range, mark)
    // Where a range is cut smaller, nobody may come late with all of it.
    if (this.#options.clock.monotonicMs() > expiresMonotonicMs)
      throw unavailable('the transaction would begin too late, and was not begun', 'Timeout')
    const next = withStored(mark, range)
    await this.#send(selected, next)
    assert(this.#mark === mark, 'nobody else stores a range of the partition meanwhile')
    await this.#producer.commit()
    this.#mark = next
  }

  async #send(selected: SelectedRange, mark: Mark): Promise<void> {
    const { connection, settings, clock } = this.#options
    const nowMs = Math.trunc(clock.nowMs())
    let held: readonly PartitionRecords[] = []
    for await (const portion of portionsOf(selected, settings, await connection.shape(), nowMs)) {
      if (held.length > 0) await this.#producer.send(held)
      held = portion
    }
    // Together with the last of it, since from here on readers of other marks wait for the end of this transaction.
    await this.#producer.send([...held, this.#recordOf(mark)])
  }

  #recordOf(mark: Mark): PartitionRecords {
    const { connection, transactionalId, clock } = this.#options
    const batch = new RecordBatch('none')
    batch.append(Buffer.from(transactionalId), bytesOfMark(mark), [], Math.trunc(clock.nowMs()))
    return { topic: connection.markerTopic, partition: 0, batch }
  }

  async #owned(): Promise<Mark> {
    if (this.#mark !== undefined) return this.#mark
    const { connection, transactionalId, clock } = this.#options
    await this.#producer.fence()
    const bytes = await readMark(connection.cluster, connection.markerTopic, transactionalId, clock)
    const mark = bytes === undefined ? emptyMark : markFromBytes(bytes)
    if (mark === undefined)
      throw unavailable(
        `the mark ${transactionalId} in ${connection.markerTopic} is none that this version reads`,
        'InternalError',
      )
    this.#mark = mark
    return mark
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    return this.#turn.with(async () => {
      try {
        return await action()
      } catch (error) {
        this.#mark = undefined
        const fault = kafkaFault(error)
        // It will not come again soon. Readers of the topic are not to wait until Kafka ends the transaction by itself.
        if (fault.code !== 'ENDPOINT_UNAVAILABLE') await this.#producer.fence().catch(() => {})
        throw fault
      }
    })
  }
}

function passed({ partition, first, last }: DeliveryRange, { ranges }: Mark): EndpointError {
  return unavailable(
    `partition ${partition} is stored up to ${ranges.at(-1)?.last}, and ${first} to ${last} was to be stored behind it: ` +
      'its position was set back, or another Penstock writes under the same names',
    'InternalError',
  )
}
