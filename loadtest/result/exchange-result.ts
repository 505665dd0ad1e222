import type { ExchangeCounts } from '#loadtest/ledger/exchange-ledger.ts'
import { type ExchangeReport, mergedExchanges } from '#loadtest/ledger/exchange-report.ts'
import { type LatencyResult, latencyResult } from '#loadtest/ledger/latency.ts'
import type { ExchangeKind } from '#loadtest/options/load-options.ts'

/** A workload of any kind but telemetry, with its own ledger. */
export interface ExchangeResult {
  readonly name: string
  readonly kind: ExchangeKind
  readonly counts: ExchangeCounts
  readonly reasons: Readonly<Record<string, number>>
  readonly answeredPerSecond: number
  /** Intended moment → the sender was told that it was taken. */
  readonly answered: LatencyResult
  /** Intended moment → the device saw it; empty of what devices report. */
  readonly arrived: LatencyResult
  readonly faults: readonly string[]
  /** Nothing lost, nothing backwards, nothing twice. */
  readonly isClean: boolean
}

/** @param reports of the workload's generator processes @param sendMs how long operations were begun */
export function exchangeResult(
  name: string,
  kind: ExchangeKind,
  reports: readonly ExchangeReport[],
  sendMs: number,
): ExchangeResult {
  const { counts, reasons, answered, arrived, faults } = mergedExchanges(reports)
  return {
    name,
    kind,
    counts,
    reasons,
    answeredPerSecond: counts.answered / (sendMs / 1000),
    answered: latencyResult([answered]),
    arrived: latencyResult([arrived]),
    faults,
    isClean: counts.lost + counts.backwards + counts.twice === 0,
  }
}

/** What a kind is judged by: until its answer where that is what whoever asked waits for, until the device saw it otherwise. */
export function decisiveLatency({ kind, answered, arrived }: ExchangeResult): LatencyResult {
  return kind === 'reported' || kind === 'methods' ? answered : arrived
}
