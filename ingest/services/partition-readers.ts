/**
 * Who reads which partition for which group.
 *
 *   with an epoch      alone: of two the higher or else the newer stays, and whoever read without one has to go
 *   without one        `limits.readersPerPartitionMax` together, and none beside one with an epoch
 */
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

interface Reader {
  readonly epoch: number | undefined
  readonly onStolen: (error: PenstockError) => void
}

export class PartitionReaders {
  readonly #places = new Map<string, Set<Reader>>()
  #count = 0

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
    const alone = [...readers].find((reader) => reader.epoch !== undefined)?.epoch
    if (alone !== undefined && (epoch === undefined || epoch < alone))
      throw new PenstockError(
        'INGEST_LINK_STOLEN',
        `a reader with epoch ${alone} has this partition, and this one has ${epoch === undefined ? 'none' : `epoch ${epoch}`}`,
      )
    if (epoch === undefined && readers.size >= limits.readersPerPartitionMax)
      throw new PenstockError(
        'INGEST_READERS_FULL',
        `${limits.readersPerPartitionMax} others read this partition for this group already`,
      )
    if (this.#count >= limits.readersMax)
      throw new PenstockError('INGEST_READERS_FULL', `this edge has its ${limits.readersMax} readers`)
    const reader: Reader = { epoch, onStolen }
    const others = [...readers]
    readers.add(reader)
    this.#count++
    this.#places.set(place, readers)
    if (epoch !== undefined) for (const other of others) other.onStolen(stolenBy(epoch))
    return () => this.#leave(place, readers, reader)
  }

  #leave(place: string, readers: Set<Reader>, reader: Reader): void {
    if (!readers.delete(reader)) return
    this.#count--
    if (readers.size === 0 && this.#places.get(place) === readers) this.#places.delete(place)
  }
}

function stolenBy(epoch: number): PenstockError {
  return new PenstockError('INGEST_LINK_STOLEN', `a newer reader with epoch ${epoch} took this partition over`)
}
