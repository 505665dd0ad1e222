import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'

/** A connection that remembers names. */
export interface NameHolder {
  /** What it holds of the room. */
  readonly bytes: number
  /** Forgets some of what it holds, and gives it back: `give` is called. */
  forgetSome(): void
}

/**
 * What the connections of a process remember together of births. Each may have `sparkplugConnectionNamesBytesMax`; once all of them have
 * `sparkplugNamesBytesMax`, whoever has the most makes room for those that have less [G-4].
 */
export class NameRoom {
  readonly #holders = new Set<NameHolder>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  enter(holder: NameHolder): void {
    this.#holders.add(holder)
  }

  leave(holder: NameHolder): void {
    assert(holder.bytes === 0, 'who leaves has given back what it held')
    this.#holders.delete(holder)
  }

  /** Costs a look at all holders where the room is full; whoever is refused should not ask again for the same birth. */
  take(holder: NameHolder, bytes: number): boolean {
    const wanted = holder.bytes + bytes
    if (wanted > limits.sparkplugConnectionNamesBytesMax) return false
    while (this.#bytes + bytes > limits.sparkplugNamesBytesMax) {
      const largest = this.#largest()
      if (largest === undefined || largest === holder || largest.bytes <= wanted) return false
      const before = this.#bytes
      largest.forgetSome()
      assert(this.#bytes < before, 'who forgets gives back')
    }
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
    assert(this.#bytes >= 0, 'no more is given back than was taken')
  }

  #largest(): NameHolder | undefined {
    let largest: NameHolder | undefined
    for (const holder of this.#holders) if (largest === undefined || holder.bytes > largest.bytes) largest = holder
    return largest
  }
}
