import type { ClickhouseRows } from './clickhouse-rows.ts'
import { type MetricSums, messagesOnLog, metricSums } from './target-metrics.ts'
import { halve, type ProcessUsage, pointsKept, processesOfTarget, UsageSampler } from './target-processes.ts'

/** Rows stored so far at a moment of the run. */
export interface StoredPoint {
  readonly atS: number
  readonly rows: number
}

export interface Observation {
  readonly processes: readonly ProcessUsage[]
  readonly stored: readonly StoredPoint[]
  /** Messages the target counted onto its log; undefined if it has no such counter. */
  readonly onLog: number | undefined
}

export interface ObserverOptions {
  /** Addresses by whose ports the target's processes are found. */
  readonly urls: readonly string[]
  /** Prometheus page of the target; undefined: none. */
  readonly metricsUrl: string | undefined
  readonly rows: ClickhouseRows | undefined
  /** Rows of the table before the run. */
  readonly rowsBefore: number
}

const sampleMs = 1_000
/** Roles report to the supervisor about once a second; the last figures come a little later than the last message. */
const settleMsMax = 4_000

/** Looks at a target from outside, once a second, while it is under load: processes, rows, and its own counters. */
export class TargetObserver {
  readonly usage: UsageSampler
  readonly #options: ObserverOptions
  readonly #stored: StoredPoint[] = []
  #timer: NodeJS.Timeout | undefined
  #startAtMs = 0
  #before: MetricSums | undefined
  #isLooking = false
  #lagRecords: number | undefined

  constructor(options: ObserverOptions) {
    this.#options = options
    this.usage = new UsageSampler(processesOfTarget(options.urls))
  }

  /** Last row count, and the log records that the target says are not yet stored. */
  get latest(): { readonly rows: number | undefined; readonly lagRecords: number | undefined } {
    return { rows: this.#stored.at(-1)?.rows, lagRecords: this.#lagRecords }
  }

  /** Reads the counters from which the run counts. */
  async prepare(): Promise<void> {
    this.#before = await this.#metrics()
  }

  start(startAtMs: number): void {
    this.#startAtMs = startAtMs
    this.usage.sample((Date.now() - startAtMs) / 1000)
    this.#timer = setInterval(() => void this.#look(), sampleMs)
  }

  /** CPU and memory count until now; rows and counters go on being looked at. */
  usageUntilNow(messages: number): ProcessUsage[] {
    this.usage.sample(this.#atS())
    return this.usage.usage(messages)
  }

  /** @param expected messages that are acknowledged, so must be on the log */
  async stop(processes: readonly ProcessUsage[], expected: number): Promise<Observation> {
    clearInterval(this.#timer)
    const deadlineMs = performance.now() + settleMsMax
    let onLog: number | undefined
    for (;;) {
      const after = await this.#metrics()
      if (!after || !this.#before) break
      onLog = messagesOnLog(this.#before, after)
      if (onLog === undefined || onLog >= expected || performance.now() > deadlineMs) break
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    return { processes, stored: this.#stored, onLog }
  }

  /** Ends it without a result. */
  abandon(): void {
    clearInterval(this.#timer)
  }

  #atS(): number {
    return Math.max(0, (Date.now() - this.#startAtMs) / 1000)
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    this.usage.sample(this.#atS())
    const rows = await this.#options.rows?.tableRows().catch(() => undefined)
    if (this.#stored.length >= pointsKept) halve(this.#stored)
    if (rows !== undefined) this.#stored.push({ atS: this.#atS(), rows: Math.max(0, rows - this.#options.rowsBefore) })
    this.#lagRecords = (await this.#metrics())?.get('penstock_worker_lag_records')
    this.#isLooking = false
  }

  async #metrics(): Promise<MetricSums | undefined> {
    const { metricsUrl } = this.#options
    return metricsUrl === undefined ? undefined : metricSums(metricsUrl)
  }
}
