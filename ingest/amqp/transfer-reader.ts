/**
 * TRANSFER (part 2, section 2.7.5), read in place: a list of up to eleven fields, each with its own constructor.
 *
 *   0 handle │ 1 delivery id │ 2 delivery tag │ 3 message format │ 4 settled │ 5 more │ 6 receiver settle mode │ 7 state │ 8 resume │ 9 aborted │ 10 batchable
 */
import { endOfValue, malformed } from '#runtime/amqp/read-values.ts'

/** Results lie in its fields until the next `read`, so that none is allocated. */
export class TransferReader {
  handle = 0
  /** -1: left out, as in all frames of a message but the first. */
  deliveryId = -1
  messageFormat = 0
  settled = false
  more = false
  aborted = false
  payloadStart = 0
  #at = 0

  /** @param start of the list @throws INGEST_FRAME_MALFORMED. HOT: per frame of a message. */
  read(bytes: Buffer, start: number, end: number): void {
    const listEnd = endOfValue(bytes, start, end)
    const format = bytes[start]
    let count: number
    if (format === 0xc0) {
      count = bytes[start + 2] as number
      this.#at = start + 3
    } else if (format === 0xd0 && start + 9 <= listEnd) {
      count = bytes.readUInt32BE(start + 5)
      this.#at = start + 9
    } else throw malformed('a transfer without fields')
    if (count < 1 || count > 11) throw malformed(`a transfer of ${count} fields`)
    this.handle = this.#number(bytes, listEnd, -1)
    if (this.handle < 0) throw malformed('a transfer without a handle')
    this.deliveryId = count > 1 ? this.#number(bytes, listEnd, -1) : -1
    if (count > 2) this.#at = endOfValue(bytes, this.#at, listEnd)
    this.messageFormat = count > 3 ? this.#number(bytes, listEnd, 0) : 0
    this.settled = count > 4 && this.#flag(bytes, listEnd)
    this.more = count > 5 && this.#flag(bytes, listEnd)
    for (let index = 6; index < Math.min(count, 9); index++) this.#at = endOfValue(bytes, this.#at, listEnd)
    this.aborted = count > 9 && this.#flag(bytes, listEnd)
    if (count > 10) this.#at = endOfValue(bytes, this.#at, listEnd)
    if (this.#at !== listEnd) throw malformed('a transfer that is not as long as it says')
    this.payloadStart = listEnd
  }

  #number(bytes: Buffer, end: number, absent: number): number {
    const at = this.#at
    const format = at < end ? bytes[at] : undefined
    let value: number
    let length: number
    if (format === 0x52) {
      length = 2
      value = bytes[at + 1] as number
    } else if (format === 0x43) {
      length = 1
      value = 0
    } else if (format === 0x70 && at + 5 <= end) {
      length = 5
      value = bytes.readUInt32BE(at + 1)
    } else if (format === 0x40) {
      length = 1
      value = absent
    } else throw malformed('a field of a transfer that is no number')
    this.#at = at + length
    if (this.#at > end) throw malformed('a transfer that is cut short')
    return value
  }

  #flag(bytes: Buffer, end: number): boolean {
    const at = this.#at
    const format = at < end ? bytes[at] : undefined
    if (format === 0x41 || format === 0x42 || format === 0x40) {
      this.#at = at + 1
      return format === 0x41
    }
    if (format !== 0x56 || at + 2 > end) throw malformed('a field of a transfer that is no truth value')
    this.#at = at + 2
    return bytes[at + 1] !== 0
  }
}
