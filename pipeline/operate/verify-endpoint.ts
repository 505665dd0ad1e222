/**
 * Compares what the log holds for one endpoint with what the endpoint says it holds. What it should hold is what today's routes select.
 *
 *   log, one partition   │ 0 │ 1 │ 2 │ 3 │ 4 │ 5 │ 6 │      of each batch so many messages are selected, none of some
 *   held                   0..2        3..4       6          under the offsets of its insert
 *
 * What can't be compared is not called wrong:
 *   differing   of batches from before the routes in force: other routes may have decided
 *   dead        messages that became dead letters of this endpoint
 *   unchecked   batches before the first insert that is told of, whose first batches retention has removed from the log
 *   not read    batches that the log did not hand out when asked
 */
import type { HeldRange } from '#pipeline/endpoints/delivery-range.ts'
import type { Log, LogRecord } from '#pipeline/log/log.ts'
import { walkLog } from '#pipeline/reading/log-walk.ts'
import { offsetAt } from '#pipeline/reading/offset-at.ts'
import { type LetteredBatch, listLetteredBatches } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { DeliveredSequences } from '#pipeline/workers/delivered-sequences.ts'
import type { RoutedLog } from '#pipeline/workers/routed/routed-log.ts'
import { assert } from '#runtime/assert.ts'

const readBytesMax = 32 * 1024 * 1024
const faultyOffsetsMax = 10

/** Routers put a document in force within two seconds; what was enqueued later than this was decided by it. */
const inForceMs = 10_000

export interface EndpointVerdict {
  readonly log: RoutedLog['kind']
  readonly partition: number
  /** Batches on the log since the endpoint began, and of these how many it has not got yet. */
  readonly batches: number
  readonly lagBatches: number
  /** Messages of delivered batches that today's routes select, without dead letters. */
  readonly selected: number
  readonly missing: number
  /** Held, and more than are selected. */
  readonly surplus: number
  readonly differing: number
  readonly deadLetters: number
  readonly uncheckedBatches: number
  readonly unreadBatches: number
  /** First offsets of what is not as it should be, at most ten. */
  readonly faultyOffsets: readonly number[]
}

export interface VerifyEndpointOptions {
  readonly log: RoutedLog
  /** Of the endpoint on this log. */
  readonly group: string
  /** Name that its dead letters carry. */
  readonly endpoint: string
  readonly startsAtMs: number
  /** Since when today's routes are in force, UTC milliseconds. */
  readonly routesSinceMs: number
  /** How many messages of a record today's routes select for it. @throws BATCH_CORRUPT */
  readonly countOf: (record: LogRecord) => Promise<number>
  readonly held: (partition: number, from: number, end: number) => AsyncIterable<HeldRange>
  readonly deadLetters: Log
}

/** Reads all of the log that is kept since the endpoint began: for a look by hand or after a test. */
export async function verifyEndpoint(options: VerifyEndpointOptions): Promise<EndpointVerdict[]> {
  const { log, kind } = options.log
  const positions = await log.positions(options.group)
  const letters = await listLetteredBatches(options.deadLetters, log.topic, options.endpoint)
  const verdicts: EndpointVerdict[] = []
  for (const [partition, range] of (await log.ranges()).entries()) {
    const begins = await offsetAt(log, partition, range, options.startsAtMs)
    const delivered = Math.min(range.next, Math.max(begins, positions[partition]?.offset ?? begins))
    const check = new EndpointCheck(options, begins === 0 || begins > range.first)
    await check.read(partition, begins, delivered, letters.get(partition) ?? new Map())
    const batches = range.next - begins
    verdicts.push({ log: kind, partition, batches, lagBatches: range.next - delivered, ...check.counts })
  }
  return verdicts
}

/** Batches that one insert must stand for, or that lie between two. */
interface OpenGroup {
  readonly held: HeldRange | undefined
  readonly offset: number
  selected: number
  fromMs: number
}

class EndpointCheck {
  readonly #options: VerifyEndpointOptions
  readonly #counts = {
    selected: 0,
    missing: 0,
    surplus: 0,
    differing: 0,
    deadLetters: 0,
    uncheckedBatches: 0,
    unreadBatches: 0,
  }
  readonly #faultyOffsets: number[] = []
  readonly #seen = new DeliveredSequences()
  #group: OpenGroup = { held: undefined, offset: 0, selected: 0, fromMs: Number.POSITIVE_INFINITY }
  #next: HeldRange | undefined
  /** False before the first insert that is told of, unless the log is kept from where the endpoint began. */
  #isCheckable: boolean

  constructor(options: VerifyEndpointOptions, isCheckable: boolean) {
    this.#options = options
    this.#isCheckable = isCheckable
  }

  get counts(): Omit<EndpointVerdict, 'log' | 'partition' | 'batches' | 'lagBatches'> {
    return { ...this.#counts, faultyOffsets: this.#faultyOffsets }
  }

  async read(partition: number, from: number, end: number, letters: ReadonlyMap<number, LetteredBatch>): Promise<void> {
    const held = this.#options.held(partition, from, end)[Symbol.asyncIterator]()
    let before = from
    const following = async () => {
      const { done, value } = await held.next()
      if (done) return undefined
      // Out of their order, what is there would be called missing.
      assert(
        value.offset >= before && value.offset < end,
        `what is held from ${before} to ${end} is not at ${value.offset}`,
      )
      before = value.offset
      return value
    }
    this.#next = await following()
    const walk = { partition, from, end, readBytesMax }
    const read = await walkLog(this.#options.log.log, walk, async (record) => {
      await this.#begin(record, following)
      await this.#take(record, letters.get(record.offset))
    })
    await held.return?.()
    this.#counts.unreadBatches = Math.max(0, end - read)
    // Of a group that was not read to its end nothing can be said.
    if (read >= end) this.#close()
  }

  /** Goes on to what is held at this offset, of this log and not of one that was there before it. */
  async #begin({ offset, stamp }: LogRecord, following: () => Promise<HeldRange | undefined>): Promise<void> {
    const { last } = this.#group.held ?? {}
    if (last !== undefined && offset > last) this.#open(undefined, offset)
    for (let next = this.#next; next && next.offset <= offset; next = this.#next) {
      this.#next = await following()
      if (next.enqueuedAtMsLast < Math.min(stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)) continue
      // Parts of a batch are told of one by one, or together.
      if (this.#group.held?.offset === next.offset)
        this.#group = { ...this.#group, held: joined(this.#group.held, next) }
      else this.#open(next, offset)
      this.#isCheckable = true
    }
  }

  #open(held: HeldRange | undefined, offset: number): void {
    this.#close()
    this.#group = { held, offset, selected: 0, fromMs: Number.POSITIVE_INFINITY }
  }

  async #take(record: LogRecord, lettered: LetteredBatch | undefined): Promise<void> {
    const { stamp } = record
    let dead = 0
    for (const { messageCount } of lettered?.letters.values() ?? []) dead += messageCount
    this.#counts.deadLetters += dead
    // Routers leave out what an edge appended twice, so it counts once here too.
    if (this.#seen.has(stamp) || lettered?.readable === false) return
    this.#seen.add(stamp)
    if (!this.#isCheckable) {
      this.#counts.uncheckedBatches++
      return
    }
    this.#group.selected += Math.max(0, (await this.#options.countOf(record)) - dead)
    this.#group.fromMs = Math.min(this.#group.fromMs, stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
  }

  #close(): void {
    const { held, offset, selected, fromMs } = this.#group
    this.#counts.selected += selected
    const found = held === undefined ? 0 : (held.messageCount ?? selected)
    if (found === selected) return
    if (fromMs < this.#options.routesSinceMs + inForceMs) {
      this.#counts.differing += Math.abs(selected - found)
      return
    }
    this.#counts.missing += Math.max(0, selected - found)
    this.#counts.surplus += Math.max(0, found - selected)
    if (this.#faultyOffsets.length < faultyOffsetsMax) this.#faultyOffsets.push(held?.offset ?? offset)
  }
}

function joined(one: HeldRange, other: HeldRange): HeldRange {
  const isCounted = one.messageCount !== undefined && other.messageCount !== undefined
  return {
    offset: one.offset,
    last: one.last ?? other.last,
    messageCount: isCounted ? Number(one.messageCount) + Number(other.messageCount) : undefined,
    enqueuedAtMsLast: Math.max(one.enqueuedAtMsLast, other.enqueuedAtMsLast),
  }
}

/** True if all was read, and nothing is missing or too many; what other routes may have decided is no fault. */
export function isEndpointVerified(verdicts: readonly EndpointVerdict[]): boolean {
  return verdicts.every(({ missing, surplus, unreadBatches }) => missing + surplus + unreadBatches === 0)
}
