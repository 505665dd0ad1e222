/** Which figures of a result are drawn, and how. */

import { type LatencyResult, mergedHistogram } from '#loadtest/ledger/latency.ts'
import type { StoredPoint } from '#loadtest/observe/observer.ts'
import type { ProcessUsage } from '#loadtest/observe/target-processes.ts'
import { duration, milliseconds, percent, tick } from '#loadtest/options/figures.ts'
import { isClosedLoop } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { TimelinePoint } from '#loadtest/result/timeline.ts'
import { chart, type Point, type Series } from './chart.ts'

export function throughputChart({ timeline, target, manifest }: LoadResult): string {
  const of = (value: (point: TimelinePoint) => number): Point[] =>
    timeline.map((point) => ({ x: point.atS, y: value(point) }))
  const series: Series[] = [{ name: 'sent', color: 2, points: of(({ sent }) => sent) }]
  if (manifest.workloads.some((options) => options.rate !== 'saturate' && !isClosedLoop(options)))
    series.unshift({ name: 'offered', color: 0, points: of(({ offered }) => offered), isDashed: true })
  if (manifest.options.qos === 1)
    series.push({ name: 'acknowledged', color: 1, points: of(({ acknowledged }) => acknowledged), isArea: true })
  series.push({ name: 'stored', color: 3, points: storedRates(target?.stored ?? []) })
  return chart({ title: 'Throughput', note: 'messages a second', series, x: duration, y: tick })
}

/** Rows a second between looks. */
export function storedRates(stored: readonly StoredPoint[]): Point[] {
  return stored.slice(1).flatMap(({ atS, rows }, index) => {
    const before = stored[index]
    return before && atS > before.atS ? [{ x: atS, y: Math.max(0, (rows - before.rows) / (atS - before.atS)) }] : []
  })
}

export function latencyChart({ timeline, thresholds }: LoadResult): string {
  const measured = timeline.filter(({ maxMs }) => maxMs > 0)
  const of = (value: (point: TimelinePoint) => number): Point[] =>
    measured.map((point) => ({ x: point.atS, y: value(point) }))
  const marks = thresholds
    .filter(({ name }) => /^puback_.*_ms$/.test(name))
    .map(({ name, limit }) => ({ y: limit, text: `${name.slice(7, -3)} ≤ ${milliseconds(limit)}` }))
  return chart({
    title: 'PUBACK latency',
    note: 'from the intended moment of sending, each interval',
    series: [
      { name: 'max', color: 0, points: of(({ maxMs }) => maxMs), isDashed: true },
      { name: 'p99.9', color: 4, points: of(({ p999Ms }) => p999Ms) },
      { name: 'p99', color: 3, points: of(({ p99Ms }) => p99Ms) },
      { name: 'p50', color: 1, points: of(({ p50Ms }) => p50Ms) },
    ],
    x: duration,
    y: milliseconds,
    isLogY: true,
    marks,
  })
}

/** The percentile plot of HdrHistogram: each step to the right is ten times rarer. */
export function distributionChart({ latency, thresholds }: LoadResult, earlier: LoadResult | undefined): string {
  const series: Series[] = [
    { name: 'PUBACK', color: 1, points: percentileCurve(latency.acknowledged) },
    { name: 'PUBACK, raw', color: 0, points: percentileCurve(latency.raw), isDashed: true },
    { name: 'queryable row', color: 3, points: percentileCurve(latency.visible) },
    { name: 'PUBACK, earlier run', color: 4, points: percentileCurve(earlier?.latency.acknowledged), isDashed: true },
    { name: 'row, earlier run', color: 5, points: percentileCurve(earlier?.latency.visible), isDashed: true },
  ]
  const ends = series.flatMap(({ points }) => points.map(({ x }) => x))
  const ticks = Array.from({ length: Math.floor(Math.max(0, ...ends)) + 1 }, (_, index) => index)
  return chart({
    title: 'Latency by percentile',
    note: 'how long the slowest one in ten, hundred, thousand … waited',
    series,
    x: percentileName,
    y: milliseconds,
    xTicks: ticks,
    isLogY: true,
    marks: thresholds
      .filter(({ name }) => /^(puback|stored)_p99_ms$/.test(name))
      .map(({ name, limit }) => ({
        y: limit,
        text: `${name.slice(0, -3).replace('_', ' ')} ≤ ${milliseconds(limit)}`,
      })),
  })
}

/** Points (log10 of 1 / the share that is slower, milliseconds). */
export function percentileCurve(of: LatencyResult | undefined): Point[] {
  if (!of || of.summary.count === 0) return []
  const histogram = mergedHistogram([of.snapshot])
  const end = Math.log10(histogram.count)
  const steps = 120
  const points: Point[] = []
  for (let step = 0; step <= steps; step++) {
    const x = (end * step) / steps
    points.push({ x, y: histogram.quantile(1 - 10 ** -x) / 1000 })
  }
  return points
}

function percentileName(x: number): string {
  if (x < 0.01) return 'min'
  const share = 100 * (1 - 10 ** -x)
  return `${Number(share.toFixed(Math.max(0, Math.ceil(x) - 2) + (Number.isInteger(x) ? 0 : 1)))} %`
}

export function cpuChart({ target }: LoadResult): string {
  return chart({
    title: 'CPU',
    note: 'share of one core',
    series: usageSeries(target?.processes ?? [], ({ cpuShare }) => cpuShare),
    x: duration,
    y: percent,
  })
}

export function memoryChart({ target }: LoadResult): string {
  return chart({
    title: 'Memory',
    note: 'resident',
    series: usageSeries(target?.processes ?? [], ({ residentBytes }) => residentBytes / 2 ** 20),
    x: duration,
    y: (megabytes) => `${tick(megabytes)} MB`,
  })
}

/** As many as there are colours; the busiest processes. */
function usageSeries(
  processes: readonly ProcessUsage[],
  value: (point: ProcessUsage['points'][number]) => number,
): Series[] {
  const shown = [...processes].sort((a, b) => b.cpuSeconds - a.cpuSeconds).slice(0, 6)
  return shown.map(({ name, points }, index) => ({
    name,
    color: index + 1,
    points: points.map((point) => ({ x: point.atS, y: value(point) })),
  }))
}
