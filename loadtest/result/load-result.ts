import type { AgentRecord } from '#loadtest/agents/agent-fleet.ts'
import type { GeneratorProgress, GeneratorReport } from '#loadtest/generate/generator.ts'
import { type LatencyResult, latencyResult, mergedHistogram } from '#loadtest/ledger/latency.ts'
import type { Reconciliation } from '#loadtest/ledger/reconcile.ts'
import type { Observation } from '#loadtest/observe/observer.ts'
import { isClosedLoop, type LoadOptions } from '#loadtest/options/load-options.ts'
import { type ExchangeResult, exchangeResult } from './exchange-result.ts'
import type { LoadManifest } from './manifest.ts'
import type { ThresholdVerdict } from './slo.ts'
import type { TimelinePoint } from './timeline.ts'
import { type GeneratorHealth, type Validity, validityOf } from './validity.ts'

export interface LoadResult {
  readonly manifest: LoadManifest
  /** Asked for by the schedule, written to sockets, settled by a PUBACK: when sending stopped, and at the end. */
  readonly counts: { readonly atStop: GeneratorProgress; readonly atEnd: GeneratorProgress }
  /** Until all connections were accepted; the slowest process. */
  readonly connectMs: number
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
    /** Written to the socket → PUBACK: what a closed-loop tool would show; empty when saturating. */
    readonly raw: LatencyResult
    /** Intended moment → written to the socket; empty when saturating. */
    readonly sendDelay: LatencyResult
    /** Intended moment → seen by a query, of a few devices; undefined without ClickHouse. */
    readonly visible: LatencyResult | undefined
  }
  /** Workloads of telemetry in a mixed run, each by itself; one entry otherwise. All figures above are of these. */
  readonly workloads: readonly WorkloadResult[]
  /** Workloads of all other kinds. */
  readonly exchanges: readonly ExchangeResult[]
  readonly connections: {
    readonly opened: number
    readonly lost: number
    readonly refused: number
    readonly connectedLate: number
    readonly lastFault: string
  }
  readonly acknowledgedOutOfOrder: number
  readonly acknowledgedUnexpected: number
  readonly generators: readonly GeneratorHealth[]
  /** What a reader should know: why the run is invalid, and what the target held back. */
  readonly warnings: readonly string[]
  /** Whether the figures say something about the target, or only about the generator. */
  readonly validity: Validity
  readonly timeline: readonly TimelinePoint[]
  /** Undefined if the target was not observed. */
  readonly target: Observation | undefined
  readonly reconciliation: Reconciliation | undefined
  readonly thresholds: readonly ThresholdVerdict[]
  readonly verdict: Verdict
}

/** `invalid`: the generator was the limit; `failed`: something lost, repeated or out of order, or a threshold missed. */
export type Verdict = 'passed' | 'failed' | 'invalid'

export interface WorkloadResult {
  readonly name: string
  readonly counts: GeneratorProgress
  readonly acknowledgedPerSecond: number
  readonly acknowledged: LatencyResult
}

/** One workload's reports, in the order of the run's workloads. */
export interface WorkloadReports {
  readonly options: LoadOptions
  readonly reports: readonly PlacedReport[]
}

export interface PlacedReport extends GeneratorReport {
  /** Name of the agent it comes from; undefined: this machine. */
  readonly agent: string | undefined
}

/** What the generator's own reports say; reconciliation, observation and verdict come on top. */
export function generatedResult(
  parts: readonly WorkloadReports[],
  agents: readonly AgentRecord[],
): Omit<
  LoadResult,
  'manifest' | 'connectMs' | 'storedPerSecond' | 'reconciliation' | 'target' | 'timeline' | 'thresholds' | 'verdict'
> {
  const all = parts.flatMap((part) => part.reports)
  const ofTelemetry = parts.filter(({ options }) => options.kind === 'telemetry')
  const reports = ofTelemetry.flatMap((part) => part.reports)
  const atStop = sumProgress(reports.map((report) => report.atStop))
  const sendMs = Math.max(...all.map((report) => report.sendMs))
  const generators = all.map(healthOf)
  const sum = (value: (report: GeneratorReport) => number) => all.reduce((total, report) => total + value(report), 0)
  const isScheduled = parts.some(({ options }) => options.rate !== 'saturate')
  const validity = validityOf({
    isScheduled,
    generators,
    agents,
    driftMsP99: mergedHistogram(all.map(({ drift }) => drift)).summary().p99Ms,
  })
  return {
    counts: { atStop, atEnd: sumProgress(reports) },
    sendMs,
    consumedMs: Math.max(...all.map((report) => report.consumedMs)),
    sentPerSecond: atStop.sent / (sendMs / 1000),
    acknowledgedPerSecond: atStop.settled / (sendMs / 1000),
    latency: {
      acknowledged: latencyResult(reports.map((report) => report.acknowledged)),
      raw: latencyResult(reports.map((report) => report.acknowledgedRaw)),
      sendDelay: latencyResult(reports.map((report) => report.sendDelay)),
      visible: undefined,
    },
    workloads: ofTelemetry.map(({ options, reports: own }) => workloadResult(options, own)),
    exchanges: parts.flatMap(exchangesOf),
    connections: {
      opened: sum(({ counters }) => counters.opened),
      lost: sum(({ counters }) => counters.lost),
      refused: sum(({ counters }) => counters.refused),
      connectedLate: sum(({ counters }) => counters.connectedLate),
      lastFault: all.find(({ counters }) => counters.lastFault !== '')?.counters.lastFault ?? '',
    },
    acknowledgedOutOfOrder: sum((report) => report.acknowledgedOutOfOrder),
    acknowledgedUnexpected: sum((report) => report.acknowledgedUnexpected),
    generators,
    warnings: [...validity.reasons, ...warningsOf(parts, atStop)],
    validity,
  }
}

export function sumProgress(parts: readonly GeneratorProgress[]): GeneratorProgress {
  const total = { offered: 0, sent: 0, settled: 0, open: 0 }
  for (const part of parts) {
    total.offered += part.offered
    total.sent += part.sent
    total.settled += part.settled
    total.open += part.open
  }
  return total
}

function healthOf({ agent, cpuMs, sendMs, loopDelayMsP99, loopDelayMsMax }: PlacedReport): GeneratorHealth {
  return { agent, cpuShare: cpuMs / sendMs, loopDelayMsP99, loopDelayMsMax }
}

function workloadResult(options: LoadOptions, reports: readonly GeneratorReport[]): WorkloadResult {
  const atStop = sumProgress(reports.map((report) => report.atStop))
  const sendMs = Math.max(...reports.map((report) => report.sendMs))
  return {
    name: options.workload,
    counts: sumProgress(reports),
    acknowledgedPerSecond: atStop.settled / (sendMs / 1000),
    acknowledged: latencyResult(reports.map((report) => report.acknowledged)),
  }
}

function exchangesOf({ options: { kind, workload }, reports }: WorkloadReports): ExchangeResult[] {
  if (kind === 'telemetry') return []
  const exchanges = reports.flatMap(({ exchange }) => (exchange === undefined ? [] : [exchange]))
  return [exchangeResult(workload, kind, exchanges, Math.max(...reports.map(({ sendMs }) => sendMs)))]
}

/** Share of scheduled messages that may be unsent when sending ends, before it is worth a word. */
const behindShareMax = 0.01

function warningsOf(parts: readonly WorkloadReports[], atStop: GeneratorProgress): string[] {
  const warnings: string[] = []
  const behind = atStop.offered - atStop.sent
  if (behind > atStop.offered * behindShareMax)
    warnings.push(
      `${behind.toLocaleString('en')} messages that the schedule asked for were held back by the target's windows or sockets`,
    )
  if (parts.some(({ options }) => isClosedLoop(options)))
    warnings.push('over HTTP a device waits for its answer before it sends again: latencies count from writing')
  return warnings
}
