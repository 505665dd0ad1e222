/**
 * A range becomes one object, exactly once: its name is the range's, an object appears wholly or not at all, and one that is there is
 * never replaced.
 *
 *   intent a..b written down ─▶ object of the name of a..b there? ─▶ put, unless there ─▶ position b+1
 *
 * The names are remembered for as long as the objects lie there. Whoever takes them away must leave those of the last hour: after a
 * crash the range of an open intent is looked for, and one that is gone is stored again.
 */
import { type DeliveryRange, type HeldRange, type RowGroup, storedCount } from '#pipeline/endpoints/delivery-range.ts'
import { EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { ObjectSettings } from '#schemas/endpoint-kinds/object-fields.ts'
import { limits } from '#schemas/limits.ts'
import { encodeRange, extensionOf } from './encode-range.ts'
import { type NamedRange, ObjectNames } from './object-names.ts'
import type { ObjectStore } from './object-store.ts'

export interface ObjectSinkOptions {
  readonly name: string
  readonly store: ObjectStore
  readonly settings: ObjectSettings
  readonly hubName: string
  /** Consumer group of the endpoint: so that endpoints in one place, and one that is made anew, have names of their own. */
  readonly group: string
  readonly clock: Clock
}

export class ObjectSink implements TableSink {
  readonly atomic = true
  readonly name: string
  readonly rangeLimits: NonNullable<TableSink['rangeLimits']>
  readonly gatherMsMax: number
  readonly insertMsMax = limits.objectPutMsMax + limits.objectLandMsMax
  readonly #store: ObjectStore
  readonly #settings: ObjectSettings
  readonly #names: ObjectNames
  readonly #clock: Clock
  #isSwept = false

  constructor({ name, store, settings, hubName, group, clock }: ObjectSinkOptions) {
    const { rollSeconds, rollBytes, nameFormat, encoding } = settings
    this.name = name
    this.gatherMsMax = rollSeconds * 1000
    this.rangeLimits = {
      messagesMax: limits.insertRowsMax,
      bytesMax: Math.min(limits.insertBytesMax, encoding === 'batches' ? rollBytes : limits.insertBytesMax),
      envelopeBytesMax: encoding === 'batches' ? limits.insertBodyBytesMax : rollBytes,
    }
    this.#store = store
    this.#settings = settings
    this.#names = new ObjectNames({ format: nameFormat, hubName, group, extension: extensionOf(encoding) })
    this.#clock = clock
  }

  async insert(selected: SelectedRange, _token: string, expiresMonotonicMs: number): Promise<void> {
    await this.#sweepOnce()
    // A range that was cut smaller since has another name, so one that comes late must not be stored beside it.
    if (this.#clock.monotonicMs() > expiresMonotonicMs)
      throw unavailable('the insert would begin too late, and was not sent', 'Timeout')
    const late = new AbortController()
    const cancel = this.#clock.after(limits.objectPutMsMax, () => late.abort())
    try {
      const content = encodeRange(selected, this.#settings.encoding)
      await this.#store.put(this.#names.nameOf(selected.range), content, late.signal)
    } finally {
      cancel()
    }
  }

  async stored(range: DeliveryRange): Promise<number> {
    return storedCount(range, await this.#store.has(this.#names.nameOf(range)))
  }

  async newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined> {
    let group: NamedRange[] = []
    for await (const name of this.#store.list(this.#names.prefixOf(partition))) {
      const range = this.#names.rangeOf(name)
      if (range === undefined || range.partition !== partition) continue
      if (range.first >= end || range.enqueuedAtMsLast < sinceMs) continue
      const best = group[0]?.first ?? -1
      if (range.first > best) group = [range]
      else if (range.first === best) group.push(range)
    }
    return groupOf(group)
  }

  /** By their names: how many messages an object holds is not told. */
  async *held(partition: number, from: number, end: number): AsyncGenerator<HeldRange> {
    const ranges: NamedRange[] = []
    for await (const name of this.#store.list(this.#names.prefixOf(partition))) {
      const range = this.#names.rangeOf(name)
      if (range?.partition === partition && range.first >= from && range.first < end) ranges.push(range)
    }
    for (const { first: offset, last, part, enqueuedAtMsLast } of ranges.sort((one, other) => one.first - other.first))
      yield { offset, last: part ? undefined : last, messageCount: undefined, enqueuedAtMsLast }
  }

  async accepts(): Promise<boolean> {
    return await this.#store.accepts()
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  /** Nothing depends on what is swept, so a store that does not let us must not be in the way of what it does take. */
  async #sweepOnce(): Promise<void> {
    if (this.#isSwept) return
    this.#isSwept = true
    try {
      const isOwn = (name: string): boolean => this.#names.rangeOf(name) !== undefined
      await this.#store.sweep(this.#names.prefix, isOwn, 2 * this.insertMsMax)
    } catch (error) {
      if (!(error instanceof EndpointError)) throw error
    }
  }
}

/** How many messages an object holds is not in its name. Of an object of whole batches it is not needed, as the name says which. */
function groupOf(ranges: readonly NamedRange[]): RowGroup | undefined {
  const [head] = ranges
  if (head === undefined) return undefined
  assert(
    ranges.every(({ first, last }) => first === head.first && first <= last),
    'objects of the newest position begin there',
  )
  const times = {
    enqueuedAtMsFirst: Math.min(...ranges.map(({ enqueuedAtMsFirst }) => enqueuedAtMsFirst)),
    enqueuedAtMsLast: Math.max(...ranges.map(({ enqueuedAtMsLast }) => enqueuedAtMsLast)),
  }
  const whole = ranges.filter(({ part }) => part === undefined)
  if (whole.length > 0)
    return { offset: head.first, rowCount: 1, ...times, last: Math.max(...whole.map(({ last }) => last)) }
  const rowCount = ranges.reduce((sum, { part }) => sum + (part?.length ?? 0), 0)
  return { offset: head.first, rowCount, ...times }
}
