/**
 * Selections that the endpoints of a process share: whoever comes first with a record selects, the others wait for it or find it.
 *
 * Bounded in bytes; the least recently used goes first. Nothing depends on what is kept: with no room at all each asks for itself, and only
 * those that ask at the same moment share.
 */

import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import type { Selection } from './selection.ts'

/** A record under a route set. */
export interface SelectionKey {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Under the same offset a log that was made anew has another record: a batch is known by these. */
  readonly stamp: { readonly edgeId: string; readonly epoch: number; readonly sequence: number }
  /** `RouteSet.revision` */
  readonly revision: string
}

export class SelectionCache {
  readonly #bytesMax: number
  #bytes = 0
  hits = 0
  misses = 0
  /** The least recently used first. */
  readonly #kept = new Map<string, Selection>()
  readonly #awaited = new Map<string, Promise<Selection>>()

  constructor(bytesMax: number = limits.selectionCacheBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** Of what is kept. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * The selection of the record; `select` is called if nobody knows it.
   * @throws what `select` throws, to all who wait; the next one tries again
   */
  async get(key: SelectionKey, select: () => Promise<Selection>): Promise<Selection> {
    const { topic, partition, offset, stamp, revision } = key
    const text = JSON.stringify([topic, partition, offset, stamp.edgeId, stamp.epoch, stamp.sequence, revision])
    const known = this.#kept.get(text)
    if (known !== undefined) {
      this.hits++
      this.#kept.delete(text)
      this.#kept.set(text, known)
      return known
    }
    const awaited = this.#awaited.get(text)
    if (awaited !== undefined) {
      this.hits++
      return awaited
    }
    this.misses++
    const selecting = select()
    this.#awaited.set(text, selecting)
    try {
      const selection = await selecting
      this.#keep(text, selection)
      return selection
    } finally {
      this.#awaited.delete(text)
    }
  }

  #keep(text: string, selection: Selection): void {
    if (selection.bytes > this.#bytesMax) return
    assert(!this.#kept.has(text), 'a selection is kept once: what it counts twice would never be free again')
    this.#kept.set(text, selection)
    this.#bytes += selection.bytes
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#bytes <= this.#bytesMax) return
      this.#kept.delete(oldest)
      this.#bytes -= bytes
      assert(this.#bytes >= 0, 'what is dropped was counted when it was kept')
    }
  }
}
