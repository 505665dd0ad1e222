/** What the task of one partition does at its destination, whichever kind that is, and what it counts there. */
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { SelectedRange, UnfitMessage } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { BatchStamp } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { DeadLetterReason } from '#schemas/dead-letter.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { deliverRange, type EarlierInsert, type RangeDeliveryOptions } from './deliver-range.ts'
import { deliverRequests } from './deliver-requests.ts'
import type { DeliveryOptions, DeliveryOutcome } from './delivery.ts'
import type { Intent, Split } from './intent.ts'
import { letterOfMessages } from './letter-of-messages.ts'
import { PatientSelector } from './patient-selector.ts'
import { type LetterOptions, putLetter } from './put-letter.ts'
import type { ReadRecord } from './range-reader.ts'
import type { RangeSelector } from './range-selector.ts'
import { settleByMessage } from './split-batch.ts'
import { observeStored } from './stage-times.ts'
import type { DeadLetterBox } from './undeliverable.ts'

export interface CourierOptions extends Omit<DeliveryOptions, 'onFailure' | 'onRefusal'> {
  readonly topic: string
  readonly partition: number
  readonly destination: TableSink | Endpoint
  readonly selector: RangeSelector
  /** Name that dead letters carry, if any. */
  readonly letterEndpoint: string | undefined
  readonly deadLetters: DeadLetterBox
  readonly metrics: Metrics<MetricName>
  /** Told of records that were stored as a whole, or what was selected of them; left out: nobody wants to know. */
  readonly onStored?: ((partition: number, records: readonly ReadRecord[]) => void) | undefined
  /** Told whenever something below the next position is settled. */
  readonly onSettled: () => void
}

export class Courier {
  readonly #options: CourierOptions
  readonly #delivery: DeliveryOptions
  readonly #selector: RangeSelector
  readonly #onStoredDespite: () => void
  readonly #labels: { readonly sink: string }
  /** What the destination refused last; unknown to an owner that only finds the verdict. */
  #refusal: PenstockError | undefined

  constructor(options: CourierOptions) {
    const { metrics, destination } = options
    this.#options = options
    this.#selector = new PatientSelector(options.selector, options)
    this.#labels = { sink: destination.name }
    const failures = metrics.series('penstock_worker_insert_failures_total', this.#labels)
    const refusals = metrics.series('penstock_worker_inserts_refused_total', this.#labels)
    const despite = metrics.series('penstock_worker_inserts_stored_despite_error_total', this.#labels)
    this.#onStoredDespite = () => despite.add(1)
    this.#delivery = {
      ...options,
      onFailure: () => failures.add(1),
      onRefusal: (error) => {
        refusals.add(1)
        this.#refusal = error
      },
    }
  }

  /** What the destination gets of the intent's range; `undefined` if a batch that had to be read can't be. */
  async select({ range, revision }: Intent, records: readonly ReadRecord[]): Promise<SelectedRange | undefined> {
    try {
      const selected = await this.#selector.select(
        range,
        records.map(({ record }) => record),
        revision,
      )
      const { first, last, messageCount } = selected.range
      assert(first === range.first && last === range.last, 'what is selected of a range is of that range')
      assert(isCount(messageCount), `what is selected is counted, not ${messageCount}`)
      assert(messageCount <= range.messageCount || revision !== undefined, 'no more is selected than there is')
      return selected
    } catch (error) {
      if (!isPenstockError(error, 'BATCH_CORRUPT')) throw error
      return undefined
    }
  }

  /** What enrichments made too large becomes letters; false if the assignment ended before. */
  async giveUpUnfit(unfit: readonly UnfitMessage[], records: readonly ReadRecord[]): Promise<boolean> {
    const { topic, partition, letterEndpoint: endpoint } = this.#options
    for (const { message, text } of unfit) {
      const why = { reason: 'ENDPOINT_REFUSED', text } as const
      const stamp = stampAt(records, message.offset)
      const letter = letterOfMessages({ topic, partition, endpoint }, stamp, [message], why)
      if (!(await putLetter(this.#letterOptions(), letter))) return false
    }
    return true
  }

  /**
   * Brings a range that is not empty to a known end. Of an endpoint that is `stored`, also where letters are left of it.
   * @throws BATCH_CORRUPT if a batch that had to be read can't be
   */
  async send(
    intent: Intent,
    selected: SelectedRange,
    records: readonly ReadRecord[],
    commitIntent: (intent: Intent) => Promise<void>,
    earlier: EarlierInsert,
  ): Promise<DeliveryOutcome> {
    const { destination, letterEndpoint = destination.name } = this.#options
    if (destination.atomic) {
      const options = this.#rangeDelivery(destination)
      const outcome = await deliverRange(options, intent, selected, commitIntent, earlier)
      if (outcome === 'stored') this.#countStored(selected.range.messageCount, 1)
      return outcome
    }
    const options = { ...this.#letterOptions(), endpoint: destination, letterEndpoint, delivery: this.#delivery }
    const stampOf = (offset: number) => stampAt(records, offset)
    const onDelivered = (count: number) => {
      if (count > 0) this.#countStored(count, 1)
      this.#options.onSettled()
    }
    return await deliverRequests({ ...options, stampOf, onDelivered }, intent, selected, commitIntent)
  }

  /** Delivers one batch message by message; only for what is stored wholly or not. */
  async split(
    head: ReadRecord,
    split: Split,
    intent: Intent | undefined,
    commit: (intent: Intent | undefined, split: Split) => Promise<void>,
  ): Promise<'settled' | 'unreadable' | 'ended'> {
    const { destination, topic, partition, letterEndpoint, metrics, clock, onSettled } = this.#options
    const selector = this.#selector
    assert(destination.atomic, 'only a batch for a sink that stores it wholly or not is split with notes')
    const onStored = (count: number) => {
      this.#countStored(count, 1)
      observeStored(metrics, destination.name, [head], clock, count)
      onSettled()
    }
    const delivery = this.#rangeDelivery(destination)
    const options = { ...this.#letterOptions(), delivery, topic, partition, selector, letterEndpoint, commit, onStored }
    return await settleByMessage({ ...options, refusal: () => this.#refusal }, head, split, intent)
  }

  /** What is no batch becomes a letter as it is; false if the assignment ended before. */
  async bury({ record }: ReadRecord, text: string): Promise<boolean> {
    const { topic, partition, letterEndpoint: endpoint } = this.#options
    const letter = { topic, partition, record, messageFirst: 0, text, endpoint }
    return await putLetter(this.#letterOptions(), { ...letter, reason: 'BATCH_CORRUPT' })
  }

  #countStored(messageCount: number, inserts: number): void {
    const { metrics } = this.#options
    metrics.series('penstock_worker_rows_stored_total', this.#labels).add(messageCount)
    metrics.series('penstock_worker_inserts_total', this.#labels).add(inserts)
  }

  #rangeDelivery(sink: TableSink): RangeDeliveryOptions {
    return { ...this.#delivery, sink, onStoredDespite: this.#onStoredDespite }
  }

  #letterOptions(): LetterOptions {
    const { deadLetters, metrics, onSettled } = this.#options
    const onLetter = (reason: DeadLetterReason, messageCount: number) => {
      metrics.series('penstock_worker_dead_letters_total', { reason }).add(messageCount)
      onSettled()
    }
    return { delivery: this.#delivery, deadLetters, onLetter }
  }
}

function stampAt(records: readonly ReadRecord[], offset: number): BatchStamp {
  const found = records.find(({ record }) => record.offset === offset)
  assert(found, `what is selected is of the batches of its range, and not of one at ${offset}`)
  return found.record.stamp
}
