/**
 * Reads a positive Avro long, as lengths and counts are written: seven bits a byte, the lowest first, in zigzag.
 * HOT: per block. Exact as a number: of more than seven bytes it is none.
 * @returns `undefined` if there is none whole at `start`, or it is negative
 */
export function readLong(
  bytes: Uint8Array,
  start: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0
  let scale = 1
  for (let at = start; at < bytes.length && at < start + longBytesMax; at++) {
    const byte = bytes[at] ?? 0
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value % 2 === 0 ? { value: value / 2, end: at + 1 } : undefined
    scale *= 0x80
  }
  return undefined
}

/** 49 bits: no block is longer, and no product above loses a bit. */
const longBytesMax = 7
