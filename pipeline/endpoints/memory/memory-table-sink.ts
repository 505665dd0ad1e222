import type { Clock } from '#runtime/clock.ts'
import { messagesOfBatch } from '#schemas/batch.ts'
import { type DeliveryRange, type HeldRange, type RowGroup, storedCount } from '../delivery-range.ts'
import { held, refused, unavailable } from '../endpoint-error.ts'
import type { SelectedRange } from '../selected-range.ts'
import type { TableSink } from '../table-sink.ts'

export interface StoredMessage {
  readonly deviceId: string
  readonly body: Uint8Array
}

/** The server of memory sinks, for tests: it remembers every token for ever, as a name does. */
export class MemoryTable {
  /** By token, in the order in which they were stored. */
  readonly ranges = new Map<string, { readonly range: DeliveryRange; readonly messages: readonly StoredMessage[] }>()
  isAway = false
  hasRight = true
  /** A range with this body in it is refused. */
  badBody: string | undefined

  get messages(): readonly StoredMessage[] {
    return [...this.ranges.values()].flatMap(({ messages }) => messages)
  }
}

/** A sink in memory, for tests; every step takes a turn of the event loop, so that it can be cut off. */
export class MemoryTableSink implements TableSink {
  readonly atomic = true
  readonly name: string
  readonly insertMsMax = 1_000
  readonly #table: MemoryTable
  readonly #clock: Clock
  #isClosed = false

  constructor(table: MemoryTable, clock: Clock, name = 'memory-table') {
    this.#table = table
    this.#clock = clock
    this.name = name
  }

  async insert(selected: SelectedRange, token: string, expiresMonotonicMs: number): Promise<void> {
    const chunks = await selected.avro()
    await this.#reach()
    if (this.#clock.monotonicMs() > expiresMonotonicMs) throw unavailable('the insert began too late', 'Timeout')
    const messages = messagesOfBatch(Buffer.concat(chunks)).map(({ envelope }) => envelope)
    const { badBody, ranges } = this.#table
    if (badBody !== undefined && messages.some(({ body }) => Buffer.from(body).toString() === badBody))
      throw refused('a bad row')
    if (!ranges.has(token)) ranges.set(token, { range: selected.range, messages })
    // The answer takes a turn too, and may be lost on it.
    await this.#reach()
  }

  async stored(range: DeliveryRange): Promise<number> {
    await this.#reach()
    const isStored = [...this.#table.ranges.values()].some(({ range: other }) => isSame(other, range))
    return storedCount(range, isStored)
  }

  async newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined> {
    await this.#reach()
    const mine = [...this.#table.ranges.values()]
      .map(({ range }) => range)
      .filter((range) => range.partition === partition && range.first < end && range.enqueuedAtMsLast >= sinceMs)
    const offset = Math.max(...mine.map(({ first }) => first))
    const group = mine.filter(({ first }) => first === offset)
    const [head] = group
    if (!head) return undefined
    return {
      offset,
      rowCount: group.reduce((sum, { messageCount }) => sum + messageCount, 0),
      enqueuedAtMsFirst: Math.min(...group.map(({ enqueuedAtMsFirst }) => enqueuedAtMsFirst)),
      enqueuedAtMsLast: Math.max(...group.map(({ enqueuedAtMsLast }) => enqueuedAtMsLast)),
      last: head.part ? undefined : head.last,
    }
  }

  async *held(partition: number, from: number, end: number): AsyncGenerator<HeldRange> {
    await this.#reach()
    const mine = [...this.#table.ranges.values()].filter(({ range }) => range.partition === partition)
    for (const { range, messages } of mine.sort((one, other) => one.range.first - other.range.first)) {
      const { first: offset, last, part, enqueuedAtMsLast } = range
      if (offset < from || offset >= end) continue
      yield { offset, last: part ? undefined : last, messageCount: messages.length, enqueuedAtMsLast }
    }
  }

  async accepts(): Promise<boolean> {
    if (!this.#table.hasRight) return false
    await this.#reach()
    return true
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  /** One way over the network that is not there. */
  async #reach(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#table.isAway || this.#isClosed) throw unavailable('no connection', 'Transient')
    if (!this.#table.hasRight) throw held('no right', 'Unauthorized')
  }
}

function isSame(one: DeliveryRange, other: DeliveryRange): boolean {
  return (
    one.topic === other.topic &&
    one.partition === other.partition &&
    one.first === other.first &&
    one.last === other.last &&
    one.part?.first === other.part?.first
  )
}
