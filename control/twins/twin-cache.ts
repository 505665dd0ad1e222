import type { Section } from './section.ts'

/** The reported properties of one twin, as the store had them last. */
export interface KeptTwin {
  /** Of its row: a twin that was made again is another one. */
  readonly birth: string
  readonly section: Section
  /** Of its documents as text. */
  readonly bytes: number
}

/** Objects take so many times the memory of their text, about; and an entry some more. */
const objectsPerText = 4
const entryBytes = 300

/** Reported properties that patches are merged into; of those that were not used for longest none are kept beyond `bytesMax`. */
export class TwinCache {
  readonly #bytesMax: number
  readonly #kept = new Map<string, KeptTwin>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): KeptTwin | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    // Behind all others: the first of the map is the one that was not used for longest.
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    return kept
  }

  set(key: string, kept: KeptTwin): void {
    this.delete(key)
    this.#kept.set(key, kept)
    this.#bytes += costOf(kept)
    for (const [oldest] of this.#kept) {
      if (this.#bytes <= this.#bytesMax) break
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const kept = this.#kept.get(key)
    if (kept === undefined) return
    this.#kept.delete(key)
    this.#bytes -= costOf(kept)
  }
}

function costOf({ bytes }: KeptTwin): number {
  return bytes * objectsPerText + entryBytes
}
