/** From moments and values to places in a drawing. Pure. */

/** When, in UTC milliseconds, and how much. */
export type Moment = readonly [atMs: number, value: number | undefined]

export interface Scale {
  readonly fromMs: number
  readonly toMs: number
  readonly valueFrom: number
  readonly valueTo: number
  xOf(ms: number): number
  yOf(value: number): number
  timeAt(x: number): number
}

export interface Frame {
  readonly left: number
  readonly width: number
  readonly top: number
  readonly bottom: number
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
  readonly valueMin?: number | undefined
  /** False: the axis begins where the values do. */
  readonly isFromZero?: boolean | undefined
}

export const pointsMax = 2_000

export function scaleOf(series: readonly { readonly points: readonly Moment[] }[], frame: Frame): Scale {
  const { left, width, top, bottom, valueMin = 0, isFromZero = true } = frame
  const { POSITIVE_INFINITY: most, NEGATIVE_INFINITY: least } = Number
  let [lowest, highest, first, last] = [isFromZero ? 0 : most, isFromZero ? valueMin : least, most, least]
  for (const { points } of series) {
    for (const [atMs, value] of points) {
      first = Math.min(first, atMs)
      last = Math.max(last, atMs)
      if (value === undefined) continue
      lowest = Math.min(lowest, value)
      highest = Math.max(highest, value)
    }
  }
  const fromMs = frame.fromMs ?? (Number.isFinite(first) ? first : 0)
  const toMs = Math.max(frame.toMs ?? last, fromMs + 1)
  const [valueFrom, valueTo] = lowest <= highest ? rounded(lowest, highest) : [0, 1]
  const drawn = Math.max(width - left, 1)
  return {
    fromMs,
    toMs,
    valueFrom,
    valueTo,
    xOf: (ms) => left + ((ms - fromMs) / (toMs - fromMs)) * drawn,
    yOf: (value) => bottom - ((value - valueFrom) / (valueTo - valueFrom)) * (bottom - top),
    timeAt: (x) => fromMs + (Math.min(Math.max(x - left, 0), drawn) / drawn) * (toMs - fromMs),
  }
}

/** Round steps between two values: 1, 2 or 5 times a power of ten. */
export function ticksOf(from: number, to: number, count: number): number[] {
  const step = stepOf((to - from) / count)
  const ticks: number[] = []
  for (let index = Math.ceil(from / step - 1e-9); index * step <= to + step * 1e-9; index++)
    ticks.push(Number((index * step).toPrecision(12)))
  return ticks
}

const timeSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400].map(
  (seconds) => seconds * 1_000,
)

/** Round times of day, with what is written below them. */
export function timeTicksOf(fromMs: number, toMs: number, count: number): (readonly [ms: number, text: string])[] {
  const step = timeSteps.find((ms) => (toMs - fromMs) / ms <= count) ?? 86_400_000
  const ticks: (readonly [number, string])[] = []
  for (let ms = Math.ceil(fromMs / step) * step; ms <= toMs; ms += step) {
    const text = new Date(ms).toLocaleTimeString('en-GB')
    ticks.push([ms, step < 60_000 ? text : text.slice(0, 5)])
  }
  return ticks
}

/** The point nearest to a moment. */
export function momentAt(points: readonly Moment[], atMs: number): Moment | undefined {
  let nearest: Moment | undefined
  for (const point of points) {
    if (nearest === undefined || Math.abs(point[0] - atMs) < Math.abs(nearest[0] - atMs)) nearest = point
  }
  return nearest
}

/** A line as SVG draws it. `isWhole`: without a gap, so that what is below it can be filled. */
export function pathOf(points: readonly Moment[], scale: Scale): { line: string; startX: number; isWhole: boolean } {
  let line = ''
  let isWhole = true
  let startX: number | undefined
  let isBroken = true
  for (const [atMs, value] of points.slice(-pointsMax)) {
    if (value === undefined) {
      isWhole = false
      isBroken = true
      continue
    }
    const x = scale.xOf(atMs)
    startX ??= x
    line += `${isBroken ? 'M' : 'L'}${x.toFixed(1)} ${scale.yOf(value).toFixed(1)}`
    isBroken = false
  }
  return { line, startX: startX ?? 0, isWhole: isWhole && line !== '' }
}

function rounded(lowest: number, highest: number): [number, number] {
  const span = highest - lowest || 1
  const step = stepOf(span / 4)
  return [Math.floor(lowest / step) * step, Math.ceil((lowest + span) / step) * step]
}

function stepOf(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough * 0.999) ?? 10
  return factor * power
}
