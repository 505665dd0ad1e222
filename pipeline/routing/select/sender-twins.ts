/**
 * What routes and enrichments want of the twins of senders, in the memory of a router: some values of each, the least recently used gone first.
 *
 *   condition ─▶ RecordTwins ─▶ SenderTwins ── not there, or too old ─▶ TwinReader (the control store, many at once)
 *                one selection      ▲ changed, or perhaps: read again when it is asked for next
 *                                   └── changes that are told
 *
 * While the store is away, what is in memory counts, however old; of a sender that is not, nobody knows, and its record waits.
 */
import type { Path } from '#pipeline/routing/condition/needs.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { bytesOf, isChangedAt, type TwinValue, twinValueAt } from './twin-value.ts'

export interface TwinReader {
  /**
   * Tags and properties of these senders, by their `identityText`; those that are unknown are left out.
   * @throws STORE_UNAVAILABLE (retry)
   */
  read(senders: readonly string[]): Promise<ReadonlyMap<string, unknown>>
}

export interface SenderTwinsOptions {
  readonly reader: TwinReader
  readonly clock: Clock
  /** What is older is read again, though nobody told of a change. */
  readonly ageMsMax: number
  /** Left out: `limits.routedTwinsBytesMax`. */
  readonly bytesMax?: number
}

/** By the indexes of paths. */
type TwinValues = readonly TwinValue[]

interface KnownTwin {
  readonly values: TwinValues
  readonly readMonotonicMs: number
  readonly bytes: number
  isStale: boolean
}

const entryBytes = 200
/** After a read that failed, those that are known are not read again before: each failure may take as long as a time-out. */
const awayMs = 5_000

/** Of a process, for all its routes. */
export class SenderTwins {
  readonly #options: SenderTwinsOptions
  readonly #bytesMax: number
  readonly #paths: Path[] = []
  readonly #indexes = new Map<string, number>()
  /** The least recently used first. */
  readonly #known = new Map<string, KnownTwin>()
  /** Who changed while a read was under way, which may not have seen it; a set for each read. */
  readonly #changedSince = new Set<Set<string>>()
  #bytes = 0
  #missed = 0
  #awayUntilMonotonicMs = Number.NEGATIVE_INFINITY

  constructor(options: SenderTwinsOptions) {
    this.#options = options
    this.#bytesMax = options.bytesMax ?? limits.routedTwinsBytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#known.size
  }

  /** True once anything is asked of twins. */
  get isUsed(): boolean {
    return this.#paths.length > 0
  }

  /** Paths are only ever added, so an index stays what it is. */
  indexOf(path: Path): number {
    const key = JSON.stringify(path)
    const known = this.#indexes.get(key)
    if (known !== undefined) return known
    this.#indexes.set(key, this.#paths.length)
    return this.#paths.push(path) - 1
  }

  /** Undefined: it has to be read. */
  find(sender: string): TwinValues | undefined {
    const twin = this.#known.get(sender)
    if (twin === undefined || twin.isStale || !this.#isWhole(twin)) return undefined
    if (this.#options.clock.monotonicMs() - twin.readMonotonicMs > this.#options.ageMsMax) return undefined
    this.#known.delete(sender)
    this.#known.set(sender, twin)
    return twin.values
  }

  /** Reads them. @throws STORE_UNAVAILABLE where the store is away and one of them is not in memory either */
  async load(senders: readonly string[]): Promise<ReadonlyMap<string, TwinValues>> {
    const loaded = new Map<string, TwinValues>()
    for (let first = 0; first < senders.length; first += limits.routedTwinsAtOnceMax)
      await this.#read(senders.slice(first, first + limits.routedTwinsAtOnceMax), loaded)
    return loaded
  }

  /** Whether a change of it matters here. */
  knows(sender: string): boolean {
    return this.#known.has(sender) || this.#changedSince.size > 0
  }

  /** @param body as it was told; undefined: anything of it may have changed */
  changed(sender: string, body: unknown): void {
    if (body !== undefined && !this.#paths.some((path) => isChangedAt(body, path))) return
    for (const changed of this.#changedSince) changed.add(sender)
    const twin = this.#known.get(sender)
    if (twin !== undefined) twin.isStale = true
  }

  /** Changes may have been missed. */
  missed(): void {
    this.#missed++
    for (const twin of this.#known.values()) twin.isStale = true
  }

  async #read(senders: readonly string[], loaded: Map<string, TwinValues>): Promise<void> {
    const { reader, clock } = this.#options
    if (clock.monotonicMs() < this.#awayUntilMonotonicMs && this.#keepsAll(senders, loaded)) return
    const changed = new Set<string>()
    this.#changedSince.add(changed)
    const missed = this.#missed
    const paths = [...this.#paths]
    try {
      const readMonotonicMs = clock.monotonicMs()
      const found = await reader.read(senders)
      for (const sender of senders) {
        const twin = found.get(sender)
        const values = paths.map((path) => twinValueAt(twin, path))
        const isStale = changed.has(sender) || this.#missed !== missed
        loaded.set(sender, values)
        this.#keep(sender, values, readMonotonicMs, isStale)
      }
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'retry') throw error
      this.#awayUntilMonotonicMs = clock.monotonicMs() + awayMs
      if (!this.#keepsAll(senders, loaded)) throw error
    } finally {
      this.#changedSince.delete(changed)
    }
  }

  /** However old they are. @returns whether all of them are known; `loaded` has those that are */
  #keepsAll(senders: readonly string[], loaded: Map<string, TwinValues>): boolean {
    for (const sender of senders) {
      const twin = this.#known.get(sender)
      if (twin === undefined || !this.#isWhole(twin)) return false
      loaded.set(sender, twin.values)
    }
    return true
  }

  #isWhole({ values }: KnownTwin): boolean {
    return values.length === this.#paths.length
  }

  #keep(sender: string, values: TwinValues, readMonotonicMs: number, isStale: boolean): void {
    this.#drop(sender)
    const bytes = values.reduce<number>((sum, value) => sum + bytesOf(value), entryBytes + 2 * sender.length)
    this.#known.set(sender, { values, readMonotonicMs, bytes, isStale })
    this.#bytes += bytes
    for (const [oldest] of this.#known) {
      if (this.#bytes <= this.#bytesMax) return
      this.#drop(oldest)
    }
  }

  #drop(sender: string): void {
    const twin = this.#known.get(sender)
    if (twin === undefined) return
    this.#known.delete(sender)
    this.#bytes -= twin.bytes
    assert(this.#bytes >= 0, 'what is dropped was counted when it was kept')
  }
}

/** About what a sender takes in a selection. */
const recordEntryBytes = 100

/** Twins as one selection has them: each once, the same to the end, whatever changes meanwhile. */
export class RecordTwins {
  readonly #twins: SenderTwins
  readonly #values = new Map<string, TwinValues>()
  readonly #missing = new Set<string>()

  constructor(twins: SenderTwins) {
    this.#twins = twins
  }

  get bytes(): number {
    return this.#values.size * recordEntryBytes
  }

  indexOf(path: Path): number {
    return this.#twins.indexOf(path)
  }

  /** Undefined: it has to be loaded. */
  of(sender: string): TwinValues | undefined {
    const known = this.#values.get(sender) ?? this.#twins.find(sender)
    if (known === undefined) this.#missing.add(sender)
    else this.#values.set(sender, known)
    return known
  }

  all(): Iterable<TwinValues> {
    return this.#values.values()
  }

  /** Loads what was asked for in vain. @returns whether there was anything; then what was made of it is not right yet */
  async load(): Promise<boolean> {
    if (this.#missing.size === 0) return false
    const missing = [...this.#missing]
    for (const [sender, values] of await this.#twins.load(missing)) this.#values.set(sender, values)
    // The selection would be made again for ever.
    for (const sender of missing)
      assert(this.#values.has(sender), 'a twin that was loaded is known, if only that there is none')
    this.#missing.clear()
    return true
  }
}
