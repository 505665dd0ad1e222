/** From moments and values to places in a drawing. Pure. */
import { dayText, timeOfDay } from '#console/data/format.ts'

/** When, in UTC milliseconds, and how much. */
export type Moment = readonly [atMs: number, value: number | undefined]

/** A place on an axis, with what is written there. */
export type Tick = readonly [place: number, text: string]

export interface Scale {
  readonly fromMs: number
  readonly toMs: number
  readonly valueFrom: number
  readonly valueTo: number
  /** Where the drawing begins, to the right of what is written on the axis. */
  readonly left: number
  readonly valueTicks: readonly Tick[]
  xOf(ms: number): number
  yOf(value: number): number
  timeAt(x: number): number
}

export interface Frame {
  readonly width: number
  readonly top: number
  readonly bottom: number
  readonly valueText: (value: number) => string
  readonly fromMs?: number | undefined
  readonly toMs?: number | undefined
  readonly valueMin?: number | undefined
  /** False: the axis begins where the values do. */
  readonly isFromZero?: boolean | undefined
  /** Values are milliseconds: beyond a second their axis has the steps of a clock. */
  readonly isDuration?: boolean | undefined
}

export const pointsMax = 2_000
/** About so wide is a character of what is written on an axis. */
const characterWidth = 6.8
const leftMin = 36
const tickGap = 8
const valueTicksMax = 4
/** What one moment alone spans. */
const momentMs = 10_000

export function scaleOf(series: readonly { readonly points: readonly Moment[] }[], frame: Frame): Scale {
  const { width, top, bottom, valueText } = frame
  const { fromMs, toMs, valueFrom, valueTo, valueStep } = boundsOf(series, frame)
  const valueTicks = textsOf(ticksBy(valueStep, valueFrom, valueTo), valueText)
  const longest = Math.max(0, ...valueTicks.map(([, text]) => text.length))
  const left = Math.max(leftMin, Math.ceil(longest * characterWidth) + tickGap)
  const drawn = Math.max(width - left, 1)
  return {
    fromMs,
    toMs,
    valueFrom,
    valueTo,
    left,
    valueTicks,
    xOf: (ms) => left + ((ms - fromMs) / (toMs - fromMs)) * drawn,
    yOf: (value) => bottom - ((value - valueFrom) / (valueTo - valueFrom)) * (bottom - top),
    timeAt: (x) => fromMs + (Math.min(Math.max(x - left, 0), drawn) / drawn) * (toMs - fromMs),
  }
}

interface Bounds extends Pick<Scale, 'fromMs' | 'toMs' | 'valueFrom' | 'valueTo'> {
  readonly valueStep: number
}

function boundsOf(series: readonly { readonly points: readonly Moment[] }[], frame: Frame): Bounds {
  const { valueMin = 0, isFromZero = true, isDuration = false } = frame
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
  if (first === last) [first, last] = [first - momentMs / 2, last + momentMs / 2]
  const fromMs = frame.fromMs ?? (Number.isFinite(first) ? first : 0)
  const toMs = Math.max(frame.toMs ?? last, fromMs + 1)
  const values = lowest <= highest ? rounded(lowest, highest, isFromZero, isDuration) : nothing
  return { fromMs, toMs, ...values }
}

const nothing = { valueFrom: 0, valueTo: 1, valueStep: 0.5 }

function ticksBy(step: number, from: number, to: number): number[] {
  const ticks: number[] = []
  for (let index = Math.ceil(from / step - 1e-9); index * step <= to + step * 1e-9; index++)
    // Without what binary fractions add; of counters of 13 digits all are needed.
    ticks.push(Number((index * step).toPrecision(15)))
  return ticks
}

const exact = new Intl.NumberFormat('en', { maximumFractionDigits: 12 })

/** Where values are so near to each other that rounded they would read the same, all their digits are written. */
function textsOf(ticks: readonly number[], valueText: (value: number) => string): readonly Tick[] {
  const texts = ticks.map((value) => (value === 0 ? '0' : valueText(value)))
  const areTold = new Set(texts).size === texts.length
  return ticks.map((value, index) => [value, areTold ? (texts[index] ?? '') : exact.format(value)])
}

const dayMs = 86_400_000
const timeSteps = [
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200].map((step) => step * 1_000),
  ...[1, 2, 7, 14, 30, 90, 365].map((days) => days * dayMs),
]

/** Round times of the reader's day, with what is written below them: the date where a day begins. */
export function timeTicksOf(fromMs: number, toMs: number, count: number): Tick[] {
  const step = timeSteps.find((ms) => (toMs - fromMs) / ms <= count) ?? Math.ceil((toMs - fromMs) / count)
  const zoneMs = new Date(fromMs).getTimezoneOffset() * -60_000
  const ticks: Tick[] = []
  for (let ms = Math.ceil((fromMs + zoneMs) / step) * step - zoneMs; ms <= toMs; ms += step) {
    const date = new Date(ms)
    const time = timeOfDay(date)
    if (step >= dayMs || (time === '00:00:00' && toMs - fromMs > dayMs / 4)) ticks.push([ms, dayText(date)])
    else ticks.push([ms, step < 60_000 ? time : time.slice(0, 5)])
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

/** A line as SVG draws it: a point alone as a dot. `isWhole`: without a gap, so that what is below it can be filled. */
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
    const place = `${x.toFixed(1)} ${scale.yOf(value).toFixed(1)}`
    line += isBroken ? `M${place}h0` : `L${place}`
    isBroken = false
  }
  return { line, startX: startX ?? 0, isWhole: isWhole && line !== '' }
}

type ValueBounds = Pick<Bounds, 'valueFrom' | 'valueTo' | 'valueStep'>

/** Values that are all the same lie in the middle, where nothing says that the axis begins at 0. */
function rounded(lowest: number, highest: number, isFromZero: boolean, isDuration: boolean): ValueBounds {
  const isFlat = lowest === highest
  const around = isFlat && !isFromZero ? Math.abs(lowest) / 10 || 0.5 : 0
  const [from, to] = [lowest - around, isFlat && isFromZero ? lowest + 1 : highest + around]
  const step = stepOf((to - from) / valueTicksMax, isDuration)
  return { valueFrom: Math.floor(from / step) * step, valueTo: Math.ceil(to / step) * step, valueStep: step }
}

/** A round one: 1, 2 or 5 times a power of ten, or one of a clock. */
function stepOf(rough: number, isDuration: boolean): number {
  const ofClock = isDuration && rough > 500 ? timeSteps.find((step) => step >= rough * 0.999) : undefined
  if (ofClock !== undefined) return ofClock
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= rough * 0.999) ?? 10
  return factor * power
}
