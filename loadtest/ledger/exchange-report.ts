import { type ExchangeCounts, sumExchanges } from './exchange-ledger.ts'
import { type LatencySnapshot, mergedHistogram } from './latency.ts'

/** What a generator process says of its operations; plain data. */
export interface ExchangeReport {
  readonly counts: ExchangeCounts
  /** Why operations were refused or not answered: an error code or an HTTP status, and how often. */
  readonly reasons: Readonly<Record<string, number>>
  /** From the intended moment until the sender was told that it was taken. */
  readonly answered: LatencySnapshot
  /** From the intended moment until the receiver saw it; empty where the receiver is the store. */
  readonly arrived: LatencySnapshot
  /** The first that went wrong, as `device: what`. */
  readonly faults: readonly string[]
}

export const exchangeFaultsMax = 20

/** Several processes as one. */
export function mergedExchanges(reports: readonly ExchangeReport[]): ExchangeReport {
  const reasons: Record<string, number> = {}
  for (const report of reports)
    for (const [reason, count] of Object.entries(report.reasons)) reasons[reason] = (reasons[reason] ?? 0) + count
  return {
    counts: sumExchanges(reports.map(({ counts }) => counts)),
    reasons,
    answered: mergedHistogram(reports.map(({ answered }) => answered)).snapshot(),
    arrived: mergedHistogram(reports.map(({ arrived }) => arrived)).snapshot(),
    faults: reports.flatMap(({ faults }) => faults).slice(0, exchangeFaultsMax),
  }
}
