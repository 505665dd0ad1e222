/** Numbers and moments as people read them. */
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const sixDigits = new Intl.NumberFormat('en', { maximumSignificantDigits: 6 })
const exact = new Intl.NumberFormat('en', { maximumFractionDigits: 3 })
const coarse = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 })
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })

export function countText(count: number): string {
  return whole.format(count)
}

/** `1 row`, `2,000 rows`. */
export function countedText(count: number, one: string): string {
  return `${countText(count)} ${one}${count === 1 ? '' : 's'}`
}

/** The beginning of a text, with a sign that there is more. */
export function shortened(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text
  // Not through the middle of a character that is two to JavaScript.
  return `${text.slice(0, lengthMax).replace(/[\ud800-\udbff]$/, '')}…`
}

/** `12.3K`, and small numbers with three digits. */
export function amountText(amount: number): string {
  return Math.abs(amount) >= 10_000 ? short.format(amount) : fine.format(amount)
}

/** A value that a device measured: with all digits that matter. */
export function figureText(value: number): string {
  return Math.abs(value) >= 1e6 ? exact.format(value) : sixDigits.format(value)
}

/** Of a rate that is counted over some seconds: more digits than two would be chance. */
export function rateText(amount: number): string {
  return Math.abs(amount) >= 100 ? amountText(amount) : coarse.format(amount)
}

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

export function bytesText(bytes: number): string {
  let [amount, step] = [bytes, 0]
  // What would be rounded to 1,000 of a unit is one of the next.
  for (; amount >= 999.5 && step < byteUnits.length - 1; step++) amount /= 1_000
  return `${fine.format(amount)} ${byteUnits[step]}`
}

/** In two units at most, and the second one only if there is something of it: `3 min 20 s`, `7 d`. */
export function durationText(ms: number): string {
  if (ms < 999.5) return `${fine.format(ms)} ms`
  if (ms < 59_950) return `${fine.format(ms / 1_000)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return inUnits(seconds, 60, 'min', 's')
  const minutes = Math.round(ms / 60_000)
  if (minutes < 1_440) return inUnits(minutes, 60, 'h', 'min')
  const hours = Math.round(ms / 3_600_000)
  // After a month hours say nothing any more.
  return hours < 720 ? inUnits(hours, 24, 'd', 'h') : `${countText(hours / 24)} d`
}

function inUnits(amount: number, size: number, name: string, smaller: string): string {
  const rest = amount % size
  return `${Math.floor(amount / size)} ${name}${rest === 0 ? '' : ` ${rest} ${smaller}`}`
}

/** The time of day in the reader's zone, to the millisecond. */
export function clockText(atMs: number): string {
  const date = new Date(atMs)
  return `${timeOfDay(date)}.${padded(date.getMilliseconds(), 3)}`
}

/** `2026-01-31 12:00:05`, in the reader's zone. */
export function momentText(atMs: number): string {
  const date = new Date(atMs)
  return `${dayText(date)} ${timeOfDay(date)}`
}

/** The zone in which moments are written: `UTC`, `UTC+05:30`. */
export function zoneText(date = new Date()): string {
  const minutes = -date.getTimezoneOffset()
  if (minutes === 0) return 'UTC'
  const size = Math.abs(minutes)
  return `UTC${minutes < 0 ? '−' : '+'}${padded(Math.floor(size / 60))}:${padded(size % 60)}`
}

/** `2026-01-31`, in the reader's zone. */
export function dayText(date: Date): string {
  return `${padded(date.getFullYear(), 4)}-${padded(date.getMonth() + 1)}-${padded(date.getDate())}`
}

/** `12:00:05`, in the reader's zone. */
export function timeOfDay(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => padded(part)).join(':')
}

function padded(value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}

/** How long ago; the hub's year 1 is never. */
export function agoText(atMs: number, nowMs = Date.now()): string {
  if (!(atMs > 0)) return 'never'
  const ms = Math.max(nowMs - atMs, 0)
  if (ms < 2_000) return 'just now'
  if (ms < 90_000) return `${Math.round(ms / 1_000)} s ago`
  if (ms < 90 * 60_000) return `${Math.round(ms / 60_000)} min ago`
  if (ms < 36 * 3_600_000) return `${Math.round(ms / 3_600_000)} h ago`
  return `${countText(Math.round(ms / 86_400_000))} d ago`
}
