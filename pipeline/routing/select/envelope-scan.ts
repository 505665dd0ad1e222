/**
 * Walks the envelopes of a decompressed block in place: positions, no object a message.
 *
 *   start                                                    propertiesStart        systemStart             end
 *   │ length │ deviceId │ enqueuedAtMs │ length │ body       │ map of properties    │ map of system properties │ next envelope …
 *            idStart  idEnd                     bodyStart bodyEnd
 *
 * Lengths, counts and times are Avro longs (zigzag, base 128). A map is blocks of entries, each led by its count, and ends with a
 * count of 0; a negative count is followed by the block's length in bytes (Avro 1.12, "Maps").
 */
import { PenstockError } from '#schemas/errors.ts'

const noBytes = new Uint8Array(0)

/** No length in a block needs more bytes than these, since a block has fewer than 2^20. */
const lengthBytesMax = 4
/** A time is below 2^52, so that it is exact as a number: 53 bits, of which the eighth byte has four. */
const lastTimeByte = 7
const lastTimeByteMax = 0x0f

export class EnvelopeScan {
  /** The block; positions count in it. */
  bytes: Uint8Array = noBytes
  /** Envelopes entered so far. */
  count = 0
  start = 0
  idStart = 0
  idEnd = 0
  bodyStart = 0
  bodyEnd = 0
  propertiesStart = 0
  /** Known after `readMaps`. */
  systemStart = 0
  /** Known after `readMaps`, or set by whoever knows how long the maps are. */
  end = 0
  /** Of the entry that `nextEntry` entered, its lengths included. */
  entryStart = 0
  keyStart = 0
  keyEnd = 0
  valueStart = 0
  valueEnd = 0
  #timeStart = 0
  #textStart = 0
  #at = 0
  /** Of the current block of a map. */
  #entriesLeft = 0

  /** Begins with a block of envelopes, which may not change until the last one is left. */
  open(bytes: Uint8Array): void {
    this.bytes = bytes
    this.count = 0
    this.start = 0
    this.end = 0
  }

  /** Enters the envelope that begins there. @throws BATCH_CORRUPT */
  enter(start: number): void {
    this.end = start
    if (!this.next()) this.#refuse('no envelope')
  }

  /**
   * Enters the envelope at `end`: everything up to its maps. False behind the last one.
   * HOT: per message; reads three lengths and the time's bytes.
   * @throws BATCH_CORRUPT
   */
  next(): boolean {
    const { bytes } = this
    if (this.end >= bytes.length) return false
    this.start = this.end
    this.count++
    this.#at = this.end
    this.idEnd = this.#skipText()
    this.idStart = this.#textStart
    this.#timeStart = this.#at
    this.#skipTime()
    this.bodyEnd = this.#skipText()
    this.bodyStart = this.#textStart
    this.propertiesStart = this.#at
    return true
  }

  /** Steps over the two maps. HOT: per message whose maps are not known. @throws BATCH_CORRUPT */
  readMaps(): void {
    this.enterMap(this.propertiesStart)
    while (this.nextEntry());
    this.systemStart = this.#at
    this.enterMap(this.systemStart)
    while (this.nextEntry());
    this.end = this.#at
  }

  /** @param start `propertiesStart` or `systemStart` */
  enterMap(start: number): void {
    this.#at = start
    this.#entriesLeft = 0
  }

  /** Enters the next entry of the map; false behind the last one. @throws BATCH_CORRUPT */
  nextEntry(): boolean {
    if (this.#entriesLeft === 0 && !this.#nextEntries()) return false
    this.#entriesLeft--
    this.entryStart = this.#at
    this.keyEnd = this.#skipText()
    this.keyStart = this.#textStart
    this.valueEnd = this.#skipText()
    this.valueStart = this.#textStart
    return true
  }

  /** UTC milliseconds. */
  enqueuedAtMs(): number {
    const { bytes } = this
    let value = 0
    let scale = 1
    for (let at = this.#timeStart; ; at++) {
      const byte = bytes[at] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
      scale *= 0x80
    }
  }

  /** Steps over a length and as many bytes; returns where these end. */
  #skipText(): number {
    const length = this.#long()
    this.#textStart = this.#at
    if (length < 0 || length > this.bytes.length - this.#at) this.#refuse('a length that reaches beyond the block')
    this.#at += length
    return this.#at
  }

  #skipTime(): void {
    const { bytes } = this
    const start = this.#at
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at] as number
      if (at === start + lastTimeByte && byte > lastTimeByteMax) break
      if (byte < 0x80) {
        this.#at = at + 1
        return
      }
    }
    this.#refuse('a time that is cut short, or not below 2^52')
  }

  /** The count that leads the next block of a map; false at the map's end. */
  #nextEntries(): boolean {
    let entries = this.#long()
    if (entries === 0) return false
    if (entries < 0) {
      entries = -entries
      this.#long()
    }
    // Each takes two bytes at least; what a count promises is not looped over otherwise.
    if (entries > (this.bytes.length - this.#at) >> 1) this.#refuse('a map of more entries than bytes')
    this.#entriesLeft = entries
    return true
  }

  /** The long at `#at`, which moves behind it. */
  #long(): number {
    const { bytes } = this
    let at = this.#at
    let value = 0
    for (let shift = 0; shift < 7 * lengthBytesMax; shift += 7) {
      if (at >= bytes.length) this.#refuse('a length that is cut short')
      const byte = bytes[at++] as number
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.#at = at
        return (value >>> 1) ^ -(value & 1)
      }
    }
    return this.#refuse('a length beyond any block')
  }

  #refuse(fault: string): never {
    throw new PenstockError(
      'BATCH_CORRUPT',
      `envelope ${this.count} of a block, at byte ${this.start} of ${this.bytes.length}: ${fault}`,
    )
  }
}
