import { clockText } from '#loadtest/agents/clocks.ts'
import type { LatencySummary } from '#loadtest/ledger/latency.ts'
import type { DeviceFault } from '#loadtest/ledger/reconcile.ts'
import { bytes, percent, short } from '#loadtest/options/figures.ts'
import { askedText, isClosedLoop } from '#loadtest/options/load-options.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { exchangeLines } from './exchange-screen.ts'

/** A load result as one compact screen. */
export function screenOf(result: LoadResult): string {
  const { options, workloads } = result.manifest
  const connections = workloads.reduce((sum, each) => sum + each.connections, 0)
  const lines = [
    `${options.url}  ${count(connections)} connections  QoS ${options.qos}  ${isClosedLoop(options) ? 'HTTP' : `MQTT ${options.protocol === 5 ? '5' : '3.1.1'}`}  ${options.bodyBytes} B  ${askedText(options)}`,
    `${(result.sendMs / 1000).toFixed(1)} s, run ${options.run}, seed ${options.seed}, ${options.processes} generator process(es), ${result.manifest.cpu}`,
    '',
    ...(result.workloads.length > 0 ? telemetryLines(result) : []),
  ]
  const cpu = result.generators.map(({ cpuShare }) => `${Math.round(cpuShare * 100)} %`).join(', ')
  const loop = Math.max(...result.generators.map(({ loopDelayMsP99 }) => loopDelayMsP99))
  lines.push('', `generator     CPU ${cpu} of a core, event-loop delay p99 ${loop.toFixed(1)} ms`)
  for (const { name, machine, clock } of result.manifest.agents)
    lines.push(`agent         ${name} on ${machine.host}, ${clockText(clock)}`)
  const { lost, refused, connectedLate, lastFault } = result.connections
  if (lost + refused + connectedLate > 0)
    lines.push(
      `connections   ${count(lost)} lost, ${count(refused)} refused${connectedLate > 0 ? `, ${count(connectedLate)} connected late` : ''}${lastFault === '' ? '' : `; last: ${lastFault}`}`,
    )
  if (result.acknowledgedOutOfOrder > 0)
    lines.push(`PUBACKs       ${count(result.acknowledgedOutOfOrder)} out of order`)
  for (const { name, cpuShare, residentBytesMax, messagesPerCpuSecond, cpuSeconds } of result.target?.processes ?? [])
    if (cpuSeconds >= 0.05)
      lines.push(
        `${name.slice(0, 13).padEnd(14)}CPU ${percent(cpuShare)} of a core, ${short(messagesPerCpuSecond)} messages/s per core, ${bytes(residentBytesMax)}`,
      )
  for (const warning of result.warnings) lines.push(`warning       ${warning}`)
  if (result.workloads.length > 0) lines.push('', ...verdictLines(result))
  lines.push(...result.exchanges.flatMap(exchangeLines), ...thresholdLines(result))
  if (result.verdict === 'invalid')
    lines.push('INVALID  the generator, or its machine, was the limit: these figures say nothing about the target')
  return lines.join('\n')
}

/** How many messages there were, and how long they took. */
function telemetryLines(result: LoadResult): string[] {
  const { options, workloads } = result.manifest
  const { atStop, atEnd } = result.counts
  const { acknowledged, sendDelay, visible } = result.latency
  const lines = [
    ...(workloads.every(isClosedLoop) ? [] : [`offered       ${cell(atStop.offered)}`]),
    `sent          ${cell(atEnd.sent)}  ${cell(result.sentPerSecond)}/s`,
  ]
  if (options.qos === 0)
    lines.push(`consumed      ${cell(atEnd.sent)}  ${cell((atEnd.sent * 1000) / result.consumedMs)}/s`)
  if (options.qos === 1) lines.push(`acknowledged  ${cell(atEnd.settled)}  ${cell(result.acknowledgedPerSecond)}/s`)
  const { reconciliation } = result
  if (result.target?.onLog !== undefined) lines.push(`on the log    ${cell(result.target.onLog)}`)
  if (reconciliation) lines.push(`stored        ${cell(reconciliation.stored)}  ${cell(result.storedPerSecond ?? 0)}/s`)
  lines.push('', `latency, ms           p50      p90      p99    p99.9      max`)
  if (acknowledged.summary.count > 0) lines.push(latencyLine('PUBACK', acknowledged.summary))
  if (result.latency.raw.summary.count > 0) lines.push(latencyLine('PUBACK, raw', result.latency.raw.summary))
  if (visible && visible.summary.count > 0) lines.push(latencyLine('queryable row', visible.summary))
  if (sendDelay.summary.count > 0) lines.push(latencyLine('sent late', sendDelay.summary))
  if (result.workloads.length > 1)
    for (const { name, acknowledgedPerSecond, acknowledged: own } of result.workloads)
      lines.push(latencyLine(`${name} ${short(acknowledgedPerSecond)}/s`.slice(0, 20), own.summary))
  return lines
}

/** Each threshold with what was measured. */
export function thresholdLines({ thresholds }: LoadResult): string[] {
  return thresholds.map(
    ({ name, bound, limit, value, isMet }) =>
      `${isMet ? 'OK    ' : 'MISSED'}   ${name} ${value === undefined ? 'not measured' : short(value)}, asked for ${bound === 'most' ? '≤' : '≥'} ${short(limit)}`,
  )
}

function verdictLines({ reconciliation, manifest }: LoadResult): string[] {
  if (!reconciliation) return ['not reconciled: no ClickHouse given']
  const { lost, repeated, foreign, outOfOrder, unacknowledgedMissing, resent, refused } = reconciliation
  const lines = [
    `${reconciliation.isClean ? 'OK' : 'FAULTY'}   lost ${count(lost)}   repeated ${count(repeated)}   never sent ${count(foreign)}   out of order ${count(outOfOrder)}`,
  ]
  if (resent > 0)
    lines.push(`      ${count(resent)} sent again by their devices after a lost connection; these may be stored twice`)
  if (refused > 0) lines.push(`      ${count(refused)} refused by the target`)
  if (unacknowledgedMissing > 0)
    lines.push(
      `      ${count(unacknowledgedMissing)} not stored and never acknowledged${manifest.options.qos === 0 ? ' (QoS 0)' : ''}`,
    )
  for (const fault of reconciliation.faults.slice(0, 5)) lines.push(`      ${faultLine(fault)}`)
  return lines
}

function faultLine({ deviceId, lost, repeated, foreign, outOfOrder }: DeviceFault): string {
  const ranges = lost.slice(0, 5).map(({ from, to }) => (to - from === 1 ? `${from}` : `${from}…${to - 1}`))
  const parts: string[] = []
  if (lost.length > 0) parts.push(`lost ${ranges.join(', ')}${lost.length > 5 ? ', …' : ''}`)
  if (repeated > 0) parts.push(`repeated ${repeated}`)
  if (foreign.length > 0) parts.push(`never sent from ${foreign[0]?.from}`)
  if (outOfOrder > 0) parts.push(`out of order ${outOfOrder}`)
  return `${deviceId}: ${parts.join('; ')}`
}

function latencyLine(name: string, { p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: LatencySummary): string {
  const cells = [p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map((ms) => (ms < 100 ? ms.toFixed(2) : ms.toFixed(0)).padStart(9))
  return name.padEnd(16) + cells.join('')
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function cell(value: number): string {
  return count(value).padStart(14)
}
