/**
 * Counters and gauges of one process, rendered in the Prometheus text format. Hot code adds to a `Counter` it holds
 * (one field, no look-up), a batch at a time.
 */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly labels: readonly string[]
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

export type LabelValues = Readonly<Record<string, string>>

/** One sample as it is sent between processes: metric name, label text (`a="b"`), value. */
export type MetricSample = readonly [name: string, labels: string, value: number]

export class Metrics<Name extends string> {
  readonly #table: Readonly<Record<Name, MetricDefinition>>
  readonly #series = new Map<string, Counter>()
  readonly #names = new Map<string, readonly [Name, string]>()

  constructor(table: Readonly<Record<Name, MetricDefinition>>) {
    this.#table = table
  }

  /** The series of `name` with these label values, created on first use and then kept. Hot code should keep a reference to it. */
  series(name: Name, labels: LabelValues = {}): Counter {
    const expected = this.#table[name].labels
    const text = expected.map((label) => `${label}="${escapeLabel(labels[label] ?? '')}"`).join(',')
    const key = `${name}{${text}}`
    let counter = this.#series.get(key)
    if (!counter) {
      counter = new Counter()
      this.#series.set(key, counter)
      this.#names.set(key, [name, text])
    }
    return counter
  }

  /** All samples of this process. */
  samples(): MetricSample[] {
    const samples: MetricSample[] = []
    for (const [key, counter] of this.#series) {
      const [name, labels] = this.#names.get(key) ?? [key, '']
      samples.push([name, labels, counter.value])
    }
    return samples
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
    for (const [name, definition] of Object.entries<MetricDefinition>(this.#table)) {
      const byLabels = sums.get(name)
      if (!byLabels) continue
      text += `# HELP ${name} ${definition.help}\n# TYPE ${name} ${definition.type}\n`
      for (const [labels, value] of byLabels)
        text += labels === '' ? `${name} ${value}\n` : `${name}{${labels}} ${value}\n`
    }
    return text
  }
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))
}
