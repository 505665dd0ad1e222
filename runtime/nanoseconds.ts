/** Moments in nanoseconds since 1970 UTC, which no number of JavaScript holds: as decimal text, and as ISO 8601. */

const nanosecondDigits = 9

/** True for decimal text, with or without a sign, of a signed 64-bit number. */
export function isInt64Text(text: string): boolean {
  return isWithin(text, text.startsWith('-') ? '9223372036854775808' : '9223372036854775807')
}

/** The same of an unsigned one. */
export function isUint64Text(text: string): boolean {
  return !text.startsWith('-') && isWithin(text, '18446744073709551615')
}

/** In two steps, as one expression for both would look at what is no number once for each of its zeros. */
function isWithin(text: string, largest: string): boolean {
  if (!/^[+-]?\d+$/.test(text)) return false
  const digits = text.replace(/^[+-]?0*/, '')
  return digits.length < largest.length || (digits.length === largest.length && digits <= largest)
}

/**
 * ISO 8601 with 3, 6 or 9 digits of a second, as many as it needs.
 * @param text nanoseconds as decimal text
 * @returns `undefined` if it is no signed 64-bit number: years 1677 to 2262
 */
export function isoFromNanoseconds(text: string): string | undefined {
  if (!isInt64Text(text)) return undefined
  const isBefore = text.startsWith('-')
  const digits = text.replace(/^[+-]/, '').padStart(nanosecondDigits + 1, '0')
  let seconds = Number(digits.slice(0, -nanosecondDigits))
  let rest = Number(digits.slice(-nanosecondDigits))
  if (isBefore) {
    seconds = rest > 0 ? -seconds - 1 : -seconds
    rest = rest > 0 ? 1_000_000_000 - rest : 0
  }
  return `${wholeSecondText(seconds)}.${fractionText(String(rest).padStart(nanosecondDigits, '0'))}Z`
}

function fractionText(nanoseconds: string): string {
  if (nanoseconds.endsWith('000000')) return nanoseconds.slice(0, 3)
  return nanoseconds.endsWith('000') ? nanoseconds.slice(0, 6) : nanoseconds
}

let lastSecond = Number.NaN
let lastText = ''

/** Points that come together are often of one second. */
function wholeSecondText(seconds: number): string {
  if (seconds !== lastSecond) {
    lastSecond = seconds
    lastText = new Date(seconds * 1_000).toISOString().slice(0, -'.000Z'.length)
  }
  return lastText
}
