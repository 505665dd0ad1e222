import { AgentFleet, spreadOver } from '#loadtest/agents/agent-fleet.ts'
import type { AgentAddress } from '#loadtest/agents/agent-socket.ts'
import type { GeneratorProgress } from '#loadtest/generate/generator.ts'
import { GeneratorHandle } from '#loadtest/generate/generator-handle.ts'
import { countOfRanges, type DeviceLedger } from '#loadtest/ledger/ledger.ts'
import { type Reconciliation, reconcileWhenSettled } from '#loadtest/ledger/reconcile.ts'
import { type ClickhouseRows, clickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { TargetObserver } from '#loadtest/observe/observer.ts'
import { type VisibleLatency, watchVisibleLatency } from '#loadtest/observe/visible-latency.ts'
import { faultsOf, type LoadOptions, runPrefix } from '#loadtest/options/load-options.ts'
import { judge } from '#loadtest/result/judge.ts'
import { generatedResult, type LoadResult, sumProgress, type Verdict } from '#loadtest/result/load-result.ts'
import { manifestOf } from '#loadtest/result/manifest.ts'
import type { Threshold, ThresholdVerdict } from '#loadtest/result/slo.ts'
import { Timeline, type TimelinePoint } from '#loadtest/result/timeline.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'

export type { LatencyResult, LoadResult } from '#loadtest/result/load-result.ts'

/** What a live view is given, about twice a second. */
export interface LiveView {
  readonly point: TimelinePoint | undefined
  readonly progress: GeneratorProgress
  readonly observer: TargetObserver | undefined
}

export interface LoadHooks {
  /** Stops sending early; the run still drains and reconciles. */
  readonly signal?: AbortSignal
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

/**
 * Runs a load from forked processes and reconciles it. Survives a target that dies and comes back while it runs.
 * @throws LOADTEST_OPTIONS_INVALID, LOADTEST_TARGET_UNREACHABLE, LOADTEST_GENERATOR_FAILED, LOADTEST_AGENT_FAILED,
 *   WAREHOUSE_REFUSED, WAREHOUSE_UNAVAILABLE (when reconciling). Losses are not thrown but told: see `assertClean`.
 */
export function runLoad(options: LoadOptions, hooks: LoadHooks = {}): Promise<LoadResult> {
  return runWorkloads([options], hooks)
}

/**
 * Several workloads side by side, each from processes of its own, with one ledger. They share the run's name and the warehouse of
 * the first, and their device numbers don't overlap (`firstDevice`). Throws as `runLoad` does.
 */
export async function runWorkloads(given: readonly LoadOptions[], hooks: LoadHooks = {}): Promise<LoadResult> {
  const addresses = hooks.agents ?? []
  const workloads = given.map((options) => spreadOver(options, addresses.length))
  const faults = workloads.flatMap(faultsOf)
  if (workloads.reduce((sum, { processes }) => sum + processes, 0) < addresses.length)
    faults.push('--agents: there are fewer connections than agents')
  const [main] = workloads
  if (faults.length > 0 || main === undefined)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n') || 'there is no workload')
  const rows = main.clickhouse === undefined ? undefined : clickhouseRows(main.clickhouse, main.table)
  const fleet = await AgentFleet.open(addresses)
  const processes = workloads
    .flatMap((options) => Array.from({ length: options.processes }, (_, first) => ({ options, first })))
    .map(({ options, first }, index) => {
      const slice = { first, step: options.processes }
      return { options, handle: new GeneratorHandle(options, slice, fleet.generator(index, options)) }
    })
  const handles = processes.map(({ handle }) => handle)
  let observer: TargetObserver | undefined
  let visible: VisibleLatency | undefined
  try {
    const connectMs = Math.max(...(await Promise.all(handles.map((each) => each.connected))))
    const rowsBefore = rows === undefined ? 0 : await rowsAtStart(rows)
    observer = hooks.observe && (await observerOf(workloads, hooks.observe.metricsUrl, rows, rowsBefore))
    await fleet.compareClocks()
    const startAtMs = Date.now() + startDelayMs
    const timeline = new Timeline()
    observer?.start(startAtMs)
    // A saturated warehouse has no time to be asked; its latency is a queue's length.
    const isWatched = typeof main.rate === 'number' && (main.rate > 0 || main.shape !== undefined)
    visible =
      rows && isWatched ? watchVisibleLatency(main, rows, startAtMs, (process) => fleet.offsetMsOf(process)) : undefined
    const abort = () => {
      for (const each of handles) each.tell({ kind: 'abort' })
    }
    for (const [index, { handle, options }] of processes.entries()) {
      handle.onProgress = (interval) => {
        timeline.add(index, { ...interval, atMs: interval.atMs + options.delaySeconds * 1000 })
        const progress = sumProgress(handles.map((each) => each.progress))
        hooks.onProgress?.(progress)
        if (index === 0) hooks.onLive?.({ point: timeline.points().at(-1), progress, observer })
      }
      const delayMs = options.delaySeconds * 1000
      handle.tell({ kind: 'run', startAtMs: startAtMs + delayMs + fleet.offsetMsOf(index) })
    }
    if (hooks.signal?.aborted) abort()
    hooks.signal?.addEventListener('abort', abort)
    const reports = await Promise.all(
      handles.map(async ({ done }, index) => ({ ...(await done), agent: fleet.nameOf(index) })),
    ).finally(() => hooks.signal?.removeEventListener('abort', abort))
    const agents = await fleet.records()
    const ledgers = reports.flatMap((report) => report.ledgers)
    hooks.onLedgers?.(ledgers)
    const generated = generatedResult(
      workloads.map((options) => ({
        options,
        reports: reports.filter((_, index) => processes[index]?.options === options),
      })),
      agents,
    )
    const arrived = main.qos === 1 ? generated.counts.atEnd.settled : generated.counts.atEnd.sent
    const usage = observer?.usageUntilNow(arrived) ?? []
    let storedMs = 0
    let rowsSeen = 0
    const onRows = (count: number) => {
      if (count > rowsSeen) storedMs = Date.now() - startAtMs
      rowsSeen = Math.max(rowsSeen, count)
      hooks.onRows?.(count)
    }
    const reconciliation = rows && (await reconcileRun(ledgers, rows, rowsBefore, main, onRows))
    const measured = {
      ...generated,
      connectMs,
      manifest: manifestOf(workloads, startAtMs, agents),
      storedPerSecond: reconciliation && storedMs > 0 ? reconciliation.stored / (storedMs / 1000) : undefined,
      latency: { ...generated.latency, visible: await visible?.stop() },
      timeline: timeline.points(),
      target: await observer?.stop(usage, generated.counts.atEnd.settled),
      reconciliation,
    }
    const thresholds = judge(hooks.thresholds ?? [], measured)
    return { ...measured, thresholds, verdict: verdictOf(reconciliation, measured.validity.isValid, thresholds) }
  } finally {
    observer?.abandon()
    // A run that failed must not go on asking.
    void visible?.stop()
    for (const each of handles) each.kill()
    await fleet.close()
  }
}

/** A loss stays a loss whoever was the limit; figures don't. */
function verdictOf(
  reconciliation: Reconciliation | undefined,
  isValid: boolean,
  thresholds: readonly ThresholdVerdict[],
): Verdict {
  if (reconciliation?.isClean === false) return 'failed'
  if (!isValid) return 'invalid'
  return thresholds.every(({ isMet }) => isMet) ? 'passed' : 'failed'
}

async function observerOf(
  workloads: readonly LoadOptions[],
  metricsUrl: string | undefined,
  rows: ClickhouseRows | undefined,
  rowsBefore: number,
): Promise<TargetObserver> {
  const clickhouse = workloads[0]?.clickhouse
  const urls = [...workloads.map(({ url }) => url), ...(clickhouse === undefined ? [] : [clickhouse])]
  const observer = new TargetObserver({ urls, metricsUrl, rows, rowsBefore })
  await observer.prepare()
  return observer
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

function reconcileRun(
  ledgers: readonly DeviceLedger[],
  rows: ClickhouseRows,
  rowsBefore: number,
  options: LoadOptions,
  onRows: (rows: number) => void,
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
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    onRows,
  })
}
