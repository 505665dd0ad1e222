/**
 * The last hour of some metrics, kept in memory, so that charts need nothing but this process.
 *
 *   samples of all processes ── every step ──▶ what each added since ──▶ a slot of every row ──▶ asked for: rates, levels, quantiles
 *
 * A row is a ring of numbers: one for each series, and one for each bucket of a histogram. Quantiles are made when they are asked for, so
 * that they can be had of each step and of all steps together. What is not known is NaN in a row and `null` in an answer.
 */
import type { MetricSample } from '../metrics.ts'
import { quantileOf } from './quantile.ts'

export interface HistoryDefinition {
  readonly metric: string
  /**
   * Over all labels and processes: `rate`: what a counter grew by, in a second; `sum` and `max`: of gauges; `quantiles`: of what a
   * histogram counted.
   */
  readonly shown: 'rate' | 'sum' | 'max' | 'quantiles'
  /** Of the values. */
  readonly unit: string
  /** A series for each value of this label; left out: one for all. */
  readonly by?: string
}

export interface HistoryOptions {
  /** By name of the series. */
  readonly table: Readonly<Record<string, HistoryDefinition>>
  readonly stepMs: number
  readonly stepCount: number
  /** Most values of a label that have a series at a time; what comes beyond them has none. */
  readonly groupsMax: number
  /** When the processes began to count. */
  readonly startedAtMs: number
}

/** As it goes to whoever draws it: a column of times, and one of values for each series. */
export interface HistoryAnswer {
  readonly stepMs: number
  /** When each step ended, UTC milliseconds, growing. Steps may be missing. */
  readonly times: readonly number[]
  readonly series: readonly SeriesAnswer[]
  readonly quantiles: readonly QuantilesAnswer[]
}

interface SeriesHead {
  readonly name: string
  /** The label's value, where there is a series for each. */
  readonly group?: string
  readonly unit: string
}

export interface SeriesAnswer extends SeriesHead {
  readonly values: readonly (number | null)[]
}

export interface QuantilesAnswer extends SeriesHead {
  readonly p50: readonly (number | null)[]
  readonly p95: readonly (number | null)[]
  readonly p99: readonly (number | null)[]
  /** Of all steps of the answer together. */
  readonly overall: {
    readonly count: number
    readonly p50: number | null
    readonly p95: number | null
    readonly p99: number | null
  }
}

interface KeptSeries {
  readonly name: string
  readonly definition: HistoryDefinition
  readonly group: string
  /** By upper bound as the samples write it; that of what is no histogram is ''. */
  readonly rows: Map<string, Float32Array>
  lastStep: number
}

/** What is counted of one process, by sample name and labels. */
type Counted = ReadonlyMap<string, number>

const nothingCounted: Counted = new Map()

const quantiles = { p50: 0.5, p95: 0.95, p99: 0.99 } as const

export class MetricHistory {
  readonly #options: HistoryOptions
  /** By the name that the samples have. */
  readonly #definitions = new Map<string, (readonly [name: string, definition: HistoryDefinition])[]>()
  readonly #series = new Map<string, KeptSeries>()
  readonly #times: Float64Array
  #before: ReadonlyMap<string, Counted> = new Map()
  #beforeMs: number
  /** Steps taken so far. */
  #step = 0

  constructor(options: HistoryOptions) {
    this.#options = options
    this.#times = new Float64Array(options.stepCount)
    this.#beforeMs = options.startedAtMs
    for (const [name, definition] of Object.entries(options.table)) {
      const sample = definition.shown === 'quantiles' ? `${definition.metric}_bucket` : definition.metric
      this.#definitions.set(sample, [...(this.#definitions.get(sample) ?? []), [name, definition]])
    }
  }

  /**
   * Adds a step. To be called every `stepMs`.
   * @param processes samples by name of the process; one that begins anew counts from zero again
   */
  take(nowMs: number, processes: ReadonlyMap<string, readonly MetricSample[]>): void {
    const slot = this.#step % this.#options.stepCount
    const seconds = (nowMs - this.#beforeMs) / 1_000
    // The clock was set back: how long this step was is not known, and times have to grow.
    if (seconds <= 0) return
    this.#times[slot] = nowMs
    for (const [key, series] of this.#series) {
      if (this.#step - series.lastStep >= this.#options.stepCount) this.#series.delete(key)
      else for (const row of series.rows.values()) row[slot] = Number.NaN
    }
    const counted = new Map<string, Counted>()
    for (const [process, samples] of processes) {
      const own = new Map<string, number>()
      counted.set(process, own)
      this.#takeProcess(samples, slot, seconds, this.#before.get(process) ?? nothingCounted, own)
    }
    this.#before = counted
    this.#beforeMs = nowMs
    this.#step++
  }

  /** The steps that ended after `sinceMs`. */
  since(sinceMs: number): HistoryAnswer {
    const { stepCount, stepMs } = this.#options
    const slots: number[] = []
    for (let step = Math.max(0, this.#step - stepCount); step < this.#step; step++)
      if ((this.#times[step % stepCount] as number) > sinceMs) slots.push(step % stepCount)
    const kept = [...this.#series.values()]
    return {
      stepMs,
      times: slots.map((slot) => this.#times[slot] as number),
      series: kept
        .filter(({ definition }) => definition.shown !== 'quantiles')
        .map((series) => ({ ...headOf(series), values: slots.map((slot) => known(series.rows.get('')?.[slot])) })),
      quantiles: kept
        .filter(({ definition }) => definition.shown === 'quantiles')
        .map((series) => quantilesOf(series, slots)),
    }
  }

  /** Bytes that the rows take. */
  get bytes(): number {
    let rowCount = 0
    for (const { rows } of this.#series.values()) rowCount += rows.size
    return this.#times.byteLength + rowCount * this.#options.stepCount * Float32Array.BYTES_PER_ELEMENT
  }

  #takeProcess(
    samples: readonly MetricSample[],
    slot: number,
    seconds: number,
    before: Counted,
    own: Map<string, number>,
  ): void {
    for (const [sample, labels, value] of samples) {
      const definitions = this.#definitions.get(sample)
      if (definitions === undefined) continue
      const key = `${sample}{${labels}}`
      own.set(key, value)
      const earlier = before.get(key) ?? 0
      // A counter that is smaller than before is another one, which began at zero.
      const grown = value >= earlier ? value - earlier : value
      for (const [name, definition] of definitions) {
        const row = this.#rowOf(name, definition, labels)
        if (row) add(row, slot, definition.shown, value, grown, seconds)
      }
    }
  }

  /** `undefined` if there are too many. */
  #rowOf(name: string, definition: HistoryDefinition, labels: string): Float32Array | undefined {
    const { by, shown } = definition
    const group = by === undefined ? '' : labelOf(labels, by)
    const key = `${name} ${group}`
    let series = this.#series.get(key)
    if (!series) {
      if (by !== undefined && this.#groupCount(name) >= this.#options.groupsMax) return undefined
      series = { name, definition, group, rows: new Map(), lastStep: this.#step }
      this.#series.set(key, series)
    }
    series.lastStep = this.#step
    const bound = shown === 'quantiles' ? labelOf(labels, 'le') : ''
    let row = series.rows.get(bound)
    if (!row) {
      row = new Float32Array(this.#options.stepCount).fill(Number.NaN)
      series.rows.set(bound, row)
    }
    return row
  }

  #groupCount(name: string): number {
    let count = 0
    for (const series of this.#series.values()) if (series.name === name) count++
    return count
  }
}

function add(
  row: Float32Array,
  slot: number,
  shown: HistoryDefinition['shown'],
  value: number,
  grown: number,
  seconds: number,
): void {
  const before = row[slot] as number
  const isFirst = Number.isNaN(before)
  switch (shown) {
    case 'rate':
      row[slot] = (isFirst ? 0 : before) + grown / seconds
      break
    case 'quantiles':
      row[slot] = (isFirst ? 0 : before) + grown
      break
    case 'sum':
      row[slot] = (isFirst ? 0 : before) + value
      break
    case 'max':
      row[slot] = isFirst ? value : Math.max(before, value)
  }
}

function headOf({ name, group, definition: { by, unit } }: KeptSeries): SeriesHead {
  return { name, ...(by !== undefined && { group }), unit }
}

function quantilesOf(series: KeptSeries, slots: readonly number[]): QuantilesAnswer {
  const rows = [...series.rows]
    .map(([bound, row]) => ({ bound: bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), row }))
    .sort((one, other) => one.bound - other.bound)
  const bounds = rows.map(({ bound }) => bound)
  const countsOf = (slot: number) => rows.map(({ row }) => row[slot] || 0)
  const steps = slots.map(countsOf)
  const all = bounds.map((_, bucket) => steps.reduce((sum, counts) => sum + (counts[bucket] as number), 0))
  const ofSteps = (quantile: number) => steps.map((counts) => known(quantileOf(quantile, bounds, counts)))
  const ofAll = (quantile: number) => known(quantileOf(quantile, bounds, all))
  return {
    ...headOf(series),
    p50: ofSteps(quantiles.p50),
    p95: ofSteps(quantiles.p95),
    p99: ofSteps(quantiles.p99),
    overall: {
      count: all.at(-1) ?? 0,
      p50: ofAll(quantiles.p50),
      p95: ofAll(quantiles.p95),
      p99: ofAll(quantiles.p99),
    },
  }
}

/** Five digits are more than a chart can show, and a third of the text. */
function known(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : Number(value.toPrecision(5))
}

/**
 * Of labels as samples write them; '' if there is no such label. Those that are asked for are names and bounds, which hold nothing that
 * would have to be escaped.
 */
function labelOf(labels: string, name: string): string {
  const start = `,${labels}`.indexOf(`,${name}="`)
  if (start === -1) return ''
  const from = start + name.length + 2
  return labels.slice(from, labels.indexOf('"', from))
}
