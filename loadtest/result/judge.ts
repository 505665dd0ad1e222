import { sumExchanges } from '#loadtest/ledger/exchange-ledger.ts'
import { type LatencyResult, type LatencySummary, latencyResult } from '#loadtest/ledger/latency.ts'
import { decisiveLatency } from './exchange-result.ts'
import type { LoadResult } from './load-result.ts'
import type { Threshold, ThresholdVerdict } from './slo.ts'

/** Each threshold against a result; without one for what is missing, it is added if any is. */
export function judge(
  thresholds: readonly Threshold[],
  result: Omit<LoadResult, 'thresholds' | 'verdict'>,
): ThresholdVerdict[] {
  const isGiven = thresholds.some(({ name }) => name === noneMissing.name)
  const isMissing = (measured(noneMissing.name, result) ?? 0) > 0
  return [...thresholds, ...(isMissing && !isGiven ? [noneMissing] : [])].map((threshold) => {
    const value = measured(threshold.name, result)
    const isMet =
      value !== undefined && (threshold.bound === 'most' ? value <= threshold.limit : value >= threshold.limit)
    return { ...threshold, value, isMet }
  })
}

const noneMissing: Threshold = { name: 'missing', bound: 'most', limit: 0 }

function measured(name: string, result: Omit<LoadResult, 'thresholds' | 'verdict'>): number | undefined {
  const { connections } = result
  const [, latency, figure] = /^([a-z]+)_(\w+)_ms$/.exec(name) ?? []
  if (latency !== undefined && figure !== undefined) {
    const summary = summaryOf(latency, result)
    return summary && summary.count > 0 ? figureOf(summary, figure) : undefined
  }
  const exchanged = sumExchanges(result.exchanges.map(({ counts }) => counts))
  /** Of the rows, which without a warehouse nobody knows, and of all other kinds. */
  const withRows = (ofRows: number | undefined, ofOthers: number) =>
    ofRows === undefined && result.workloads.length > 0 ? undefined : (ofRows ?? 0) + ofOthers
  const { reconciliation: rows } = result
  switch (name) {
    case 'sent_per_s':
      return result.sentPerSecond
    case 'acknowledged_per_s':
      return result.acknowledgedPerSecond
    case 'stored_per_s':
      return result.storedPerSecond
    case 'lost':
      return withRows(rows?.lost, exchanged.lost)
    case 'repeated':
      return withRows(rows && rows.repeated + rows.foreign, exchanged.twice)
    case 'out_of_order':
      return withRows(rows?.outOfOrder, exchanged.backwards)
    case 'refused':
      return connections.refused + (rows?.refused ?? 0) + exchanged.refused
    case 'connections_lost':
      return connections.lost
    case 'missing':
      return withRows(rows?.unacknowledgedMissing ?? unsettled(result), exchanged.missing)
  }
  return undefined
}

function summaryOf(name: string, { latency, exchanges }: Omit<LoadResult, 'thresholds' | 'verdict'>) {
  const { acknowledged: puback, raw, visible: stored, sendDelay: late } = latency
  const ofTelemetry: Readonly<Record<string, LatencyResult | undefined>> = { puback, raw, stored, late }
  if (Object.hasOwn(ofTelemetry, name)) return ofTelemetry[name]?.summary
  const own = exchanges.filter(({ kind }) => kind === name).map((exchange) => decisiveLatency(exchange).snapshot)
  return latencyResult(own).summary
}

/** Without a warehouse only PUBACKs tell; undefined if some messages have none. */
function unsettled({ manifest, counts }: Pick<LoadResult, 'manifest' | 'counts'>): number | undefined {
  const { sent, settled } = counts.atEnd
  const isTold = manifest.workloads.every(({ kind, qos }) => kind !== 'telemetry' || qos === 1)
  return isTold ? sent - settled : undefined
}

function figureOf(summary: LatencySummary, figure: string): number {
  const { meanMs, p50Ms, p90Ms, p99Ms, p999Ms, maxMs } = summary
  const all: Readonly<Record<string, number>> = {
    mean: meanMs,
    p50: p50Ms,
    p90: p90Ms,
    p99: p99Ms,
    p999: p999Ms,
    max: maxMs,
  }
  return all[figure] ?? Number.NaN
}
