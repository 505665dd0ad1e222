/** Figures as people read them. */

export function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}

/** Three digits that matter: 0.42, 4.2, 42, 420, 4.2 k, 1.3 M. */
export function short(value: number): string {
  const absolute = Math.abs(value)
  if (absolute >= 1e6) return `${digits(value / 1e6)} M`
  if (absolute >= 10_000) return `${digits(value / 1e3)} k`
  if (absolute >= 1_000) return count(value)
  return digits(value)
}

/** The same for the ticks of an axis: 5 k beside 10 k. */
export function tick(value: number): string {
  return Math.abs(value) >= 1_000 && Math.abs(value) < 1e6 ? `${digits(value / 1e3)} k` : short(value)
}

export function milliseconds(ms: number): string {
  if (ms >= 1_000) return `${digits(ms / 1000)} s`
  return `${digits(ms)} ms`
}

export function bytes(value: number): string {
  if (value >= 2 ** 30) return `${digits(value / 2 ** 30)} GB`
  return `${digits(value / 2 ** 20)} MB`
}

export function percent(share: number): string {
  return `${digits(share * 100)} %`
}

export function duration(seconds: number): string {
  if (seconds < 120) return `${digits(seconds)} s`
  if (seconds < 7200) return `${digits(seconds / 60)} min`
  return `${digits(seconds / 3600)} h`
}

function digits(value: number): string {
  const absolute = Math.abs(value)
  if (absolute >= 100) return Math.round(value).toLocaleString('en')
  if (absolute >= 10) return trimmed(value.toFixed(1))
  if (absolute >= 0.005 || absolute === 0) return trimmed(value.toFixed(2))
  return trimmed(value.toFixed(4))
}

function trimmed(text: string): string {
  return text.replace(/\.?0+$/, '')
}

/** Text into HTML, also inside attributes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}
