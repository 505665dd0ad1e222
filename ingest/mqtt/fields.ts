import { isUtf8 } from 'node:buffer'
import { PenstockError } from '#schemas/errors.ts'

/** Bytes that are no packet of the spoken version; the connection ends [MQTT-3.1.4-1]. */
export function malformed(what: string): PenstockError {
  return new PenstockError('INGEST_FRAME_MALFORMED', what)
}

/**
 * Reads one packet, or a part of one, field by field (MQTT 5.0 section 1.5; MQTT 3.1.1 has the same types but for the variable
 * byte integer). No read goes beyond the end. What is given as bytes lies in the packet itself: copy what must outlive it.
 *
 *   byte 1 │ two bytes, four bytes: most significant first │ variable byte integer: 1–4 bytes, 7 bits each, least significant first
 *   binary data: length 2, bytes │ text: length 2, UTF-8 without U+0000
 */
export class FieldReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get bytesLeft(): number {
    return this.#end - this.#at
  }

  byte(): number {
    return this.#bytes[this.#take(1)] as number
  }

  twoBytes(): number {
    return this.#bytes.readUInt16BE(this.#take(2))
  }

  fourBytes(): number {
    return this.#bytes.readUInt32BE(this.#take(4))
  }

  variableInteger(): number {
    let value = 0
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) << shift
      if (byte > 0x7f) continue
      if (byte === 0 && shift > 0) break
      return value
    }
    throw malformed('an integer of more than four bytes, or of more than it needs [MQTT-1.5.5-1]')
  }

  binary(): Buffer {
    const length = this.twoBytes()
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  text(): string {
    return textOf(this.binary())
  }

  /** A reader of the next `length` bytes, which this one skips. */
  part(length: number): FieldReader {
    const start = this.#take(length)
    return new FieldReader(this.#bytes, start, start + length)
  }

  /** To be called behind the last field. @throws INGEST_FRAME_MALFORMED if anything follows it */
  expectEnd(): void {
    if (this.bytesLeft > 0) throw malformed(`${this.bytesLeft} bytes behind the last field of a packet`)
  }

  #take(count: number): number {
    const start = this.#at
    if (count > this.#end - start) throw malformed('a field that is cut short')
    this.#at = start + count
    return start
  }
}

/** Reads what follows the fixed header of a whole frame. */
export function bodyOf(frame: Buffer): FieldReader {
  let start = 2
  while ((frame[start - 1] as number) > 0x7f) start++
  return new FieldReader(frame, start, frame.length)
}

/** UTF-8 text as MQTT allows it [MQTT-1.5.4-1] [MQTT-1.5.4-2]. @throws INGEST_FRAME_MALFORMED */
export function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw malformed('text that is not UTF-8')
  if (bytes.includes(0)) throw malformed('text with a null character')
  return bytes.toString('utf8')
}
