import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'

/** A connection that remembers names. */
export interface NameHolder {
  /** Forgets some of what it holds, and gives it back: `give` is called. */
  forgetSome(): void
}

/** Given back at once where others need room: finding out who has the most takes a look at all who hold something. */
const madeAtOnceBytes = 1024 * 1024

/**
 * What the connections of a process remember together of births. Each may have `sparkplugConnectionNamesBytesMax`; once all of them have
 * `sparkplugNamesBytesMax`, whoever has the most makes room for those that have less [G-4].
 */
export class NameRoom {
  /** Only of those that hold something: most connections give birth to nothing. */
  readonly #held = new Map<NameHolder, number>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  heldBy(holder: NameHolder): number {
    return this.#held.get(holder) ?? 0
  }

  /** Whoever is refused should not ask again for the same birth. */
  take(holder: NameHolder, bytes: number): boolean {
    const wanted = this.heldBy(holder) + bytes
    if (wanted > limits.sparkplugConnectionNamesBytesMax) return false
    while (this.#bytes + bytes > limits.sparkplugNamesBytesMax) if (!this.#makeRoom(wanted)) return false
    this.#bytes += bytes
    this.#held.set(holder, wanted)
    return true
  }

  give(holder: NameHolder, bytes: number): void {
    const left = this.heldBy(holder) - bytes
    assert(left >= 0, 'no more is given back than was taken')
    this.#bytes -= bytes
    if (left > 0) this.#held.set(holder, left)
    else this.#held.delete(holder)
    assert(this.#held.size > 0 || this.#bytes === 0, 'where nobody holds names the room is empty')
  }

  /** @returns whether somebody had more than `wanted`, and gave of it */
  #makeRoom(wanted: number): boolean {
    let [largest, most]: [NameHolder | undefined, number] = [undefined, wanted]
    for (const [holder, bytes] of this.#held) if (bytes > most) [largest, most] = [holder, bytes]
    if (largest === undefined) return false
    const bytesMin = this.#bytes - madeAtOnceBytes
    while (this.heldBy(largest) > wanted && this.#bytes > bytesMin) {
      const before = this.#bytes
      largest.forgetSome()
      assert(this.#bytes < before, 'who forgets gives back')
    }
    return true
  }
}
