/**
 * Thresholds of a run: `puback_p99_ms=50,stored_p99_ms=1000,acknowledged_per_s=20000,lost=0`.
 *
 *   <latency>_<figure>_ms   puback · raw · stored · late   ×   mean p50 p90 p99 p999 max    at most
 *   sent_per_s acknowledged_per_s stored_per_s                                              at least
 *   lost repeated out_of_order refused connections_lost missing                             at most
 *
 * `missing` was sent, and neither acknowledged nor refused nor stored. None may be, unless a threshold allows some.
 */

import type { LatencySummary } from '#loadtest/ledger/latency.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { LoadResult } from './load-result.ts'

export interface Threshold {
  readonly name: string
  readonly bound: 'most' | 'least'
  readonly limit: number
}

export interface ThresholdVerdict extends Threshold {
  /** Undefined if the run did not measure it: then the threshold is missed. */
  readonly value: number | undefined
  readonly isMet: boolean
}

const latencies = ['puback', 'raw', 'stored', 'late'] as const
const figures = ['mean', 'p50', 'p90', 'p99', 'p999', 'max'] as const
const rates = ['sent_per_s', 'acknowledged_per_s', 'stored_per_s'] as const
const counts = ['lost', 'repeated', 'out_of_order', 'refused', 'connections_lost', 'missing'] as const

export const thresholdNames: readonly string[] = [
  ...latencies.flatMap((latency) => figures.map((figure) => `${latency}_${figure}_ms`)),
  ...rates,
  ...counts,
]

/** Reads `name=number` pairs behind commas. @throws LOADTEST_OPTIONS_INVALID with all faults */
export function thresholdsOf(text: string): Threshold[] {
  const faults: string[] = []
  const thresholds: Threshold[] = []
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue
    const [name = '', value = '', ...more] = part.split('=').map((each) => each.trim())
    const limit = Number(value)
    if (!thresholdNames.includes(name)) faults.push(`--slo ${part}: there is ${thresholdNames.join(', ')}`)
    else if (value === '' || more.length > 0 || !Number.isFinite(limit) || limit < 0)
      faults.push(`--slo ${part}: expected ${name}=<number>`)
    else if (thresholds.some((other) => other.name === name)) faults.push(`--slo ${name} is given twice`)
    else thresholds.push({ name, limit, bound: name.endsWith('_per_s') ? 'least' : 'most' })
  }
  if (faults.length > 0) throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n'))
  return thresholds
}

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
