/**
 * DISPOSITION (part 2, section 2.7.6), read in place as brokers write it: each message that comes alone costs one.
 *
 *   size 4 │ 02 00 channel 2 │ 00 53 15 c0 size count │ 41 of the receiver │ first │ last, or 40 │ 41│42 settled │ 00 53 outcome …
 */
import { frameHeadBytes, performatives } from '#runtime/amqp/frames.ts'

/** Results lie in its fields until the next `read`, so that none is allocated. */
export class DispositionReader {
  first = 0
  /** Included. */
  last = 0
  /** Code of the outcome's type. */
  outcome = 0
  #at = 0

  /** HOT. The frame at `start`..`end` is whole. @returns false: it is something else, or not in this form */
  read(bytes: Buffer, start: number, end: number): boolean {
    const body = start + frameHeadBytes
    if (end - body < 12 || bytes[start + 4] !== 2 || bytes[body + 2] !== performatives.disposition) return false
    if (bytes[body] !== 0 || bytes[body + 1] !== 0x53 || bytes[body + 3] !== 0xc0) return false
    if ((bytes[body + 5] as number) < 5 || bytes[body + 6] !== 0x41) return false
    this.#at = body + 7
    this.first = this.#number(bytes, end)
    this.last = this.#number(bytes, end, this.first)
    const at = this.#at
    if (this.first < 0 || this.last < 0 || at + 4 > end || (bytes[at] !== 0x41 && bytes[at] !== 0x42)) return false
    if (bytes[at + 1] !== 0 || bytes[at + 2] !== 0x53) return false
    this.outcome = bytes[at + 3] as number
    return true
  }

  /** @param absent what a null means @returns -1: it is no number */
  #number(bytes: Buffer, end: number, absent = -1): number {
    const at = this.#at
    switch (bytes[at]) {
      case 0x43:
        this.#at = at + 1
        return 0
      case 0x52:
        this.#at = at + 2
        return at + 2 <= end ? (bytes[at + 1] as number) : -1
      case 0x70:
        this.#at = at + 5
        return at + 5 <= end ? bytes.readUInt32BE(at + 1) : -1
      case 0x40:
        this.#at = at + 1
        return absent
      default:
        return -1
    }
  }
}
