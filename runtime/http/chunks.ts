/**
 * A chunked body (RFC 9112 section 7.1), read in place:
 *
 *   size in hexadecimal extensions CRLF    data CRLF    …    0 extensions CRLF    trailer lines    CRLF
 *   extension: ;name  ;name=token  ;name="quoted"
 *
 * Extensions and trailers are checked against the grammar, bounded, and discarded: no route here uses them. White space in a size line,
 * which nobody may send, is refused.
 */
import { limits } from '#schemas/limits.ts'
import { nameBytes, valueBytes } from './head.ts'

const states = {
  size: 0,
  sizeLineFeed: 1,
  extensionStart: 2,
  extensionName: 3,
  extensionValue: 4,
  extensionToken: 5,
  quoted: 6,
  quotedPair: 7,
  quoteEnd: 8,
  data: 9,
  dataReturn: 10,
  dataLineFeed: 11,
  line: 12,
  trailerName: 13,
  trailerValue: 14,
  trailerLineFeed: 15,
  lastLineFeed: 16,
} as const
type State = (typeof states)[keyof typeof states]

const [lineFeed, carriageReturn, quote, colon, semicolon, equals, backslash] = [
  0x0a, 0x0d, 0x22, 0x3a, 0x3b, 0x3d, 0x5c,
]
/** A chunk of more than 4 GB is refused. */
const sizeDigitsMax = 8

export class ChunkedReader {
  #state: State = states.size
  #size = 0
  #sizeDigits = 0
  /** Bytes of size lines and trailers, without the digits of sizes. */
  #overheadBytes = 0

  /**
   * Reads on from `start`.
   * @param data is called with each piece of data, as a range of `bytes`; false: it wants no more of this call's bytes
   * @returns where the body ends; `undefined`: more is to come, or no more was wanted; `'malformed'`: it is not a chunked body
   */
  read(bytes: Buffer, start: number, data: (start: number, end: number) => boolean): number | undefined | 'malformed' {
    let at = start
    while (at < bytes.length) {
      if (this.#state === states.data) {
        const end = Math.min(bytes.length, at + this.#size)
        this.#size -= end - at
        if (this.#size === 0) this.#state = states.dataReturn
        if (!data(at, end)) return undefined
        at = end
        continue
      }
      const byte = bytes[at++] as number
      const next = this.#next(byte)
      if (next === undefined) return 'malformed'
      if (this.#state === states.lastLineFeed) return at
      this.#state = next
    }
    return undefined
  }

  /** The state after one byte of framing; `undefined`: the byte is not allowed there. */
  #next(byte: number): State | undefined {
    switch (this.#state) {
      case states.size: {
        const digit = hexadecimal[byte] as number
        if (digit < 16) {
          this.#size = this.#size * 16 + digit
          return ++this.#sizeDigits <= sizeDigitsMax ? states.size : undefined
        }
        return this.#sizeDigits === 0 ? undefined : this.#endOfExtension(byte)
      }
      case states.extensionStart:
        return nameBytes[byte] !== 0 ? this.#overhead(states.extensionName) : undefined
      case states.extensionName:
        if (nameBytes[byte] !== 0) return this.#overhead(states.extensionName)
        return byte === equals ? this.#overhead(states.extensionValue) : this.#endOfExtension(byte)
      case states.extensionValue:
        if (byte === quote) return this.#overhead(states.quoted)
        return nameBytes[byte] !== 0 ? this.#overhead(states.extensionToken) : undefined
      case states.extensionToken:
        return nameBytes[byte] !== 0 ? this.#overhead(states.extensionToken) : this.#endOfExtension(byte)
      case states.quoted:
        if (byte === quote) return this.#overhead(states.quoteEnd)
        if (byte === backslash) return this.#overhead(states.quotedPair)
        return valueBytes[byte] === 1 ? this.#overhead(states.quoted) : undefined
      case states.quotedPair:
        return valueBytes[byte] === 1 ? this.#overhead(states.quoted) : undefined
      case states.quoteEnd:
        return this.#endOfExtension(byte)
      case states.sizeLineFeed:
        this.#sizeDigits = 0
        return byte === lineFeed ? (this.#size === 0 ? states.line : states.data) : undefined
      case states.dataReturn:
        return byte === carriageReturn ? states.dataLineFeed : undefined
      case states.dataLineFeed:
        return byte === lineFeed ? states.size : undefined
      case states.line:
        if (byte === carriageReturn) return states.lastLineFeed
        return nameBytes[byte] !== 0 ? this.#overhead(states.trailerName) : undefined
      case states.trailerName:
        if (byte === colon) return states.trailerValue
        return nameBytes[byte] !== 0 ? this.#overhead(states.trailerName) : undefined
      case states.trailerValue:
        if (byte === carriageReturn) return states.trailerLineFeed
        return valueBytes[byte] === 1 ? this.#overhead(states.trailerValue) : undefined
      case states.trailerLineFeed:
        return byte === lineFeed ? states.line : undefined
      case states.lastLineFeed:
        return byte === lineFeed ? states.lastLineFeed : undefined
      case states.data:
        return undefined
    }
  }

  #endOfExtension(byte: number): State | undefined {
    if (byte === carriageReturn) return states.sizeLineFeed
    return byte === semicolon ? this.#overhead(states.extensionStart) : undefined
  }

  #overhead(next: State): State | undefined {
    return ++this.#overheadBytes <= limits.httpChunkOverheadBytesMax ? next : undefined
  }
}

/** The value of each byte as a digit; 16 if it is not a digit. */
const hexadecimal = new Uint8Array(256).fill(16)
for (let digit = 0; digit < 16; digit++) {
  hexadecimal[digit.toString(16).charCodeAt(0)] = digit
  hexadecimal[digit.toString(16).toUpperCase().charCodeAt(0)] = digit
}
