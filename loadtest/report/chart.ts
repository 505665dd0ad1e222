/** Line charts as SVG text. Colours are CSS variables (`style.ts`), so one drawing serves both themes; what lies under the pointer is shown by `script.ts`. */
import { escaped } from '#loadtest/options/figures.ts'

export interface Series {
  readonly name: string
  /** Number of a colour, `--c1` … `--c6`; 0 is grey. */
  readonly color: number
  readonly points: readonly Point[]
  readonly isDashed?: boolean
  /** Fills below the line. */
  readonly isArea?: boolean
  /** Points by themselves, no line through them. */
  readonly isScatter?: boolean
}

export interface Point {
  readonly x: number
  readonly y: number
}

export interface ChartOptions {
  readonly title: string
  /** A sentence below the title. */
  readonly note?: string
  readonly series: readonly Series[]
  readonly y: (value: number) => string
  readonly x: (value: number) => string
  readonly xTicks?: readonly number[]
  readonly isLogY?: boolean
  /** Lines across, such as a threshold. */
  readonly marks?: readonly { readonly y: number; readonly text: string }[]
}

export const width = 640
export const height = 250
const left = 58
const right = 14
const top = 12
const bottom = 28

/** A chart with its title and legend; empty text if there is nothing to draw. */
export function chart(options: ChartOptions): string {
  const series = options.series.filter(({ points }) => points.length > 0)
  if (series.length === 0) return ''
  const scale = scaleOf(options, series)
  const legend = series
    .map(
      ({ name, color, isDashed }) =>
        `<li><i class="k${isDashed ? ' dash' : ''}" style="--c:var(--c${color})"></i>${escaped(name)}</li>`,
    )
    .join('')
  return `<figure class="card"><figcaption><b>${escaped(options.title)}</b>${options.note ? `<small>${escaped(options.note)}</small>` : ''}<ul class="legend">${legend}</ul></figcaption>
<div class="plot" data-plot="${escaped(JSON.stringify(pointerData(options, series, scale)))}"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(options.title)}">
${drawn(options, series, scale)}</svg></div></figure>`
}

/** What is drawn in `width` × `height`, without title and legend; empty text if there is nothing to draw. */
export function drawingOf(options: ChartOptions): string {
  const series = options.series.filter(({ points }) => points.length > 0)
  return series.length === 0 ? '' : drawn(options, series, scaleOf(options, series))
}

function drawn(options: ChartOptions, series: readonly Series[], scale: Scale): string {
  return gridOf(options, scale) + marksOf(options, scale) + series.map((each) => lineOf(each, scale)).join('')
}

interface Scale {
  readonly x: (value: number) => number
  readonly y: (value: number) => number
  readonly xTicks: readonly number[]
  readonly yTicks: readonly number[]
  readonly yMin: number
}

function scaleOf(options: ChartOptions, series: readonly Series[]): Scale {
  const all = series.flatMap(({ points }) => points)
  const xs = all.map(({ x }) => x)
  const xMin = Math.min(0, ...xs)
  const xMax = Math.max(...xs, xMin + 1e-9, ...(options.xTicks ?? []).filter((tick) => tick <= Math.max(...xs)))
  const values = [...all.map(({ y }) => y), ...(options.marks ?? []).map(({ y }) => y)]
  const yTicks = options.isLogY ? logTicks(values) : linearTicks(Math.max(...values, 1e-9), 5)
  const yMin = yTicks[0] ?? 0
  const yMax = yTicks.at(-1) ?? 1
  const share = options.isLogY
    ? (y: number) => Math.log(Math.max(y, yMin) / yMin) / Math.log(yMax / yMin)
    : (y: number) => (y - yMin) / (yMax - yMin)
  return {
    x: (value) => tenth(left + ((value - xMin) / (xMax - xMin)) * (width - left - right)),
    y: (value) => tenth(height - bottom - share(value) * (height - top - bottom)),
    xTicks: options.xTicks ?? linearTicks(xMax, 7).filter((tick) => tick <= xMax),
    yTicks,
    yMin,
  }
}

/** 0 and round steps up to at least `max`. */
export function linearTicks(max: number, steps: number): number[] {
  const rough = max / steps
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999) ?? power * 10
  const ticks: number[] = []
  for (let index = 0; index === 0 || (ticks.at(-1) ?? 0) < max * 0.9999; index++)
    ticks.push(Number((index * step).toPrecision(12)))
  return ticks
}

/** Powers of ten around all values, of at least one decade; 1, 2, 5 between them where there are few. */
export function logTicks(values: readonly number[]): number[] {
  const positive = values.filter((value) => value > 0)
  const [min, max] = positive.length > 0 ? [Math.min(...positive), Math.max(...positive)] : [1, 10]
  const first = Math.floor(Math.log10(min))
  const last = Math.max(first + 1, Math.ceil(Math.log10(max)))
  const between = last - first <= 2 ? [1, 2, 5] : [1]
  const ticks: number[] = []
  for (let power = first; power < last; power++) for (const factor of between) ticks.push(factor * 10 ** power)
  ticks.push(10 ** last)
  const begin = ticks.findLastIndex((tick) => tick <= min)
  const end = ticks.findIndex((tick) => tick >= max)
  return ticks.slice(Math.max(0, begin), end < 0 ? undefined : Math.max(end + 1, begin + 2))
}

function gridOf(options: ChartOptions, scale: Scale): string {
  const lines = scale.yTicks.map((tick) => {
    const y = scale.y(tick)
    return `<line class="grid" x1="${left}" x2="${width - right}" y1="${y}" y2="${y}"/><text class="tick" x="${left - 8}" y="${y + 3.5}" text-anchor="end">${escaped(options.y(tick))}</text>`
  })
  const labels = scale.xTicks.map(
    (tick) =>
      `<text class="tick" x="${scale.x(tick)}" y="${height - 8}" text-anchor="middle">${escaped(options.x(tick))}</text>`,
  )
  return lines.join('') + labels.join('')
}

function marksOf({ marks = [] }: ChartOptions, scale: Scale): string {
  return marks
    .map(({ y, text }) => {
      const at = scale.y(y)
      return `<line class="mark" x1="${left}" x2="${width - right}" y1="${at}" y2="${at}"/><text class="marktext" x="${width - right}" y="${at - 4}" text-anchor="end">${escaped(text)}</text>`
    })
    .join('')
}

function lineOf({ points, color, isDashed, isArea, isScatter }: Series, scale: Scale): string {
  const path = points.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${scale.x(x)} ${scale.y(y)}`).join('')
  const style = `style="--c:var(--c${color})"`
  const [first, last] = [points[0], points.at(-1)]
  const base = scale.y(scale.yMin)
  const area =
    isArea && first && last
      ? `<path class="area" ${style} d="${path}L${scale.x(last.x)} ${base}L${scale.x(first.x)} ${base}Z"/>`
      : ''
  const dots = points.map(({ x, y }) => `<circle class="dot" ${style} cx="${scale.x(x)}" cy="${scale.y(y)}" r="3"/>`)
  if (isScatter) return dots.join('')
  const single = points.length === 1 ? dots.join('') : ''
  return `${area}<path class="line${isDashed ? ' dash' : ''}" ${style} d="${path}"/>${single}`
}

/** For each series its places in the drawing and the text to show there. */
function pointerData(options: ChartOptions, series: readonly Series[], scale: Scale): unknown {
  return series.map(({ name, color, points }) => ({
    name,
    color,
    at: points.map(({ x, y }) => [scale.x(x), scale.y(y), options.x(x), options.y(y)]),
  }))
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10
}
