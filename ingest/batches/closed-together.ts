import { assert } from '#runtime/assert.ts'

/** A partition whose batches wait to be appended. */
export interface Appending {
  appendInOrder(): Promise<void>
}

/**
 * Batches that were closed at once. They are appended once all of them are compressed: so they reach the log in one turn of the
 * event loop and share its commit.
 */
export class ClosedTogether {
  readonly #partitions: Appending[] = []
  #compressing = 0

  add(partition: Appending): void {
    this.#partitions.push(partition)
    this.#compressing++
  }

  compressed(): void {
    assert(this.#compressing > 0, 'no more blocks are compressed than were closed')
    this.#compressing--
    if (this.#compressing > 0) return
    for (const partition of this.#partitions.splice(0)) void partition.appendInOrder()
  }
}
