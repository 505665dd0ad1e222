/** Numbers and moments as people read them. */
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })

export function countText(count: number): string {
  return whole.format(count)
}

/** `12.3K`, and small numbers with three digits. */
export function amountText(amount: number): string {
  return Math.abs(amount) >= 10_000 ? short.format(amount) : fine.format(amount)
}

const steps = ['B', 'kB', 'MB', 'GB', 'TB'] as const

export function bytesText(bytes: number): string {
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), steps.length - 1)
  return `${fine.format(bytes / 1_000 ** step)} ${steps[step]}`
}

export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${fine.format(ms / 1_000)} s`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`
  return `${Math.floor(ms / 86_400_000)} d ${Math.round((ms % 86_400_000) / 3_600_000)} h`
}

/** The time of day in the reader's zone, to the millisecond. */
export function clockText(atMs: number): string {
  const date = new Date(atMs)
  const part = (value: number, digits = 2): string => String(value).padStart(digits, '0')
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`
}

/** How long ago; the hub's year 1 is never. */
export function agoText(atMs: number, nowMs = Date.now()): string {
  if (!(atMs > 0)) return 'never'
  const ms = Math.max(nowMs - atMs, 0)
  if (ms < 2_000) return 'just now'
  if (ms < 90_000) return `${Math.round(ms / 1_000)} s ago`
  if (ms < 90 * 60_000) return `${Math.round(ms / 60_000)} min ago`
  if (ms < 36 * 3_600_000) return `${Math.round(ms / 3_600_000)} h ago`
  return `${Math.round(ms / 86_400_000)} d ago`
}
