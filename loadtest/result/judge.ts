import type { LatencySummary } from '#loadtest/ledger/latency.ts'
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
  const { latency, reconciliation, connections } = result
  const found = /^(puback|raw|stored|late)_(\w+)_ms$/.exec(name)
  if (found) {
    const of = { puback: latency.acknowledged, raw: latency.raw, stored: latency.visible, late: latency.sendDelay }
    const summary = of[found[1] as keyof typeof of]?.summary
    return summary && summary.count > 0 ? figureOf(summary, found[2] ?? '') : undefined
  }
  switch (name) {
    case 'sent_per_s':
      return result.sentPerSecond
    case 'acknowledged_per_s':
      return result.acknowledgedPerSecond
    case 'stored_per_s':
      return result.storedPerSecond
    case 'lost':
      return reconciliation?.lost
    case 'repeated':
      return reconciliation && reconciliation.repeated + reconciliation.foreign
    case 'out_of_order':
      return reconciliation?.outOfOrder
    case 'refused':
      return connections.refused + (reconciliation?.refused ?? 0)
    case 'connections_lost':
      return connections.lost
    case 'missing':
      return reconciliation?.unacknowledgedMissing ?? unsettled(result)
  }
  return undefined
}

/** Without a warehouse only PUBACKs tell; undefined if some messages have none. */
function unsettled({ manifest, counts }: Pick<LoadResult, 'manifest' | 'counts'>): number | undefined {
  const { sent, settled } = counts.atEnd
  return manifest.workloads.every(({ qos }) => qos === 1) ? sent - settled : undefined
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
