/**
 * One run, step by step: connect ── begin ── generated ── finish; `end` comes last, whatever happened.
 *
 *   connect     generator processes open their connections
 *   begin       looks at the target begin, clocks are compared, and all processes are told the same first moment
 *   generated   they send, drain and report
 *   finish      the ledger is compared with the rows, and thresholds are judged
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { AgentFleet } from '#loadtest/agents/agent-fleet.ts'
import type { AgentAddress } from '#loadtest/agents/agent-socket.ts'
import type { GeneratorInterval, GeneratorProgress } from '#loadtest/generate/generator.ts'
import { countOfRanges, type DeviceLedger } from '#loadtest/ledger/ledger.ts'
import { type Reconciliation, reconcileWhenSettled } from '#loadtest/ledger/reconcile.ts'
import { type ClickhouseRows, clickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { TargetObserver } from '#loadtest/observe/observer.ts'
import type { ProcessUsage } from '#loadtest/observe/target-processes.ts'
import { type VisibleLatency, watchVisibleLatency } from '#loadtest/observe/visible-latency.ts'
import { type LoadOptions, runPrefix } from '#loadtest/options/load-options.ts'
import { GeneratorHandle } from '#loadtest/processes/generator-handle.ts'
import { judge } from '#loadtest/result/judge.ts'
import { generatedResult, type LoadResult, sumProgress, type Verdict } from '#loadtest/result/load-result.ts'
import { manifestOf } from '#loadtest/result/manifest.ts'
import type { Threshold, ThresholdVerdict } from '#loadtest/result/slo.ts'
import { Timeline, type TimelinePoint } from '#loadtest/result/timeline.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'

/** What a live view is given, about twice a second. */
export interface LiveView {
  readonly point: TimelinePoint | undefined
  readonly progress: GeneratorProgress
  readonly observer: TargetObserver | undefined
}

export interface LoadHooks {
  /** Stops sending early; the run still drains and reconciles. */
  readonly signal?: AbortSignal
  /** Ends the run at once, without a result. */
  readonly leave?: AbortSignal
  /** Devices of the run that are still registered once it is over, for people. */
  readonly onLeftBehind?: (text: string) => void
  /** About twice a second: sums of all processes. */
  readonly onProgress?: (progress: GeneratorProgress) => void
  readonly onLive?: (view: LiveView) => void
  /** All messages are sent; the rows stored so far while they are waited for. */
  readonly onRows?: (rows: number) => void
  /** Every device's ledger, before it is reconciled. */
  readonly onLedgers?: (ledgers: readonly DeviceLedger[]) => void
  /** Looks at the target's processes, rows and counters once a second, which costs it a little; absent: it is left alone. */
  readonly observe?: { readonly metricsUrl: string | undefined }
  readonly thresholds?: readonly Threshold[]
  /** Where the generators run; absent or empty: on this machine. */
  readonly agents?: readonly AgentAddress[]
}

const startDelayMs = 100

/** A generator process and the workload that it is one of. */
interface WorkloadProcess {
  readonly options: LoadOptions
  readonly handle: GeneratorHandle
}

/** What the generators say, and what the target used until they said it. */
interface Generated {
  readonly result: ReturnType<typeof generatedResult>
  readonly ledgers: readonly DeviceLedger[]
  readonly usage: readonly ProcessUsage[]
  readonly manifest: LoadResult['manifest']
}

export class LoadRun {
  readonly #workloads: readonly LoadOptions[]
  /** Names the run, and says where its rows are. */
  readonly #main: LoadOptions
  readonly #fleet: AgentFleet
  readonly #hooks: LoadHooks
  readonly #rows: ClickhouseRows | undefined
  readonly #processes: readonly WorkloadProcess[]
  readonly #timeline = new Timeline()
  #observer: TargetObserver | undefined
  #visible: VisibleLatency | undefined
  #connectMs = 0
  #rowsBefore = 0
  #startAtMs = 0
  #isOver = false

  /** @param main the first of the workloads */
  constructor(workloads: readonly LoadOptions[], main: LoadOptions, fleet: AgentFleet, hooks: LoadHooks) {
    this.#workloads = workloads
    this.#main = main
    this.#fleet = fleet
    this.#hooks = hooks
    const isStored = main.kind === 'telemetry' && main.clickhouse !== undefined
    this.#rows = isStored ? clickhouseRows(main.clickhouse, main.table) : undefined
    this.#processes = workloads
      .flatMap((options) => Array.from({ length: options.processes }, (_, first) => ({ options, first })))
      .map(({ options, first }, index) => {
        const slice = { first, step: options.processes }
        return { options, handle: new GeneratorHandle(options, slice, fleet.generator(index, options)) }
      })
  }

  async connect(): Promise<void> {
    this.#connectMs = Math.max(...(await Promise.all(this.#handles.map((each) => each.connected))))
  }

  async begin(): Promise<void> {
    const { observe } = this.#hooks
    this.#rowsBefore = this.#rows === undefined ? 0 : await rowsAtStart(this.#rows)
    this.#observer = observe && (await this.#openObserver(observe.metricsUrl))
    await this.#fleet.compareClocks()
    this.#mustGoOn()
    this.#startAtMs = Date.now() + startDelayMs
    this.#observer?.start(this.#startAtMs)
    this.#visible = this.#watchVisible()
    for (const [index, { handle, options }] of this.#processes.entries()) {
      handle.onProgress = (interval) => this.#hear(index, options, interval)
      const delayMs = options.delaySeconds * 1000
      handle.tell({ kind: 'run', startAtMs: this.#startAtMs + delayMs + this.#fleet.offsetMsOf(index) })
    }
  }

  async generated(): Promise<Generated> {
    const { signal } = this.#hooks
    const abort = () => {
      for (const each of this.#handles) each.tell({ kind: 'abort' })
    }
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    const reports = await Promise.all(
      this.#handles.map(async ({ done }, index) => ({ ...(await done), agent: this.#fleet.nameOf(index) })),
    ).finally(() => signal?.removeEventListener('abort', abort))
    const agents = await this.#fleet.records()
    const ledgers = reports.flatMap((report) => report.ledgers)
    this.#hooks.onLedgers?.(ledgers)
    const parts = this.#workloads.map((options) => ({
      options,
      reports: reports.filter((_, index) => this.#processes[index]?.options === options),
    }))
    const result = generatedResult(parts, agents)
    const { settled, sent } = result.counts.atEnd
    const answered = result.exchanges.reduce((sum, { counts }) => sum + counts.answered, 0)
    const usage = this.#observer?.usageUntilNow((this.#main.qos === 1 ? settled : sent) + answered) ?? []
    return { result, ledgers, usage, manifest: manifestOf(this.#workloads, this.#startAtMs, agents) }
  }

  /** @throws WAREHOUSE_REFUSED, WAREHOUSE_UNAVAILABLE */
  async finish({ result, ledgers, usage, manifest }: Generated): Promise<LoadResult> {
    let storedMs = 0
    let rowsSeen = 0
    const onRows = (count: number) => {
      if (count > rowsSeen) storedMs = Date.now() - this.#startAtMs
      rowsSeen = Math.max(rowsSeen, count)
      this.#hooks.onRows?.(count)
    }
    const sleep = (ms: number) => wait(ms).then(() => this.#mustGoOn())
    const looking = { rowsBefore: this.#rowsBefore, onRows, sleep }
    const reconciliation = this.#rows && (await reconcileRun(ledgers, this.#rows, this.#main, looking))
    const measured = {
      ...result,
      connectMs: this.#connectMs,
      manifest,
      storedPerSecond: reconciliation && storedMs > 0 ? reconciliation.stored / (storedMs / 1000) : undefined,
      latency: { ...result.latency, visible: await this.#visible?.stop() },
      timeline: this.#timeline.points(),
      target: await this.#observer?.stop(usage, result.counts.atEnd.settled),
      reconciliation,
    }
    const thresholds = judge(this.#hooks.thresholds ?? [], measured)
    return { ...measured, thresholds, verdict: verdictOf(measured, thresholds) }
  }

  async end(): Promise<void> {
    this.#isOver = true
    this.#observer?.abandon()
    // A run that failed must not go on asking.
    void this.#visible?.stop()
    for (const each of this.#handles) each.kill()
    await this.#fleet.close()
  }

  /** A step that is under way when the run ends begins nothing more. @throws LOADTEST_STOPPED */
  #mustGoOn(): void {
    if (this.#isOver) throw runStopped()
  }

  get #handles(): readonly GeneratorHandle[] {
    return this.#processes.map(({ handle }) => handle)
  }

  async #openObserver(metricsUrl: string | undefined): Promise<TargetObserver> {
    const { clickhouse } = this.#main
    const urls = [...this.#workloads.map(({ url }) => url), ...(clickhouse === undefined ? [] : [clickhouse])]
    const observer = new TargetObserver({ urls, metricsUrl, rows: this.#rows, rowsBefore: this.#rowsBefore })
    await observer.prepare()
    return observer
  }

  /** A saturated warehouse has no time to be asked; its latency is a queue's length. */
  #watchVisible(): VisibleLatency | undefined {
    const { rate, shape } = this.#main
    const isWatched = typeof rate === 'number' && (rate > 0 || shape !== undefined)
    if (this.#rows === undefined || !isWatched) return undefined
    return watchVisibleLatency(this.#main, this.#rows, this.#startAtMs, (process) => this.#fleet.offsetMsOf(process))
  }

  #hear(index: number, { delaySeconds }: LoadOptions, interval: GeneratorInterval): void {
    this.#timeline.add(index, { ...interval, atMs: interval.atMs + delaySeconds * 1000 })
    const progress = sumProgress(this.#handles.map((each) => each.progress))
    this.#hooks.onProgress?.(progress)
    if (index !== 0) return
    this.#hooks.onLive?.({ point: this.#timeline.points().at(-1), progress, observer: this.#observer })
  }
}

export function runStopped(): PenstockError {
  return new PenstockError('LOADTEST_STOPPED', 'the load test was ended without a result')
}

/** A loss stays a loss whoever was the limit; figures don't. */
function verdictOf(
  { reconciliation, exchanges, validity }: Pick<LoadResult, 'reconciliation' | 'exchanges' | 'validity'>,
  thresholds: readonly ThresholdVerdict[],
): Verdict {
  if (reconciliation?.isClean === false || exchanges.some(({ isClean }) => !isClean)) return 'failed'
  if (!validity.isValid) return 'invalid'
  return thresholds.every(({ isMet }) => isMet) ? 'passed' : 'failed'
}

/** Rows the table already has. One that doesn't exist yet has none; a warehouse that doesn't answer fails the run at once. */
async function rowsAtStart(rows: ClickhouseRows): Promise<number> {
  try {
    return await rows.tableRows()
  } catch (error) {
    if (isPenstockError(error, 'WAREHOUSE_REFUSED')) return 0
    throw error
  }
}

interface Looking {
  readonly rowsBefore: number
  readonly onRows: (rows: number) => void
  /** Rejects to end it. */
  readonly sleep: (ms: number) => Promise<void>
}

function reconcileRun(
  ledgers: readonly DeviceLedger[],
  rows: ClickhouseRows,
  options: LoadOptions,
  { rowsBefore, onRows, sleep }: Looking,
): Promise<Reconciliation> {
  const expected = ledgers.reduce((sum, { acknowledged }) => sum + countOfRanges(acknowledged), 0)
  // The table's own row count costs nothing; rows of this run are looked for only once there can be enough of them.
  const rowCount = async (prefix: string) => {
    const added = (await rows.tableRows()) - rowsBefore
    return added < expected ? added : rows.rowCount(prefix)
  }
  return reconcileWhenSettled(ledgers, { ...rows, rowCount }, runPrefix(options.run), {
    quietMsMax: options.quietMsMax,
    pollMs: 100,
    confirmMs: 1_000,
    nowMs: () => performance.now(),
    sleep,
    onRows,
  })
}
