const invalid = -1

/**
 * Position of the last byte of the character beyond ASCII that begins at `start`; -1 if there is none: a control character, bytes that
 * belong to none, or one in more bytes than it needs, of a surrogate, or above U+10FFFF (RFC 3629, section 4).
 */
export function endOfCharacter(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] as number
  if (first < 0xc2 || first > 0xf4) return invalid
  const last = start + (first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3)
  if (last >= end) return invalid
  const second = bytes[start + 1] as number
  const secondMin = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const secondMax = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  if (second < secondMin || second > secondMax) return invalid
  for (let at = start + 2; at <= last; at++) {
    if (((bytes[at] as number) & 0xc0) !== 0x80) return invalid
  }
  return last
}
