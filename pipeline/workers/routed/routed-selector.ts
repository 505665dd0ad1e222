/** What the routes in force send to one endpoint. */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import {
  messageId,
  type SelectedMessage,
  type SelectedRange,
  type UnfitMessage,
} from '#pipeline/endpoints/selected-range.ts'
import type { LogRecord } from '#pipeline/log/log.ts'
import { oversizedIn } from '#pipeline/routing/select/oversized.ts'
import { selectedMessages } from '#pipeline/routing/select/selected-messages.ts'
import type { Selection } from '#pipeline/routing/select/selection.ts'
import type { SelectionCache } from '#pipeline/routing/select/selection-cache.ts'
import type { SelectionTurns } from '#pipeline/routing/select/selection-turns.ts'
import type { RecordKind } from '#pipeline/routing/select/selector.ts'
import { assert } from '#runtime/assert.ts'
import { batchHeader, envelopeBytes, messagesOfBatch } from '#schemas/batch.ts'
import type { RangeSelector } from '../range-selector.ts'
import type { RouteCounts } from './route-counts.ts'
import type { Revisions, RoutingRevision } from './routing-revision.ts'

export interface RoutedSelectorOptions {
  readonly endpoint: string
  readonly kind: RecordKind
  readonly revisions: Revisions
  /** Shared by the endpoints of a process. */
  readonly cache: SelectionCache
  /** Shared by the endpoints of a process. */
  readonly turns: SelectionTurns
  /** Left out: what routes make of messages is not counted. */
  readonly counts?: RouteCounts | undefined
}

export class RoutedSelector implements RangeSelector {
  readonly selectsEverything = false
  readonly #options: RoutedSelectorOptions

  constructor(options: RoutedSelectorOptions) {
    this.#options = options
  }

  async select(
    range: DeliveryRange,
    records: readonly LogRecord[],
    revisionId: string | undefined,
  ): Promise<SelectedRange> {
    const { endpoint, revisions } = this.#options
    const revision = revisions.find(revisionId)
    const index = revision.indexOf(endpoint)
    const selections =
      index < 0 ? [] : await Promise.all(records.map((record) => this.#selectionOf(range, record, revision)))
    this.#count(range, records, selections, revision)
    const oversized = this.#oversizedIn(selections, revision)
    const messageCount = selections.reduce(
      (sum, selection, place) => sum + selection.countOf(index) - (oversized[place]?.size ?? 0),
      0,
    )
    return new RoutedRange({ ...range, messageCount }, { endpoint, index, revision, records, selections, oversized })
  }

  /** In the order of the log: after one that is decompressed sooner, those before it would be taken for counted. */
  #count(
    { topic, partition }: DeliveryRange,
    records: readonly LogRecord[],
    selections: readonly Selection[],
    revision: RoutingRevision,
  ): void {
    const { endpoint, counts } = this.#options
    const { routeSet } = revision.routesFor(endpoint)
    for (const [place, selection] of selections.entries()) {
      const { offset, stamp } = records[place] as LogRecord
      counts?.count({ topic, partition, offset, stamp }, selection, routeSet)
    }
  }

  /** By record, the messages that enrichments make too large. */
  #oversizedIn(selections: readonly Selection[], revision: RoutingRevision): readonly ReadonlySet<number>[] {
    const { endpoint } = this.#options
    const enricher = revision.enricherOf(endpoint)
    if (enricher === undefined) return []
    const index = revision.indexOf(endpoint)
    return selections.map((selection) => new Set(oversizedIn(selection, index, enricher)))
  }

  #selectionOf({ topic, partition }: DeliveryRange, { offset, stamp, value }: LogRecord, revision: RoutingRevision) {
    const { endpoint, cache, turns, kind } = this.#options
    const { id, routeSet, selector } = revision.routesFor(endpoint)
    const select = (): Promise<Selection> => selector.select(value, kind)
    return cache.get({ topic, partition, offset, stamp, revision: id }, () => {
      if (routeSet.looksAtMessages) return turns.take(routeSet.part, stamp.enqueuedAtMsLast, select)
      turns.came(stamp.enqueuedAtMsLast)
      return select()
    })
  }
}

interface RoutedRecords {
  readonly endpoint: string
  /** Of the endpoint in the route set. */
  readonly index: number
  readonly revision: RoutingRevision
  readonly records: readonly LogRecord[]
  /** One a record; none if no route leads to the endpoint. */
  readonly selections: readonly Selection[]
  /** One a record; none if nothing is stamped. */
  readonly oversized: readonly ReadonlySet<number>[]
}

class RoutedRange implements SelectedRange {
  readonly range: DeliveryRange
  readonly revision: string
  readonly unfit: readonly UnfitMessage[]
  readonly #routed: RoutedRecords
  #avro: Promise<readonly Uint8Array[]> | undefined

  constructor(range: DeliveryRange, routed: RoutedRecords) {
    this.range = range
    this.revision = routed.revision.id
    this.unfit = unfitOf(range, routed)
    this.#routed = routed
  }

  avro(): Promise<readonly Uint8Array[]> {
    this.#avro ??= this.#encoded()
    return this.#avro
  }

  async *messages(): AsyncGenerator<readonly SelectedMessage[]> {
    const { records, selections } = this.#routed
    for (const [place, record] of records.entries()) {
      const selection = selections[place]
      if (selection === undefined) continue
      const oversized = this.#routed.oversized[place]
      const messages = this.#messagesOf(record, selection)
      yield oversized?.size ? messages.filter(({ index }) => !oversized.has(index)) : messages
    }
  }

  async #encoded(): Promise<readonly Uint8Array[]> {
    const { endpoint, index, revision, records, selections, oversized } = this.#routed
    const encoder = revision.encoderOf(endpoint)
    const chunks: Uint8Array[] = [batchHeader]
    for (const [place, { value }] of records.entries()) {
      const selection = selections[place]
      if (selection === undefined || selection.countOf(index) === 0) continue
      const { blocks, messageCount } = await encoder.encode(value, selection, index)
      const counted = selection.countOf(index) - (oversized[place]?.size ?? 0)
      // What was counted too large is a dead letter by then, and what was not is delivered.
      assert(messageCount === counted, `of a record ${counted} messages are counted, and ${messageCount} delivered`)
      chunks.push(...blocks)
    }
    return chunks
  }

  #messagesOf({ offset, value }: LogRecord, selection: Selection): SelectedMessage[] {
    const { endpoint, index, revision } = this.#routed
    const { topic, partition } = this.range
    const named = (place: number) => ({ id: messageId(topic, partition, offset, place), offset, index: place })
    // Nobody had to look at the messages to know that all of them go there.
    if (selection.blocks === undefined && selection.countOf(index) > 0)
      return messagesOfBatch(value).map(({ envelope, bytes }, place) => ({
        ...envelope,
        ...named(place),
        byteCount: bytes.length,
        bytes,
      }))
    return Array.from(
      selectedMessages(selection, index, revision.enricherOf(endpoint)),
      ({ index: place, isTooLarge: _, ...envelope }) => {
        const bytes = envelopeBytes(envelope)
        return { ...envelope, ...named(place), byteCount: bytes.length, bytes }
      },
    )
  }
}

/** What enrichments made too large, as the devices sent it. */
function unfitOf({ topic, partition }: DeliveryRange, { records, oversized }: RoutedRecords): readonly UnfitMessage[] {
  return records.flatMap(({ offset, value }, place) => {
    const indexes = oversized[place]
    if (indexes === undefined || indexes.size === 0) return []
    return messagesOfBatch(value).flatMap(({ envelope, bytes }, index) => {
      if (!indexes.has(index)) return []
      const id = messageId(topic, partition, offset, index)
      const message = { ...envelope, id, offset, index, bytes, byteCount: bytes.length }
      return [{ message, text: 'enrichments make the message larger than one may be' }]
    })
  })
}
