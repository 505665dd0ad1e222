/**
 * Who reads which partition for which group.
 *
 *   with an epoch      alone: of two the higher or else the newer stays, and whoever read without one has to go
 *   without one        `limits.readersPerPartitionMax` together, and none beside one with an epoch
 *
 * The edge processes of a machine tell one another of readers with epochs: as they come, again while they are there, and as they leave. Only
 * a reader that comes makes others go.
 */
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** What edge processes tell one another. */
export interface ReaderClaim {
  /** Hub, group and partition. */
  readonly place: string
  readonly epoch: number
  readonly kind: 'comes' | 'stays' | 'leaves'
}

interface Reader {
  readonly epoch: number | undefined
  readonly onStolen: (error: PenstockError) => void
}

/** A reader at another edge process. */
interface Elsewhere {
  readonly epoch: number
  readonly untilMs: number
}

export class PartitionReaders {
  readonly #clock: Clock
  readonly #tell: (claim: ReaderClaim) => void
  readonly #places = new Map<string, Set<Reader>>()
  readonly #elsewhere = new Map<string, Elsewhere>()
  #count = 0
  #isTelling = false

  /** @param tell the other edge processes */
  constructor(clock: Clock, tell: (claim: ReaderClaim) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  get count(): number {
    return this.#count
  }

  /**
   * @param place hub, group and partition
   * @param onStolen called once, if another reader takes the partition over; `leave` is called all the same
   * @returns leaves
   * @throws INGEST_LINK_STOLEN, INGEST_READERS_FULL
   */
  enter(place: string, epoch: number | undefined, onStolen: Reader['onStolen']): () => void {
    const readers = this.#places.get(place) ?? new Set()
    const alone = this.#aloneIn(place, readers)
    if (alone !== undefined && (epoch === undefined || epoch < alone))
      throw new PenstockError(
        'INGEST_LINK_STOLEN',
        `a reader with epoch ${alone} has this partition, and this one has ${epoch === undefined ? 'none' : `epoch ${epoch}`}`,
      )
    if (epoch === undefined && readers.size >= limits.readersPerPartitionMax)
      throw full(`${limits.readersPerPartitionMax} others read this partition for this group already`)
    if (this.#count >= limits.readersMax) throw full(`this edge has its ${limits.readersMax} readers`)
    const reader: Reader = { epoch, onStolen }
    const others = [...readers]
    readers.add(reader)
    this.#count++
    this.#places.set(place, readers)
    if (epoch !== undefined) {
      for (const other of others) other.onStolen(stolenBy(epoch))
      assert(readers.size === 1, 'a reader with an epoch is alone: two would both handle each message')
      this.#elsewhere.delete(place)
      this.#tell({ place, epoch, kind: 'comes' })
      this.#tellAgain()
    }
    return () => this.#leave(place, readers, reader)
  }

  /** Another edge process told this. */
  heard({ place, epoch, kind }: ReaderClaim): void {
    if (kind === 'leaves') {
      // Of one that was taken over it may come late.
      if ((this.#elsewhere.get(place)?.epoch ?? epoch) <= epoch) this.#elsewhere.delete(place)
      return
    }
    const readers = [...(this.#places.get(place) ?? [])]
    const higher = readers.find((reader) => reader.epoch !== undefined && reader.epoch > epoch)
    if (kind === 'comes' && higher?.epoch !== undefined) {
      // The other one had not heard of it.
      this.#tell({ place, epoch: higher.epoch, kind: 'comes' })
      return
    }
    if (this.#elsewhere.size >= limits.readerClaimsMax) this.#forgetOld()
    if (this.#elsewhere.size < limits.readerClaimsMax)
      this.#elsewhere.set(place, { epoch, untilMs: this.#clock.monotonicMs() + limits.readerClaimMs })
    // Those who go now do not tell it: a third edge would take it for the end of who came.
    if (kind === 'comes') for (const reader of readers) reader.onStolen(stolenBy(epoch))
  }

  /** Epoch of who has a place for itself. */
  #aloneIn(place: string, readers: ReadonlySet<Reader>): number | undefined {
    for (const { epoch } of readers) if (epoch !== undefined) return epoch
    const elsewhere = this.#elsewhere.get(place)
    return elsewhere !== undefined && elsewhere.untilMs > this.#clock.monotonicMs() ? elsewhere.epoch : undefined
  }

  #leave(place: string, readers: Set<Reader>, reader: Reader): void {
    if (!readers.delete(reader)) return
    this.#count--
    if (readers.size === 0 && this.#places.get(place) === readers) this.#places.delete(place)
    const { epoch } = reader
    // Who takes it over has told of itself.
    if (epoch !== undefined && readers.size === 0 && !this.#elsewhere.has(place))
      this.#tell({ place, epoch, kind: 'leaves' })
  }

  #tellAgain(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    this.#clock.after(limits.readerClaimAgainMs, () => {
      this.#isTelling = false
      let told = 0
      for (const [place, readers] of this.#places)
        for (const { epoch } of readers) {
          if (epoch === undefined) continue
          told++
          this.#tell({ place, epoch, kind: 'stays' })
        }
      if (told > 0) this.#tellAgain()
    })
  }

  #forgetOld(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [place, { untilMs }] of this.#elsewhere) if (untilMs <= nowMs) this.#elsewhere.delete(place)
  }
}

function stolenBy(epoch: number): PenstockError {
  return new PenstockError('INGEST_LINK_STOLEN', `a newer reader with epoch ${epoch} took this partition over`)
}

function full(text: string): PenstockError {
  return new PenstockError('INGEST_READERS_FULL', text)
}
