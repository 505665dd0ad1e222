/**
 * Latencies in microseconds, in the log-linear buckets of HdrHistogram: within each power of two 128 equal steps, so a value
 * is off by less than 1 %. Adding costs an index and an addition for any number of equal values; histograms of several
 * processes are merged by addition.
 *
 *   value < 256: one bucket each        value ≥ 256: bucket = (power − 7) · 128 + top eight bits of the value
 */
const subBits = 7
const subCount = 1 << subBits
/** Covers up to 2^31 µs, 35 minutes; more is counted there. */
const bucketCount = (31 - subBits + 1) * subCount
const valueMax = 0x7fff_ffff

/** A histogram as it travels between processes and into files: only buckets that are not empty. */
export interface LatencySnapshot {
  readonly unit: 'microseconds'
  readonly sum: number
  readonly max: number
  readonly buckets: readonly (readonly [index: number, count: number])[]
}

/** What people read, in milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

export class LatencyHistogram {
  readonly #counts = new Float64Array(bucketCount)
  #count = 0
  #sum = 0
  #max = 0
  #taken: Float64Array | undefined

  get count(): number {
    return this.#count
  }

  /** HOT: `times` equal values. Below zero counts as 0 (a clock that was set back). */
  add(microseconds: number, times: number): void {
    const value = microseconds < 0 ? 0 : microseconds > valueMax ? valueMax : microseconds | 0
    const index = bucketOf(value)
    this.#counts[index] = (this.#counts[index] as number) + times
    this.#count += times
    this.#sum += value * times
    if (value > this.#max) this.#max = value
  }

  /** Forgets all values: what follows is measured. */
  reset(): void {
    this.#counts.fill(0)
    this.#taken?.fill(0)
    this.#count = 0
    this.#sum = 0
    this.#max = 0
  }

  /** The value that `fraction` of all values don't exceed, in microseconds; 0 if empty. */
  quantile(fraction: number): number {
    const wanted = Math.max(1, Math.ceil(fraction * this.#count))
    let seen = 0
    for (let index = 0; index < bucketCount; index++) {
      seen += this.#counts[index] as number
      if (seen >= wanted) return Math.min(highestOf(index), this.#max)
    }
    return this.#max
  }

  merge({ buckets, sum, max }: LatencySnapshot): void {
    for (const [index, count] of buckets) {
      this.#counts[index] = (this.#counts[index] as number) + count
      this.#count += count
    }
    this.#sum += sum
    this.#max = Math.max(this.#max, max)
  }

  snapshot(): LatencySnapshot {
    const buckets: [number, number][] = []
    for (const [index, count] of this.#counts.entries()) if (count > 0) buckets.push([index, count])
    return { unit: 'microseconds', sum: this.#sum, max: this.#max, buckets }
  }

  /** What was added since the last call, for a timeline. Costs a pass over all buckets, and nothing where values are added. */
  takeRecent(): LatencySnapshot {
    this.#taken ??= new Float64Array(bucketCount)
    const buckets: [number, number][] = []
    let sum = 0
    let max = 0
    for (let index = 0; index < bucketCount; index++) {
      const count = (this.#counts[index] as number) - (this.#taken[index] as number)
      if (count <= 0) continue
      max = Math.min(highestOf(index), this.#max)
      sum += count * max
      buckets.push([index, count])
    }
    this.#taken.set(this.#counts)
    return { unit: 'microseconds', sum, max, buckets }
  }

  summary(): LatencySummary {
    const ms = (microseconds: number) => Math.round(microseconds) / 1000
    return {
      count: this.#count,
      meanMs: ms(this.#count === 0 ? 0 : this.#sum / this.#count),
      p50Ms: ms(this.quantile(0.5)),
      p90Ms: ms(this.quantile(0.9)),
      p99Ms: ms(this.quantile(0.99)),
      p999Ms: ms(this.quantile(0.999)),
      maxMs: ms(this.#max),
    }
  }
}

/** Latencies for people, and as they are. */
export interface LatencyResult {
  readonly summary: LatencySummary
  readonly snapshot: LatencySnapshot
}

/** Histograms of several processes as one result. */
export function latencyResult(snapshots: readonly LatencySnapshot[]): LatencyResult {
  const histogram = mergedHistogram(snapshots)
  return { summary: histogram.summary(), snapshot: histogram.snapshot() }
}

/** Histograms of several processes or intervals as one. */
export function mergedHistogram(snapshots: readonly LatencySnapshot[]): LatencyHistogram {
  const histogram = new LatencyHistogram()
  for (const snapshot of snapshots) histogram.merge(snapshot)
  return histogram
}

function bucketOf(value: number): number {
  if (value < 2 * subCount) return value
  const power = 31 - Math.clz32(value)
  return (power - subBits) * subCount + (value >> (power - subBits))
}

/** The largest value that falls into a bucket. */
function highestOf(index: number): number {
  if (index < 2 * subCount) return index
  const shift = Math.floor(index / subCount) - 1
  return (index - shift * subCount + 1) * 2 ** shift - 1
}
