/**
 * Looks at the bytes of a JSON text before it is parsed: what is too deep or has too many entries costs one pass over its bytes, and no
 * memory. Whether it is JSON at all is the parser's question.
 */
export interface JsonBounds {
  readonly bytesMax: number
  /** Objects and lists within one another. */
  readonly depthMax: number
  /** Keys of objects and items of lists together. */
  readonly entriesMax: number
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c

/** @returns what is wrong, in words; `undefined` if it may be parsed */
export function faultOfJson(bytes: Uint8Array, { bytesMax, depthMax, entriesMax }: JsonBounds): string | undefined {
  if (bytes.length > bytesMax) return `has ${bytes.length} bytes; at most ${bytesMax} are allowed`
  let depth = 0
  let entries = 0
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case quote:
        at = endOfText(bytes, at)
        break
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > depthMax) return `nests deeper than ${depthMax}`
        if (++entries > entriesMax) return `has more than ${entriesMax} entries`
        break
      case 0x7d: // }
      case 0x5d: // ]
        depth--
        break
      case comma:
        if (++entries > entriesMax) return `has more than ${entriesMax} entries`
        break
    }
  }
  return undefined
}

/** The position of the closing quote of the text that begins at `start`, or of the last byte. */
function endOfText(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    if (bytes[at] === backslash) at++
    else if (bytes[at] === quote) return at
  }
  return bytes.length
}
