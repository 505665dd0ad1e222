/**
 * Values of AMQP 1.0 (part 1 of the norm), read from bytes of a stranger. The first byte says what follows:
 *
 *   00            a description, then the value that it describes
 *   4x            nothing           5x, 6x, 7x, 8x, 9x    1, 2, 4, 8, 16 bytes
 *   ax            1 byte of length, bytes                 bx   4 bytes of length, bytes
 *   cx            1 byte of size, 1 of count, values      dx   the same with 4 bytes each
 *   ex            as c, with one constructor for all      fx   as d, likewise
 *
 * No read goes beyond the end that it was given, no length is believed before it is compared with what is there, and how deep and how many
 * values may be is bounded. What is given as bytes lies in the frame itself: copy what must outlive it.
 */
import { isUtf8 } from 'node:buffer'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** Text is `string`, also that of symbols; binary is `Buffer`; a moment is `Date`; whole numbers that a number cannot hold are `bigint`. */
export type ReadValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Buffer
  | DescribedValue
  | ReadValue[]
  | Map<ReadValue, ReadValue>

export class DescribedValue {
  readonly descriptor: ReadValue
  readonly value: ReadValue

  constructor(descriptor: ReadValue, value: ReadValue) {
    this.descriptor = descriptor
    this.value = value
  }
}

/** Bytes that are no AMQP; the connection ends, or the message is refused. */
export function malformed(what: string): PenstockError {
  return new PenstockError('INGEST_FRAME_MALFORMED', what)
}

/** Bytes of a value by the upper half of its constructor, up to 9. */
const fixedBytes = [0, 0, 0, 0, 0, 1, 2, 4, 8, 16] as const

/**
 * Where the value that begins at `start` ends, without reading it. HOT: per section of a message.
 * @throws INGEST_FRAME_MALFORMED
 */
export function endOfValue(bytes: Buffer, start: number, end: number): number {
  let at = start
  // A described value is its descriptor, then the value. Descriptors that are described themselves are no one's.
  if (at < end && bytes[at] === 0) {
    if (bytes[at + 1] === 0) throw malformed('a descriptor that is described itself')
    at = endOfPlain(bytes, at + 1, end)
    if (at < end && bytes[at] === 0) throw malformed('a description of a description')
  }
  return endOfPlain(bytes, at, end)
}

function endOfPlain(bytes: Buffer, start: number, end: number): number {
  if (start >= end) throw cutShort()
  const format = bytes[start] as number
  const kind = format >>> 4
  let at = start + 1
  if (kind < 4) throw malformed(`${format} begins no value`)
  if (kind < 10) at += fixedBytes[kind] as number
  else if ((kind & 1) === 0) {
    if (at >= end) throw cutShort()
    at += 1 + (bytes[at] as number)
  } else {
    if (at + 4 > end) throw cutShort()
    at += 4 + bytes.readUInt32BE(at)
  }
  if (at > end) throw cutShort()
  return at
}

/** Reads values one after the other. */
export class ValueReader {
  readonly bytes: Buffer
  readonly end: number
  at: number
  /** Values that may still come, in all. */
  #left: number = limits.amqpValuesMax

  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes
    this.at = start
    this.end = end
  }

  get hasMore(): boolean {
    return this.at < this.end
  }

  /** @throws INGEST_FRAME_MALFORMED */
  next(depth = 0): ReadValue {
    if (depth > limits.amqpDepthMax) throw malformed(`values more than ${limits.amqpDepthMax} deep`)
    if (--this.#left < 0) throw malformed(`more than ${limits.amqpValuesMax} values`)
    const format = this.#byte()
    if (format !== 0) return this.#valueOf(format, depth)
    const descriptor = this.next(depth + 1)
    return new DescribedValue(descriptor, this.next(depth + 1))
  }

  #valueOf(format: number, depth: number): ReadValue {
    const kind = format >>> 4
    if (kind < 10) return this.#fixed(format)
    if (kind < 12) return this.#variable(format, kind === 10 ? this.#byte() : this.#uint32())
    const isShort = (kind & 1) === 0
    const size = isShort ? this.#byte() : this.#uint32()
    const ends = this.at + size
    if (ends > this.end || size < (isShort ? 1 : 4)) throw cutShort()
    const count = isShort ? this.#byte() : this.#uint32()
    const value = kind < 14 ? this.#compound(format, count, ends, depth) : this.#array(count, ends, depth)
    if (this.at !== ends) throw malformed('a list, map or array that is not as long as it says')
    return value
  }

  #fixed(format: number): ReadValue {
    const { bytes } = this
    switch (format) {
      case 0x40:
        return null
      case 0x41:
        return true
      case 0x42:
        return false
      case 0x43:
      case 0x44:
        return 0
      case 0x45:
        return []
      case 0x50:
      case 0x52:
      case 0x53:
        return this.#byte()
      case 0x56:
        return this.#byte() !== 0
      case 0x51:
      case 0x54:
      case 0x55:
        return bytes.readInt8(this.#take(1))
      case 0x60:
        return bytes.readUInt16BE(this.#take(2))
      case 0x61:
        return bytes.readInt16BE(this.#take(2))
      case 0x70:
        return this.#uint32()
      case 0x71:
        return bytes.readInt32BE(this.#take(4))
      case 0x72:
        return bytes.readFloatBE(this.#take(4))
      case 0x73:
        return characterOf(this.#uint32())
      case 0x80:
        return plainNumber(bytes.readBigUInt64BE(this.#take(8)))
      case 0x81:
        return plainNumber(bytes.readBigInt64BE(this.#take(8)))
      case 0x82:
        return bytes.readDoubleBE(this.#take(8))
      case 0x83:
        return momentOf(bytes.readBigInt64BE(this.#take(8)))
      case 0x98:
        return uuidText(this.#bytesOf(16))
      // Decimals, which nothing here counts with.
      case 0x74:
        return this.#bytesOf(4)
      case 0x84:
        return this.#bytesOf(8)
      case 0x94:
        return this.#bytesOf(16)
      default:
        throw malformed(`${format} begins no value`)
    }
  }

  #variable(format: number, length: number): ReadValue {
    const bytes = this.#bytesOf(length)
    switch (format & 0x0f) {
      case 0:
        return bytes
      case 1:
        if (!isUtf8(bytes)) throw malformed('a string that is not UTF-8')
        return bytes.toString('utf8')
      case 3:
        return bytes.toString('latin1')
      default:
        throw malformed(`${format} begins no value`)
    }
  }

  #compound(format: number, count: number, ends: number, depth: number): ReadValue {
    // Each value takes a byte at least.
    if (count > ends - this.at) throw malformed('more values than bytes')
    const within = this.#within(ends)
    const isMap = (format & 0x0f) === 1
    if (!isMap && (format & 0x0f) !== 0) throw malformed(`${format} begins no value`)
    const value = isMap ? within.#map(count, depth) : within.#list(count, depth)
    this.#leave(within)
    return value
  }

  #list(count: number, depth: number): ReadValue[] {
    const list: ReadValue[] = []
    for (let index = 0; index < count; index++) list.push(this.next(depth + 1))
    return list
  }

  #map(count: number, depth: number): Map<ReadValue, ReadValue> {
    if (count % 2 !== 0) throw malformed('a map with a key that has no value')
    const map = new Map<ReadValue, ReadValue>()
    for (let index = 0; index < count; index += 2) {
      const key = this.next(depth + 1)
      map.set(key, this.next(depth + 1))
    }
    return map
  }

  /** One constructor, then the values without theirs. */
  #array(count: number, ends: number, depth: number): ReadValue[] {
    const within = this.#within(ends)
    let format = within.#byte()
    let descriptor: ReadValue | undefined
    if (format === 0) {
      descriptor = within.next(depth + 1)
      format = within.#byte()
    }
    const values: ReadValue[] = []
    for (let index = 0; index < count; index++) {
      // Those of no width would otherwise be as many as the count says.
      if (--within.#left < 0) throw malformed(`more than ${limits.amqpValuesMax} values`)
      if (depth >= limits.amqpDepthMax) throw malformed(`values more than ${limits.amqpDepthMax} deep`)
      const value = within.#valueOf(format, depth + 1)
      values.push(descriptor === undefined ? value : new DescribedValue(descriptor, value))
    }
    this.#leave(within)
    return values
  }

  #within(ends: number): ValueReader {
    const within = new ValueReader(this.bytes, this.at, ends)
    within.#left = this.#left
    return within
  }

  #leave(within: ValueReader): void {
    this.at = within.at
    this.#left = within.#left
  }

  #bytesOf(length: number): Buffer {
    const start = this.#take(length)
    return this.bytes.subarray(start, start + length)
  }

  #byte(): number {
    return this.bytes[this.#take(1)] as number
  }

  #uint32(): number {
    return this.bytes.readUInt32BE(this.#take(4))
  }

  #take(count: number): number {
    const start = this.at
    if (count > this.end - start) throw cutShort()
    this.at = start + count
    return start
  }
}

/** As AMQP counts, a whole number of eight bytes; here a number where it can be one. */
function plainNumber(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
}

function characterOf(code: number): string {
  if (code > 0x10_ffff || (code >= 0xd800 && code <= 0xdfff)) throw malformed('a character that is none')
  return String.fromCodePoint(code)
}

/** What no `Date` holds becomes the latest or earliest that one does: some clients mean "never" by it. */
function momentOf(milliseconds: bigint): Date {
  const most = 8_640_000_000_000_000n
  return new Date(Number(milliseconds > most ? most : milliseconds < -most ? -most : milliseconds))
}

function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function cutShort(): PenstockError {
  return malformed('a value that is cut short')
}
