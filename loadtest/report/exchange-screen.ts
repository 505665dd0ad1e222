import type { LatencySummary } from '#loadtest/ledger/latency.ts'
import type { ExchangeResult } from '#loadtest/result/exchange-result.ts'

/** A workload of any kind but telemetry, as a few lines of a screen. */
export function exchangeLines({ name, kind, counts, reasons, answered, arrived, ...result }: ExchangeResult): string[] {
  const { sent, refused, unknown, missing, dead, redelivered, lost, backwards, twice } = counts
  const known = `answered ${figure(counts.answered)}   ${result.answeredPerSecond.toFixed(0)}/s   seen ${figure(counts.arrived)}`
  const others = [
    ['refused', refused],
    ['not answered', unknown],
    ['missing', missing],
    ['dead letters', dead],
    ['came again after a lost connection', redelivered],
  ] as const
  const notes = others.flatMap(([what, count]) => (count > 0 ? [`${what} ${figure(count)}`] : []))
  return [
    '',
    `${name} (${kind})   sent ${figure(sent)}   ${known}`,
    `${result.isClean ? 'OK' : 'FAULTY'}   lost ${figure(lost)}   backwards ${figure(backwards)}   twice ${figure(twice)}`,
    ...(notes.length > 0 ? [`      ${notes.join(', ')}${reasonsText(reasons)}`] : []),
    ...result.faults.slice(0, 5).map((fault) => `      ${fault}`),
    ...latencyText('answered', answered.summary),
    ...latencyText('at the device', arrived.summary),
  ]
}

/** The most frequent reasons, which may be many where texts of faults differ. */
export function reasonsText(reasons: ExchangeResult['reasons']): string {
  const most = Object.entries(reasons).sort(([, one], [, other]) => other - one)
  return most.length === 0
    ? ''
    : ` (${most
        .slice(0, 4)
        .map(([reason, count]) => `${count} × ${reason}`)
        .join(', ')})`
}

function latencyText(name: string, { count, p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: LatencySummary): string[] {
  if (count === 0) return []
  const cells = [p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map((ms) => ms.toFixed(ms < 100 ? 2 : 0).padStart(9))
  return [`${name.padEnd(16)}${cells.join('')}   ms: p50 p90 p99 p99.9 max`]
}

function figure(count: number): string {
  return count.toLocaleString('en')
}
