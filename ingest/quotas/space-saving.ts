/**
 * The heaviest keys of a stream in bounded memory (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k
 * Elements in Data Streams", 2005). A key with more than total ÷ `keysMax` of the weight is always among those kept, and its
 * weight is too high by `error` at most.
 *
 * The kept keys lie in a binary heap, lightest first: a new key replaces that one and inherits its weight as error.
 */
import { assert } from '#runtime/assert.ts'
export class SpaceSaving {
  readonly #keysMax: number
  readonly #heap: Kept[] = []
  readonly #kept = new Map<string, Kept>()

  constructor(keysMax: number) {
    assert(keysMax > 0, 'some keys are kept')
    this.#keysMax = keysMax
  }

  /** Cost: O(log keysMax). */
  add(key: string, weight: number): void {
    const known = this.#kept.get(key)
    if (known !== undefined) {
      known.weight += weight
      this.#sink(known.index)
      return
    }
    if (this.#heap.length < this.#keysMax) {
      const added: Kept = { key, weight, error: 0, index: this.#heap.length }
      this.#heap.push(added)
      this.#kept.set(key, added)
      this.#rise(added.index)
      return
    }
    const lightest = this.#heap[0] as Kept
    this.#kept.delete(lightest.key)
    this.#kept.set(key, lightest)
    lightest.key = key
    lightest.error = lightest.weight
    lightest.weight += weight
    assert(this.#kept.size === this.#heap.length, 'a key is kept once')
    this.#sink(0)
  }

  /** Kept keys, heaviest first. */
  heaviest(countMax: number): { readonly key: string; readonly weight: number; readonly error: number }[] {
    return [...this.#heap]
      .sort((one, other) => other.weight - one.weight)
      .slice(0, countMax)
      .map(({ key, weight, error }) => ({ key, weight, error }))
  }

  get size(): number {
    return this.#heap.length
  }

  #rise(start: number): void {
    let index = start
    while (index > 0) {
      const above = (index - 1) >> 1
      if (this.#weightAt(above) <= this.#weightAt(index)) return
      this.#swap(index, above)
      index = above
    }
  }

  #sink(start: number): void {
    let index = start
    for (;;) {
      let child = 2 * index + 1
      if (child >= this.#heap.length) return
      if (child + 1 < this.#heap.length && this.#weightAt(child + 1) < this.#weightAt(child)) child++
      if (this.#weightAt(index) <= this.#weightAt(child)) return
      this.#swap(index, child)
      index = child
    }
  }

  #weightAt(index: number): number {
    return (this.#heap[index] as Kept).weight
  }

  #swap(one: number, other: number): void {
    const first = this.#heap[one] as Kept
    const second = this.#heap[other] as Kept
    this.#heap[one] = second
    this.#heap[other] = first
    second.index = one
    first.index = other
  }
}

interface Kept {
  key: string
  weight: number
  error: number
  index: number
}
