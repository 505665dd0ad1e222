/**
 * What is known of the two maps that end an envelope, by their bytes. A device writes the same ones message after message, so that they
 * are compared instead of read.
 *
 *   envelope │ … body │ properties │ systemProperties │        both maps end themselves: where the bytes of a known suffix stand,
 *                     └────────── suffix ─────────────┘        that suffix stands, whatever follows
 *
 * Bounded: `suffixesKeptMax` of at most `suffixBytesMax`. Once full it keeps what it has, until so many more were unknown that another
 * set has come into use. Where suffixes never repeat, as with a time in a property, little is paid beside reading them.
 */
import { limits } from '#schemas/limits.ts'
import type { EnvelopeScan } from './envelope-scan.ts'

const bucketsMax = 8_192
/** More suffixes of one hash are not kept: nobody can make a look-up long by choosing properties. */
const chainMax = 8
const none = -1

export class SuffixTable<Entry> {
  /** Look-ups that ended with a known suffix, and those that did not. */
  hits = 0
  misses = 0
  /** Bytes of the kept suffixes, one behind the other. */
  #arena = Buffer.allocUnsafeSlow(16 * 1024)
  #arenaLength = 0
  readonly #entries: Entry[] = []
  readonly #starts: number[] = []
  readonly #lengths: number[] = []
  readonly #hashes: number[] = []
  /** The next suffix of the same bucket. */
  readonly #nexts: number[] = []
  readonly #buckets = new Int32Array(bucketsMax).fill(none)
  /** Unknown ones since the table was full. */
  #turnedAway = 0
  #last = none
  /** Of the suffix that was not found last. */
  #hash = 0
  readonly #salt: number

  /** @param salt changes which suffixes share a bucket */
  constructor(salt = Math.floor(Math.random() * 2 ** 31)) {
    this.#salt = salt
  }

  get size(): number {
    return this.#entries.length
  }

  /**
   * What is known of the suffix of the envelope entered; its `end` is known afterwards, `systemStart` only if nothing is known.
   * HOT: per message; compares with the suffix before, else steps over the maps and hashes them.
   * @throws BATCH_CORRUPT
   */
  find(scan: EnvelopeScan): Entry | undefined {
    const start = scan.propertiesStart
    if (this.#last !== none && this.#isAt(this.#last, scan.bytes, start)) {
      this.hits++
      scan.end = start + (this.#lengths[this.#last] as number)
      return this.#entries[this.#last]
    }
    scan.readMaps()
    const length = scan.end - start
    this.#hash = hashOf(scan.bytes, start, scan.end, this.#salt)
    for (let index = this.#buckets[this.#hash % bucketsMax] as number; index !== none; ) {
      if (
        this.#hashes[index] === this.#hash &&
        this.#lengths[index] === length &&
        this.#isAt(index, scan.bytes, start)
      ) {
        this.hits++
        this.#last = index
        return this.#entries[index]
      }
      index = this.#nexts[index] as number
    }
    this.misses++
    return undefined
  }

  /** Keeps what is known of the suffix that was just not found, while there is room. False if it is not kept. */
  keep(scan: EnvelopeScan, entry: Entry): boolean {
    const start = scan.propertiesStart
    const length = scan.end - start
    if (length > limits.routedSuffixBytesMax) return false
    if (this.#entries.length === limits.routedSuffixesMax) {
      this.#turnedAway++
      if (this.#turnedAway < limits.routedSuffixesTurnedAwayMax) return false
      this.#clear()
    }
    const bucket = this.#hash % bucketsMax
    if (this.#isLong(bucket)) return false
    const index = this.#entries.length
    this.#entries.push(entry)
    this.#starts.push(this.#store(scan.bytes, start, scan.end))
    this.#lengths.push(length)
    this.#hashes.push(this.#hash)
    this.#nexts.push(this.#buckets[bucket] as number)
    this.#buckets[bucket] = index
    this.#last = index
    return true
  }

  #isLong(bucket: number): boolean {
    let length = 0
    for (let index = this.#buckets[bucket] as number; index !== none; index = this.#nexts[index] as number) length++
    return length >= chainMax
  }

  #store(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    if (this.#arenaLength + length > this.#arena.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#arena.length, this.#arenaLength + length))
      this.#arena.copy(larger, 0, 0, this.#arenaLength)
      this.#arena = larger
    }
    const at = this.#arenaLength
    this.#arena.set(bytes.subarray(start, end), at)
    this.#arenaLength += length
    return at
  }

  #isAt(index: number, bytes: Uint8Array, start: number): boolean {
    const length = this.#lengths[index] as number
    if (length > bytes.length - start) return false
    const arena = this.#arena
    const from = this.#starts[index] as number
    for (let at = 0; at < length; at++) {
      if (arena[from + at] !== bytes[start + at]) return false
    }
    return true
  }

  #clear(): void {
    this.#arenaLength = 0
    for (const list of [this.#entries, this.#starts, this.#lengths, this.#hashes, this.#nexts]) list.length = 0
    this.#buckets.fill(none)
    this.#last = none
    this.#turnedAway = 0
  }
}

/** 31 bits over all bytes, four at a time (FNV-1a's way of mixing). */
function hashOf(bytes: Uint8Array, start: number, end: number, salt: number): number {
  let hash = salt ^ (end - start)
  let at = start
  for (; at + 4 <= end; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    hash = Math.imul(hash ^ word, 0x01000193)
    hash ^= hash >>> 15
  }
  for (; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193)
  return (hash ^ (hash >>> 13)) & 0x7fffffff
}
