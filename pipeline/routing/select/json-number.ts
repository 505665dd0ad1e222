/** Numbers of JSON (RFC 8259, section 6), read in place. */

const invalid = -1
const minus = 0x2d
const plus = 0x2b
const point = 0x2e
const zero = 0x30
const nine = 0x39

/** Position behind the number that begins at `start`, or -1 if there is none. */
export function endOfNumber(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  if (at < end && bytes[at] === minus) at++
  const whole = behindDigits(bytes, at, end)
  if (whole === at || (whole > at + 1 && bytes[at] === zero)) return invalid
  at = whole
  if (at < end && bytes[at] === point) {
    const fraction = behindDigits(bytes, at + 1, end)
    if (fraction === at + 1) return invalid
    at = fraction
  }
  if (at < end && isExponent(bytes[at] as number)) {
    at++
    if (at < end && (bytes[at] === minus || bytes[at] === plus)) at++
    const exponent = behindDigits(bytes, at, end)
    if (exponent === at) return invalid
    at = exponent
  }
  return at
}

const isExponent = (byte: number): boolean => byte === 0x65 || byte === 0x45

function behindDigits(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  for (; at < end; at++) {
    const byte = bytes[at] as number
    if (byte < zero || byte > nine) break
  }
  return at
}

/** 10^0 to 10^22: those that a double holds exactly. */
const powersOfTen = Array.from({ length: 23 }, (_, power) => Number(`1e${power}`))
/** As many digits are always exact. */
const exactDigitsMax = 15

/**
 * The number that stands from `start` to `end`, as `JSON.parse` reads it. Of few digits it is a whole number times or by a power of
 * ten, both exact, so that the one operation rounds as the norm asks (Clinger, "How to read floating point numbers accurately").
 */
export function numberAt(bytes: Buffer, start: number, end: number): number {
  let whole = 0
  let digits = 0
  let fractionDigits = 0
  let isFraction = false
  const isNegative = bytes[start] === minus
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    const byte = bytes[at] as number
    if (byte === point) {
      isFraction = true
      continue
    }
    if (isExponent(byte)) return Number(bytes.toString('latin1', start, end))
    whole = whole * 10 + (byte - zero)
    digits++
    if (isFraction) fractionDigits++
  }
  if (digits > exactDigitsMax) return Number(bytes.toString('latin1', start, end))
  const value = fractionDigits === 0 ? whole : whole / (powersOfTen[fractionDigits] as number)
  return isNegative ? -value : value
}
