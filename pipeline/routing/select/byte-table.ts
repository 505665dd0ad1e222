/**
 * What is known of sequences of bytes that come again and again, found without making anything of them.
 *
 * Bounded: `limits.routedSuffixesMax` sequences of at most `limits.routedSuffixBytesMax`. Once full it keeps what it has, until so many
 * more were unknown that others have come into use; then it begins anew.
 */
import { limits } from '#schemas/limits.ts'

const bucketsMax = 8_192
/** More sequences of one bucket are not kept: nobody can make a look-up long by choosing them. */
const chainMax = 8
const none = -1

export class ByteTable<Entry> {
  /** Look-ups that ended with a known sequence, and those that did not. */
  hits = 0
  misses = 0
  /** Bytes of the kept sequences, one behind the other. */
  #arena = Buffer.allocUnsafeSlow(16 * 1024)
  #arenaLength = 0
  readonly #entries: Entry[] = []
  readonly #starts: number[] = []
  readonly #lengths: number[] = []
  readonly #hashes: number[] = []
  /** The next sequence of the same bucket. */
  readonly #nexts: number[] = []
  readonly #buckets = new Int32Array(bucketsMax).fill(none)
  /** Unknown ones since the table was full. */
  #turnedAway = 0
  #last = none
  /** Of the sequence that was looked for last. */
  #hash = 0
  readonly #salt: number

  /** @param salt changes which sequences share a bucket */
  constructor(salt = Math.floor(Math.random() * 2 ** 31)) {
    this.#salt = salt
  }

  get size(): number {
    return this.#entries.length
  }

  /** Length of the sequence that was found or kept last, if it stands there again, whatever follows; -1 if not. HOT: per message. */
  lastAt(bytes: Uint8Array, start: number): number {
    if (this.#last === none || !this.#isAt(this.#last, bytes, start)) return -1
    this.hits++
    return this.#lengths[this.#last] as number
  }

  /** What is known of the sequence that `lastAt` compares with. */
  get last(): Entry | undefined {
    return this.#entries[this.#last]
  }

  /** What is known of the bytes from `start` to `end`. HOT: per message whose bytes are not those before. */
  find(bytes: Uint8Array, start: number, end: number): Entry | undefined {
    const length = end - start
    this.#hash = hashOf(bytes, start, end, this.#salt)
    for (let index = this.#buckets[this.#hash % bucketsMax] as number; index !== none; ) {
      if (this.#hashes[index] === this.#hash && this.#lengths[index] === length && this.#isAt(index, bytes, start)) {
        this.hits++
        this.#last = index
        return this.#entries[index]
      }
      index = this.#nexts[index] as number
    }
    this.misses++
    return undefined
  }

  /** Keeps what is known of the bytes that were just not found, while there is room. */
  keep(bytes: Uint8Array, start: number, end: number, entry: Entry): void {
    const length = end - start
    if (length > limits.routedSuffixBytesMax) return
    if (this.#entries.length === limits.routedSuffixesMax) {
      this.#turnedAway++
      if (this.#turnedAway < limits.routedSuffixesTurnedAwayMax) return
      this.#clear()
    }
    const bucket = this.#hash % bucketsMax
    if (this.#isLong(bucket)) return
    const index = this.#entries.length
    this.#entries.push(entry)
    this.#starts.push(this.#store(bytes, start, end))
    this.#lengths.push(length)
    this.#hashes.push(this.#hash)
    this.#nexts.push(this.#buckets[bucket] as number)
    this.#buckets[bucket] = index
    this.#last = index
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
