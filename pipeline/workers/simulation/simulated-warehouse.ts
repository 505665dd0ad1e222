/**
 * A sink with ClickHouse's promises and not one more:
 *   - an insert takes effect as a whole at one moment, or never
 *   - it does not begin after its time, and does not end later than `insertMsMax` after it began
 *   - a token is remembered for exactly `tokenMsMax`; an insert with it then does nothing and is confirmed
 *   - killed, or failing, in the middle of a commit, it may remember the token without having the rows
 *   - a refusal may come though the rows are stored: a view over the table failed after them
 *   - a view whose target is missing lets no insert in, whatever its rows
 * Requests are delayed at will, answers get lost, and the client does not wait for ever.
 */
import type { DeliveryRange, RowGroup } from '#pipeline/endpoints/delivery-range.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Clock } from '#runtime/clock.ts'
import type { SeededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { keyOf, messagesOf, type SimulatedMessage } from './simulated-batch.ts'

/** In the error of an insert that was not begun in time. */
export const lateText = 'began too late'

export interface WarehouseFaults {
  /** Share of requests that are lost, with effect or without, or that land late. */
  readonly lossShare: number
  /** Share of inserts during whose commit the warehouse is killed. */
  readonly burnShare: number
}

export interface StoredRange {
  readonly range: DeliveryRange
  readonly messages: readonly SimulatedMessage[]
}

export class SimulatedWarehouse implements TableSink {
  readonly atomic = true
  readonly name = 'simulated'
  readonly insertMsMax: number
  /** Every insert that took effect, in order. */
  readonly ranges: StoredRange[] = []
  /** Keys of messages of which an insert was refused though nothing is wrong with them. */
  readonly refusedAtCommit = new Set<string>()
  /** Refuses every insert while true: a dropped table, a missing grant. */
  refusesAll = false
  /** Answers nothing while true. */
  down = false
  /** While true every insert is stored and then refused, as a view fails. */
  viewsFail = false
  /** While true no insert is let in, though questions are answered: the target of a view is missing. */
  targetMissing = false
  faults: WarehouseFaults
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #poison: ReadonlySet<string>
  readonly #viewPoison: ReadonlySet<string>
  readonly #tokenMsMax: number
  readonly #requestMsMax: number
  readonly #tokens = new Map<string, number>()

  constructor(options: {
    readonly clock: Clock
    readonly random: SeededRandom
    readonly faults: WarehouseFaults
    /** Keys of messages that are refused for good. */
    readonly poison: ReadonlySet<string>
    /** Keys of messages at which a view fails, when they are stored already. */
    readonly viewPoison?: ReadonlySet<string>
    readonly insertMsMax: number
    readonly tokenMsMax: number
    /** What the client waits for an answer. */
    readonly requestMsMax: number
  }) {
    this.#clock = options.clock
    this.#random = options.random
    this.faults = options.faults
    this.#poison = options.poison
    this.#viewPoison = options.viewPoison ?? new Set()
    this.insertMsMax = options.insertMsMax
    this.#tokenMsMax = options.tokenMsMax
    this.#requestMsMax = options.requestMsMax
  }

  async insert(selected: SelectedRange, token: string, expiresMonotonicMs: number): Promise<void> {
    const { range } = selected
    const messages = readableMessagesOf(await selected.avro())
    await this.#request((late) => this.#serve(range, token, messages, expiresMonotonicMs, late))
  }

  stored(range: DeliveryRange): Promise<number> {
    return this.#request(async (late) => {
      await this.#pass(late ? this.#requestMsMax * 2 : 50)
      this.#refuseIfDown()
      return this.ranges
        .filter(
          ({ range: { partition, first, enqueuedAtMsFirst, enqueuedAtMsLast } }) =>
            partition === range.partition &&
            first === range.first &&
            enqueuedAtMsFirst >= range.enqueuedAtMsFirst &&
            enqueuedAtMsLast <= range.enqueuedAtMsLast,
        )
        .reduce((rows, { messages }) => rows + messages.length, 0)
    })
  }

  newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined> {
    return this.#request(async (late) => {
      await this.#pass(late ? this.#requestMsMax * 2 : 50)
      this.#refuseIfDown()
      const mine = this.ranges.filter(
        ({ range }) => range.partition === partition && range.first < end && range.enqueuedAtMsLast >= sinceMs,
      )
      const offset = Math.max(...mine.map(({ range }) => range.first))
      const newest = mine.filter(({ range }) => range.first === offset)
      if (newest.length === 0) return undefined
      return {
        offset,
        rowCount: newest.reduce((rows, { messages }) => rows + messages.length, 0),
        enqueuedAtMsFirst: Math.min(...newest.map(({ range }) => range.enqueuedAtMsFirst)),
        enqueuedAtMsLast: Math.max(...newest.map(({ range }) => range.enqueuedAtMsLast)),
      }
    })
  }

  accepts(): Promise<boolean> {
    return this.#request(async () => {
      await this.#pass(50)
      this.#refuseIfDown()
      if (this.targetMissing) throw unavailable('the target of a view is missing')
      return !this.refusesAll
    })
  }

  async close(): Promise<void> {}

  async #serve(
    range: DeliveryRange,
    token: string,
    messages: readonly SimulatedMessage[] | undefined,
    expiresMonotonicMs: number,
    late: boolean,
  ): Promise<void> {
    // Late ones arrive just in time, or far too late.
    const inTimeMsMax = Math.min(this.#tokenMsMax, Math.max(0, expiresMonotonicMs - this.#clock.monotonicMs()))
    await this.#pass(late ? (this.#random.chance(0.5) ? inTimeMsMax : this.#tokenMsMax * 2) : 50)
    this.#refuseIfDown()
    if (this.#clock.monotonicMs() > expiresMonotonicMs) throw unavailable(lateText)
    if (this.refusesAll) throw new PenstockError('WAREHOUSE_REFUSED', 'simulated: no such table')
    if (this.targetMissing) throw unavailable('the target of a view is missing')
    await this.#pass(late ? this.insertMsMax : 200)
    if (!messages || messages.some((message) => this.#poison.has(keyOf(message))))
      throw new PenstockError('WAREHOUSE_REFUSED', 'simulated: bad row')
    const nowMs = this.#clock.nowMs()
    // A view gets a repeated block too, as long as it has not taken it: it fails again.
    if (token === '' || (this.#tokens.get(token) ?? -1) < nowMs) {
      if (token !== '') this.#tokens.set(token, nowMs + this.#tokenMsMax)
      if (this.#random.chance(this.faults.burnShare)) throw this.#burnt(messages)
      this.ranges.push({ range, messages })
    }
    if (this.viewsFail || messages.some((message) => this.#viewPoison.has(keyOf(message))))
      throw new PenstockError('WAREHOUSE_REFUSED', 'simulated: a view failed')
  }

  #burnt(messages: readonly SimulatedMessage[]): PenstockError {
    if (this.#random.chance(0.5)) return unavailable('killed while committing')
    for (const message of messages) this.refusedAtCommit.add(keyOf(message))
    return new PenstockError('WAREHOUSE_REFUSED', 'simulated: failed while committing')
  }

  /** One request: its work goes on whether or not its client still waits. */
  #request<T>(work: (late: boolean) => Promise<T>): Promise<T> {
    const lost = this.#random.chance(this.faults.lossShare)
    if (lost && this.#random.chance(0.3))
      return this.#pass(50).then(() => Promise.reject(unavailable('connection refused')))
    const working = work(lost && this.#random.chance(0.7))
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(this.#random.integer(1, this.#requestMsMax), () => {
        if (lost) reject(unavailable('no answer in time'))
      })
      working.then(
        (value) => {
          if (lost) return
          cancel()
          resolve(value)
        },
        (error: unknown) => {
          cancel()
          reject(error)
        },
      )
    })
  }

  #pass(delayMsMax: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(this.#random.integer(0, delayMsMax), resolve))
  }

  #refuseIfDown(): void {
    if (this.down) throw unavailable('down')
  }
}

/** `undefined` if a block of theirs can't be read: such an insert fails as a whole. */
function readableMessagesOf(chunks: readonly Uint8Array[]): SimulatedMessage[] | undefined {
  try {
    return messagesOf(chunks)
  } catch (error) {
    if (isPenstockError(error, 'BATCH_CORRUPT')) return undefined
    throw error
  }
}

function unavailable(text: string): PenstockError {
  return new PenstockError('WAREHOUSE_UNAVAILABLE', `simulated: ${text}`)
}
