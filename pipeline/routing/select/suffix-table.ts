/**
 * What is known of the two maps that end an envelope, by their bytes. A device writes the same ones message after message, so that they
 * are compared instead of read.
 *
 *   envelope │ … body │ properties │ systemProperties │        both maps end themselves: where the bytes of a known suffix stand,
 *                     └────────── suffix ─────────────┘        that suffix stands, whatever follows
 */
import { ByteTable } from './byte-table.ts'
import type { EnvelopeScan } from './envelope-scan.ts'

export class SuffixTable<Entry> {
  readonly #table = new ByteTable<Entry>()

  /** Messages whose suffix was known. */
  get hits(): number {
    return this.#table.hits
  }

  get misses(): number {
    return this.#table.misses
  }

  /**
   * What is known of the suffix of the envelope entered; its `end` is known afterwards, `systemStart` only if nothing is known.
   * HOT: per message; compares with the suffix before, else steps over the maps and hashes them.
   * @throws BATCH_CORRUPT
   */
  find(scan: EnvelopeScan): Entry | undefined {
    const start = scan.propertiesStart
    const length = this.#table.lastAt(scan.bytes, start)
    if (length >= 0) {
      scan.end = start + length
      return this.#table.last
    }
    scan.readMaps()
    return this.#table.find(scan.bytes, start, scan.end)
  }

  /** Keeps what is known of the suffix that was just not found, while there is room. */
  keep(scan: EnvelopeScan, entry: Entry): void {
    this.#table.keep(scan.bytes, scan.propertiesStart, scan.end, entry)
  }
}
