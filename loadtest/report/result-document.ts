/** A result as the console shows it: what a reader looks for, without the buckets of its histograms. */
import type { LoadTestDetail, LoadTestSummary } from '#control/load-tests/load-tests.ts'
import type { LatencyResult } from '#loadtest/ledger/latency.ts'
import { short } from '#loadtest/options/figures.ts'
import { askedText } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { LoadTestComparison } from '#schemas/load-tests.ts'
import { areBothValid, comparedFigures, differences } from './comparison.ts'

/** @param run by which it is found, which is the name of its files */
export function summaryOf(run: string, result: LoadResult): LoadTestSummary {
  const { manifest, latency, reconciliation } = result
  const { options, workloads } = manifest
  return {
    run,
    startedAt: manifest.startedAt,
    verdict: result.verdict,
    devices: workloads.reduce((sum, { connections }) => sum + connections, 0),
    asked: workloads.length > 1 ? `${workloads.length} workloads` : askedText(options),
    acknowledgedPerSecond: result.acknowledgedPerSecond,
    storedPerSecond: result.storedPerSecond ?? null,
    acknowledgedMsP99: latency.acknowledged.summary.p99Ms,
    rowMsP99: latency.visible?.summary.p99Ms ?? null,
    lost: reconciliation?.lost ?? null,
    repeated: reconciliation?.repeated ?? null,
  }
}

/** @param other a run to compare it with */
export function detailOf(
  run: string,
  result: LoadResult,
  other?: { readonly run: string; readonly result: LoadResult },
): LoadTestDetail {
  const { manifest, warnings, timeline, target, thresholds } = result
  return {
    ...summaryOf(run, result),
    version: manifest.version,
    commit: manifest.commit,
    machine: `${manifest.cpuCount} × ${manifest.cpu}, ${manifest.system}, Node ${manifest.node}`,
    warnings,
    stages: stagesOf(result),
    latencies: latenciesOf(result),
    ledger: ledgerOf(result),
    points: timeline.map(({ atS, offered, sent, acknowledged, p50Ms, p99Ms }) => ({
      ...{ atS, offered, sent, acknowledged },
      ...{ p50Ms, p99Ms },
    })),
    rows: (target?.stored ?? []).map(({ atS, rows }) => ({ atS, rows })),
    processes: (target?.processes ?? []).map(({ name, cpuShare, residentBytesMax, messagesPerCpuSecond }) => ({
      ...{ name, cpuShare, messagesPerCpuSecond },
      residentBytes: residentBytesMax,
    })),
    thresholds: thresholds.map(({ name, bound, limit, value, isMet }) => ({
      name: `${name} ${bound === 'most' ? '≤' : '≥'} ${short(limit)}`,
      value: value === undefined ? 'not measured' : short(value),
      isMet,
    })),
    compared: other === undefined ? null : comparedWith(result, other),
  }
}

function comparedWith(
  result: LoadResult,
  { run, result: other }: { readonly run: string; readonly result: LoadResult },
): LoadTestComparison {
  return {
    run,
    differences: differences(result, other),
    areBothValid: areBothValid(result, other),
    figures: comparedFigures(result, other),
  }
}

function stagesOf({ counts, target, reconciliation, manifest }: LoadResult): LoadTestDetail['stages'] {
  const { offered, sent, settled } = counts.atEnd
  const stages: readonly (readonly [string, number | undefined])[] = [
    ['offered', offered],
    ['sent', sent],
    ['acknowledged', manifest.options.qos === 1 ? settled : undefined],
    ['on the log', target?.onLog],
    ['stored', reconciliation?.stored],
  ]
  return stages.flatMap(([name, messages]) => (messages === undefined ? [] : [{ name, messages }]))
}

function latenciesOf({ latency }: LoadResult): LoadTestDetail['latencies'] {
  const named: readonly (readonly [string, LatencyResult | undefined])[] = [
    ['PUBACK', latency.acknowledged],
    ['PUBACK, raw', latency.raw],
    ['queryable row', latency.visible],
    ['sent late', latency.sendDelay],
  ]
  return named.flatMap(([name, of]) => {
    if (of === undefined || of.summary.count === 0) return []
    const { p50Ms, p99Ms, p999Ms, maxMs } = of.summary
    return [{ name, p50Ms, p99Ms, p999Ms, maxMs }]
  })
}

function ledgerOf({ reconciliation, exchanges }: LoadResult): LoadTestDetail['ledger'] {
  const telemetry: LoadTestDetail['ledger'] =
    reconciliation === undefined
      ? []
      : [
          { name: 'acknowledged and not stored', count: reconciliation.lost, isFault: true },
          { name: 'stored more often than sent', count: reconciliation.repeated, isFault: true },
          { name: 'stored and never sent', count: reconciliation.foreign, isFault: true },
          { name: 'out of order', count: reconciliation.outOfOrder, isFault: true },
          { name: 'refused', count: reconciliation.refused, isFault: false },
          { name: 'sent again by devices', count: reconciliation.resent, isFault: false },
          { name: 'never acknowledged and not stored', count: reconciliation.unacknowledgedMissing, isFault: false },
        ]
  const others = exchanges.flatMap(({ name, counts }) => [
    { name: `${name}: lost`, count: counts.lost, isFault: true },
    { name: `${name}: answered`, count: counts.answered, isFault: false },
  ])
  return [...telemetry, ...others]
}
