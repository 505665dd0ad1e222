/**
 * Counters, gauges and histograms of one process, rendered in the Prometheus text format. Hot code adds to a `Counter` or a
 * `Histogram` it holds (one field, no look-up), a batch at a time.
 */
import { assert } from './assert.ts'

export type MetricDefinition = CountDefinition | HistogramDefinition

interface NamedMetric {
  readonly help: string
  readonly labels: readonly string[]
}

export interface CountDefinition extends NamedMetric {
  readonly type: 'counter' | 'gauge'
}

export interface HistogramDefinition extends NamedMetric {
  readonly type: 'histogram'
  /** Upper bounds, growing; what is above the last one is counted, too. The same in all processes, which are summed. */
  readonly buckets: readonly number[]
}

export class Counter {
  value = 0

  add(amount: number): void {
    this.value += amount
  }

  set(value: number): void {
    this.value = value
  }
}

/** How often values were seen, by size. */
export class Histogram {
  readonly #bounds: readonly number[]
  /** By bucket, not cumulative; the last one is above all bounds. */
  readonly #counts: Float64Array
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
  }

  /** `value` was seen so many times. HOT: per batch; some ten comparisons and two additions. */
  observe(value: number, count = 1): void {
    let bucket = 0
    // Not `<`: what is no number lies above all bounds.
    while (bucket < this.#bounds.length && !(value <= (this.#bounds[bucket] as number))) bucket++
    this.#counts[bucket] = (this.#counts[bucket] as number) + count
    this.#sum += value * count
  }

  /** As Prometheus has them: each bucket counts all that are no larger. */
  samples(name: string, labels: string): MetricSample[] {
    const before = labels === '' ? '' : `${labels},`
    const bounds = [...this.#bounds.map(String), '+Inf']
    let count = 0
    const buckets = bounds.map((bound, bucket): MetricSample => {
      count += this.#counts[bucket] as number
      return [`${name}_bucket`, `${before}le="${bound}"`, count]
    })
    return [...buckets, [`${name}_sum`, labels, this.#sum], [`${name}_count`, labels, count]]
  }
}

export type LabelValues = Readonly<Record<string, string>>

/** One sample as it is sent between processes: metric name, label text (`a="b"`), value. */
export type MetricSample = readonly [name: string, labels: string, value: number]

export class Metrics<Name extends string> {
  readonly #table: Readonly<Record<Name, MetricDefinition>>
  readonly #series = new Map<string, Series<Name>>()

  constructor(table: Readonly<Record<Name, MetricDefinition>>) {
    this.#table = table
  }

  /** The counter or gauge of `name` with these label values, created on first use and then kept. Hot code should keep a reference to it. */
  series(name: Name, labels: LabelValues = {}): Counter {
    const { value } = this.#seriesOf(name, labels)
    assert(value instanceof Counter, `${name} is a counter or gauge`)
    return value
  }

  /** The same of a histogram. */
  histogram(name: Name, labels: LabelValues = {}): Histogram {
    const { value } = this.#seriesOf(name, labels)
    assert(value instanceof Histogram, `${name} is a histogram`)
    return value
  }

  #seriesOf(name: Name, labels: LabelValues): Series<Name> {
    const definition = this.#table[name]
    const text = definition.labels.map((label) => `${label}="${escapeLabel(labels[label] ?? '')}"`).join(',')
    const key = `${name}{${text}}`
    let series = this.#series.get(key)
    if (!series) {
      const value = definition.type === 'histogram' ? new Histogram(definition.buckets) : new Counter()
      series = { name, labels: text, value }
      this.#series.set(key, series)
    }
    return series
  }

  /** All samples of this process. */
  samples(): MetricSample[] {
    return [...this.#series.values()].flatMap(({ name, labels, value }): MetricSample[] =>
      value instanceof Histogram ? value.samples(name, labels) : [[name, labels, value.value]],
    )
  }

  /** Sums samples of several processes by series and renders them as Prometheus text exposition format 0.0.4. */
  render(processes: readonly (readonly MetricSample[])[]): string {
    const sums = new Map<string, Map<string, number>>()
    for (const samples of processes) {
      for (const [name, labels, value] of samples) {
        const byLabels = sums.get(name) ?? new Map<string, number>()
        byLabels.set(labels, (byLabels.get(labels) ?? 0) + value)
        sums.set(name, byLabels)
      }
    }
    let text = ''
    for (const [name, { help, type }] of Object.entries<MetricDefinition>(this.#table)) {
      const names = type === 'histogram' ? histogramSuffixes.map((suffix) => name + suffix) : [name]
      if (!names.some((each) => sums.has(each))) continue
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
      for (const each of names)
        for (const [labels, value] of sums.get(each) ?? [])
          text += labels === '' ? `${each} ${value}\n` : `${each}{${labels}} ${value}\n`
    }
    return text
  }
}

interface Series<Name> {
  readonly name: Name
  /** `a="b"` */
  readonly labels: string
  readonly value: Counter | Histogram
}

const histogramSuffixes = ['_bucket', '_sum', '_count']

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))
}
