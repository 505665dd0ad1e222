import type { GeneratorProgress } from '#loadtest/generate/generator.ts'
import type { ClickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { PenstockError } from '#schemas/errors.ts'
import { StallWatch } from './stall-watch.ts'

/** So long what a scenario waits for may stand still; longer than any time-out of the delivery protocol. */
const stallMsMax = 240_000
const pollMs = 50

/** The load under way as faults are scheduled on it: by what was acknowledged and stored, not by the clock. */
export class LoadView {
  readonly #rows: ClickhouseRows
  readonly #over = new AbortController()
  #progress: GeneratorProgress = { offered: 0, sent: 0, settled: 0, open: 0 }
  /** Progress reports so far, two a second. */
  #reports = 0
  /** Reports since acknowledgements last moved. */
  #stillReports = 0

  constructor(rows: ClickhouseRows) {
    this.#rows = rows
  }

  get acknowledged(): number {
    return this.#progress.settled
  }

  get reports(): number {
    return this.#reports
  }

  update(progress: GeneratorProgress): void {
    this.#reports++
    this.#stillReports = progress.settled > this.#progress.settled ? 0 : this.#stillReports + 1
    this.#progress = progress
  }

  /** The load has ended; whoever waits for it to move is told. */
  end(): void {
    this.#over.abort()
  }

  /** Until devices hold `count` acknowledgements over all. */
  async untilAcknowledged(count: number): Promise<void> {
    while (this.acknowledged < count) {
      const before = this.acknowledged
      await this.until(`${count} messages acknowledged`, () => this.acknowledged > before)
    }
  }

  /** Until so many more are acknowledged than now. */
  untilMore(count: number): Promise<void> {
    return this.untilAcknowledged(this.acknowledged + count)
  }

  /** Until no acknowledgement came for `reports` progress reports. */
  untilStill(reports: number): Promise<void> {
    return this.until('acknowledgements to stop', () => this.#stillReports >= reports)
  }

  /** Until the table has `count` rows. */
  untilStored(count: number): Promise<void> {
    return this.until(`${count} rows stored`, async () => ((await this.storedRows()) ?? 0) >= count)
  }

  /** Until so many log partitions have rows of messages that the edge took in after now. */
  untilStoredFrom(partitions: number): Promise<void> {
    const nowMs = Date.now()
    const isStored = () =>
      this.#rows
        .partitionsSince(nowMs)
        .then((count) => count >= partitions)
        .catch(() => false)
    return this.until(`rows of ${partitions} partitions`, isStored)
  }

  /** Log partitions that have rows. */
  storedPartitions(): Promise<number> {
    return this.#rows.partitionsSince(0)
  }

  /** Looks at how long partitions stand still, until it is stopped. */
  watchStalls(): StallWatch {
    return new StallWatch(this.#rows)
  }

  /** Rows of the table; `undefined` while the warehouse does not answer. */
  storedRows(): Promise<number | undefined> {
    return this.#rows.tableRows().catch(() => undefined)
  }

  /** @throws LOADTEST_SCENARIO_STALLED if it takes too long, or the load ends before */
  async until(what: string, condition: () => boolean | Promise<boolean>, msMax = stallMsMax): Promise<void> {
    if (!(await this.reached(condition, msMax)))
      throw new PenstockError(
        'LOADTEST_SCENARIO_STALLED',
        `waited for ${what}; ${this.acknowledged} acknowledged, ${await this.storedRows()} stored`,
      )
  }

  /** Like `until`; false if it takes longer than `msMax`. */
  async reached(condition: () => boolean | Promise<boolean>, msMax: number): Promise<boolean> {
    const deadlineMs = performance.now() + msMax
    while (!(await condition())) {
      if (this.#over.signal.aborted || performance.now() > deadlineMs) return false
      await new Promise((resolve) => setTimeout(resolve, pollMs))
    }
    return true
  }
}
