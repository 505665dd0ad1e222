import { cpus } from 'node:os'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { type ClickhouseRows, clickhouseRows } from './clickhouse-rows.ts'
import type { GeneratorProgress, GeneratorReport } from './generator.ts'
import { GeneratorHandle } from './generator-handle.ts'
import { LatencyHistogram, type LatencySnapshot, type LatencySummary } from './latency.ts'
import { countOfRanges, type DeviceLedger } from './ledger.ts'
import { faultsOf, type LoadOptions, runPrefix } from './options.ts'
import { type Reconciliation, reconcileWhenSettled } from './reconcile.ts'
import { watchVisibleLatency } from './visible-latency.ts'

export interface LoadResult {
  readonly manifest: LoadManifest
  /** Asked for by the schedule, written to sockets, settled by a PUBACK: when sending stopped, and at the end. */
  readonly counts: { readonly atStop: GeneratorProgress; readonly atEnd: GeneratorProgress }
  readonly sendMs: number
  /** Until the target had acknowledged everything, or at QoS 0 read everything. */
  readonly consumedMs: number
  readonly sentPerSecond: number
  readonly acknowledgedPerSecond: number
  /** Distinct messages stored, over the time from the first message to the last row; undefined if not reconciled. */
  readonly storedPerSecond: number | undefined
  readonly latency: {
    /** Intended moment of sending (saturating: of writing) → PUBACK. */
    readonly acknowledged: LatencyResult
    /** Intended moment → written to the socket; empty when saturating. */
    readonly sendDelay: LatencyResult
    /** Intended moment → seen by a query, of a few devices; undefined without ClickHouse. */
    readonly visible: LatencyResult | undefined
  }
  readonly connections: {
    readonly opened: number
    readonly lost: number
    readonly refused: number
    readonly lastFault: string
  }
  readonly acknowledgedOutOfOrder: number
  readonly acknowledgedUnexpected: number
  readonly generators: readonly GeneratorHealth[]
  /** Reasons why the figures say something about the generator instead of the target. */
  readonly warnings: readonly string[]
  readonly reconciliation: Reconciliation | undefined
}

export interface LatencyResult {
  readonly summary: LatencySummary
  readonly snapshot: LatencySnapshot
}

export interface LoadManifest {
  readonly startedAt: string
  readonly options: LoadOptions
  readonly node: string
  readonly cpu: string
  readonly cpuCount: number
}

export interface GeneratorHealth {
  /** CPU while sending ÷ one core. */
  readonly cpuShare: number
  readonly loopDelayMsP99: number
  readonly loopDelayMsMax: number
}

export interface LoadHooks {
  /** Stops sending early; the run still drains and reconciles. */
  readonly signal?: AbortSignal
  /** About twice a second: sums of all processes. */
  readonly onProgress?: (progress: GeneratorProgress) => void
  /** All messages are sent; the rows stored so far while they are waited for. */
  readonly onRows?: (rows: number) => void
  /** Every device's ledger, before it is reconciled. */
  readonly onLedgers?: (ledgers: readonly DeviceLedger[]) => void
}

const startDelayMs = 100

/**
 * Runs a load from forked processes and reconciles it. Survives a target that dies and comes back while it runs.
 * @throws LOADTEST_OPTIONS_INVALID, LOADTEST_TARGET_UNREACHABLE, LOADTEST_GENERATOR_FAILED, WAREHOUSE_REFUSED,
 *   WAREHOUSE_UNAVAILABLE (when reconciling). Losses are not thrown but told: see `assertClean`.
 */
export async function runLoad(options: LoadOptions, hooks: LoadHooks = {}): Promise<LoadResult> {
  const faults = faultsOf(options)
  if (faults.length > 0) throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n'))
  const rows = options.clickhouse === undefined ? undefined : clickhouseRows(options.clickhouse, options.table)
  const processes = Array.from({ length: options.processes }, (_, first) => new GeneratorHandle(options, first))
  try {
    await Promise.all(processes.map((each) => each.connected))
    const rowsBefore = rows === undefined ? 0 : await rowsAtStart(rows)
    const startAtMs = Date.now() + startDelayMs
    // A saturated warehouse has no time to be asked; its latency is a queue's length.
    const isWatched = typeof options.rate === 'number' && options.rate > 0
    const visible = rows && isWatched ? watchVisibleLatency(options, rows) : undefined
    const abort = () => {
      for (const each of processes) each.tell({ kind: 'abort' })
    }
    for (const each of processes) {
      each.onProgress = () => hooks.onProgress?.(sumProgress(processes.map(({ progress }) => progress)))
      each.tell({ kind: 'run', startAtMs })
    }
    if (hooks.signal?.aborted) abort()
    hooks.signal?.addEventListener('abort', abort)
    const reports = await Promise.all(processes.map((each) => each.done)).finally(() =>
      hooks.signal?.removeEventListener('abort', abort),
    )
    const ledgers = reports.flatMap((report) => report.ledgers)
    hooks.onLedgers?.(ledgers)
    let storedMs = 0
    let rowsSeen = 0
    const onRows = (count: number) => {
      if (count > rowsSeen) storedMs = Date.now() - startAtMs
      rowsSeen = Math.max(rowsSeen, count)
      hooks.onRows?.(count)
    }
    const reconciliation = rows && (await reconcileRun(ledgers, rows, rowsBefore, options, onRows))
    return {
      ...resultOf(options, startAtMs, reports, reconciliation && reconciliation.stored / (storedMs / 1000)),
      latency: {
        acknowledged: merged(reports.map(({ acknowledged }) => acknowledged)),
        sendDelay: merged(reports.map(({ sendDelay }) => sendDelay)),
        visible: await visible?.stop(),
      },
      reconciliation,
    }
  } finally {
    for (const each of processes) each.kill()
  }
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

function resultOf(
  options: LoadOptions,
  startAtMs: number,
  reports: readonly GeneratorReport[],
  storedPerSecond: number | undefined,
): Omit<LoadResult, 'latency' | 'reconciliation'> {
  const atStop = sumProgress(reports.map((report) => report.atStop))
  const sendMs = Math.max(...reports.map((report) => report.sendMs))
  const generators = reports.map(({ cpuMs, sendMs: ownMs, loopDelayMsP99, loopDelayMsMax }) => ({
    cpuShare: cpuMs / ownMs,
    loopDelayMsP99,
    loopDelayMsMax,
  }))
  const sum = (value: (report: GeneratorReport) => number) =>
    reports.reduce((total, report) => total + value(report), 0)
  return {
    manifest: {
      startedAt: new Date(startAtMs).toISOString(),
      options: { ...options, clickhouse: withoutAccount(options.clickhouse) },
      node: process.version,
      cpu: cpus()[0]?.model ?? 'unknown',
      cpuCount: cpus().length,
    },
    counts: { atStop, atEnd: sumProgress(reports) },
    sendMs,
    consumedMs: Math.max(...reports.map((report) => report.consumedMs)),
    sentPerSecond: atStop.sent / (sendMs / 1000),
    acknowledgedPerSecond: atStop.settled / (sendMs / 1000),
    storedPerSecond,
    connections: {
      opened: sum(({ counters }) => counters.opened),
      lost: sum(({ counters }) => counters.lost),
      refused: sum(({ counters }) => counters.refused),
      lastFault: reports.find(({ counters }) => counters.lastFault !== '')?.counters.lastFault ?? '',
    },
    acknowledgedOutOfOrder: sum((report) => report.acknowledgedOutOfOrder),
    acknowledgedUnexpected: sum((report) => report.acknowledgedUnexpected),
    generators,
    warnings: warningsOf(options, generators, atStop),
  }
}

const cpuShareMax = 0.9
const loopDelayMsMax = 50

function warningsOf(options: LoadOptions, generators: readonly GeneratorHealth[], atStop: GeneratorProgress): string[] {
  const warnings: string[] = []
  for (const [index, { cpuShare, loopDelayMsP99 }] of generators.entries()) {
    if (cpuShare > cpuShareMax)
      warnings.push(
        `generator process ${index} used ${Math.round(cpuShare * 100)} % of a core: it may have been the limit`,
      )
    if (options.rate !== 'saturate' && loopDelayMsP99 > loopDelayMsMax)
      warnings.push(`generator process ${index} was itself late: event-loop delay p99 ${loopDelayMsP99.toFixed(0)} ms`)
  }
  const behind = atStop.offered - atStop.sent
  if (behind > atStop.offered * 0.01)
    warnings.push(`${behind} messages that the schedule asked for were held back by the target's windows or sockets`)
  return warnings
}

function sumProgress(parts: readonly GeneratorProgress[]): GeneratorProgress {
  const total = { offered: 0, sent: 0, settled: 0, open: 0 }
  for (const part of parts) {
    total.offered += part.offered
    total.sent += part.sent
    total.settled += part.settled
    total.open += part.open
  }
  return total
}

function merged(snapshots: readonly LatencySnapshot[]): LatencyResult {
  const histogram = new LatencyHistogram()
  for (const snapshot of snapshots) histogram.merge(snapshot)
  return { summary: histogram.summary(), snapshot: histogram.snapshot() }
}

function withoutAccount(url: string | undefined): string | undefined {
  return url === undefined ? undefined : new URL(url).origin
}
