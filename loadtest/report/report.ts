import type { Machine } from '#loadtest/agents/machine.ts'
import { bytes, count, duration, escaped, milliseconds, percent, short } from '#loadtest/options/figures.ts'
import { askedText, isClosedLoop, type LoadOptions } from '#loadtest/options/load-options.ts'
import { isLocal } from '#loadtest/options/target-address.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import { clockText } from '../agents/clocks.ts'
import { comparisonOf } from './comparison.ts'
import { exchangeSection } from './exchange-section.ts'
import { cpuChart, distributionChart, latencyChart, memoryChart, throughputChart } from './result-charts.ts'
import { script, style } from './style.ts'

/**
 * A load result as one HTML file that needs nothing else: no network, no fonts, no libraries; light and dark.
 * @param earlier a result to compare with
 */
export function reportOf(result: LoadResult, earlier?: LoadResult): string {
  const { options } = result.manifest
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Load test ${escaped(options.run)}: ${verdictWords[result.verdict]}</title><style>${style}</style></head>
<body><main>
${headerOf(result)}
${tilesOf(result)}
${result.workloads.length > 0 ? `<h2>Where the messages went</h2>${stagesOf(result)}` : ''}
${exchangeSection(result.exchanges)}
<h2>Over time</h2>
<div class="grid2">${throughputChart(result)}${latencyChart(result)}</div>
${result.workloads.length > 0 ? `<h2>Latency</h2><div class="grid2">${distributionChart(result, earlier)}${latencyTable(result)}</div>` : ''}
${thresholdsOf(result)}
${earlier ? `<h2>Compared with an earlier run</h2>${comparisonOf(result, earlier)}` : ''}
${processesOf(result)}
${workloadsOf(result)}
<h2>How it was measured</h2>
${generatorOf(result)}
${manifestOf(result)}
<footer>Latencies count from the moment a message was to be sent, also when the target or the generator was late; a message that waited in a queue
waited. “raw” counts from the moment it was written, as closed-loop tools do. Every figure is in the JSON file beside this one.</footer>
</main><script>${script}</script></body></html>
`
}

const verdictWords = { passed: 'Passed', failed: 'Failed', invalid: 'Invalid' } as const

function headerOf(result: LoadResult): string {
  const { manifest, verdict, validity } = result
  const title = titleOf(result)
  const reasons = validity.isValid
    ? ''
    : `<div class="notice"><b>The generator, or its machine, was the limit: these figures say nothing about the target.</b><ul>${items(validity.reasons)}</ul></div>`
  const others = result.warnings.filter((warning) => !validity.reasons.includes(warning))
  const warnings = others.length > 0 ? `<div class="notice"><ul>${items(others)}</ul></div>` : ''
  return `<header><div class="brand"><b>Penstock load test</b><span>${escaped(manifest.startedAt.slice(0, 16).replace('T', ' '))} UTC</span><span>run ${escaped(manifest.options.run)}</span><span>commit ${escaped(manifest.commit)}</span></div>
<h1>${title}<span class="badge ${verdict}">${verdictWords[verdict]}</span></h1>
<p class="lead">${escaped(sentenceOf(result))}</p>${faultsOf(result)}${missedOf(result)}${reasons}${warnings}</header>`
}

function titleOf({ acknowledgedPerSecond, sentPerSecond, manifest, workloads, exchanges }: LoadResult): string {
  if (workloads.length === 0)
    return `${short(exchanges.reduce((sum, each) => sum + each.answeredPerSecond, 0))} operations/s answered`
  return `${short(acknowledgedPerSecond || sentPerSecond)} messages/s ${manifest.options.qos === 1 ? 'acknowledged' : 'sent'}`
}

function sentenceOf(result: LoadResult): string {
  const { workloads } = result.manifest
  const devices = workloads.reduce((sum, { connections }) => sum + connections, 0)
  const head = `${count(devices)} devices sent ${count(result.counts.atEnd.sent)} messages in ${duration(result.sendMs / 1000)}`
  const { reconciliation, exchanges } = result
  if (result.workloads.length === 0) {
    const operations = exchanges.reduce((sum, { counts }) => sum + counts.sent, 0)
    const asked = `${count(devices)} devices and their services began ${count(operations)} operations in ${duration(result.sendMs / 1000)}`
    return exchanges.every(({ isClean }) => isClean) ? `${asked}. Nothing was lost, backwards or twice.` : `${asked}.`
  }
  if (!reconciliation) return `${head}. Nothing was reconciled: no ClickHouse was given.`
  if (reconciliation.isClean)
    return `${head}. Every acknowledged one is stored exactly once, in the order its device sent it.`
  const { lost, repeated, foreign, outOfOrder } = reconciliation
  return `${head}. Lost ${count(lost)}, repeated ${count(repeated)}, never sent ${count(foreign)}, out of order ${count(outOfOrder)}.`
}

function faultsOf({ reconciliation }: LoadResult): string {
  if (!reconciliation || reconciliation.faults.length === 0) return ''
  const lines = reconciliation.faults.slice(0, 8).map(({ deviceId, lost, repeated, outOfOrder }) => {
    const ranges = lost.slice(0, 4).map(({ from, to }) => (to - from === 1 ? `${from}` : `${from}…${to - 1}`))
    return `${deviceId}: ${[ranges.length > 0 ? `lost ${ranges.join(', ')}` : '', repeated > 0 ? `repeated ${repeated}` : '', outOfOrder > 0 ? `out of order ${outOfOrder}` : ''].filter(Boolean).join('; ')}`
  })
  return `<div class="notice failed"><b>Devices with a fault</b><ul>${items(lines)}</ul></div>`
}

function missedOf({ thresholds }: LoadResult): string {
  const missed = thresholds.filter(({ isMet }) => !isMet)
  if (missed.length === 0) return ''
  const lines = missed.map(
    ({ name, bound, limit, value }) =>
      `${name} is ${value === undefined ? 'not measured' : short(value)}, asked for ${bound === 'most' ? 'at most' : 'at least'} ${short(limit)}`,
  )
  return `<div class="notice failed"><b>Missed</b><ul>${items(lines)}</ul></div>`
}

function tilesOf(result: LoadResult): string {
  const { acknowledged, visible } = result.latency
  const tiles: (readonly [name: string, value: string, note: string])[] = []
  if (acknowledged.summary.count > 0)
    tiles.push([
      'PUBACK, p99',
      milliseconds(acknowledged.summary.p99Ms),
      `median ${milliseconds(acknowledged.summary.p50Ms)}`,
    ])
  if (visible && visible.summary.count > 0)
    tiles.push([
      'Queryable row, p99',
      milliseconds(visible.summary.p99Ms),
      `median ${milliseconds(visible.summary.p50Ms)}`,
    ])
  if (result.storedPerSecond !== undefined)
    tiles.push(['Stored', `${short(result.storedPerSecond)}/s`, `${count(result.reconciliation?.stored ?? 0)} rows`])
  if (result.reconciliation)
    tiles.push([
      'Lost',
      count(result.reconciliation.lost),
      `of ${count(result.reconciliation.acknowledged)} acknowledged`,
    ])
  const cpuSeconds = (result.target?.processes ?? []).reduce((sum, each) => sum + each.cpuSeconds, 0)
  if (cpuSeconds > 0)
    tiles.push([
      'Per target core',
      `${short(arrived(result) / cpuSeconds)}/s`,
      `${duration(cpuSeconds)} of CPU in all processes`,
    ])
  const cpu = result.generators.map(({ cpuShare }) => cpuShare)
  tiles.push([
    'Generator',
    percent(Math.max(...cpu)),
    `of a core${cpu.length > 1 ? `, the busiest of ${cpu.length}` : ''}`,
  ])
  return `<div class="tiles">${tiles.map(([name, value, note]) => `<div class="card tile"><small>${escaped(name)}</small><strong>${escaped(value)}</strong><span>${escaped(note)}</span></div>`).join('')}</div>`
}

/** Messages that the target took: acknowledged, or at QoS 0 sent; and operations that it answered. */
function arrived({ manifest, counts, exchanges }: LoadResult): number {
  const answered = exchanges.reduce((sum, each) => sum + each.counts.answered, 0)
  return answered + (manifest.options.qos === 1 ? counts.atEnd.settled : counts.atEnd.sent)
}

function stagesOf(result: LoadResult): string {
  const { counts, target, reconciliation, manifest } = result
  const taken = manifest.options.qos === 1 ? counts.atEnd.settled : counts.atEnd.sent
  const { sent, offered } = counts.atEnd
  const first: readonly Stage[] = manifest.workloads.every(isClosedLoop)
    ? [{ name: 'sent', value: sent, before: undefined, why: askedText(manifest.options) }]
    : [
        { name: 'offered', value: offered, before: undefined, why: 'asked for by the schedule' },
        { name: 'sent', value: sent, before: offered, why: 'written to sockets' },
      ]
  // Each beside the stage that it is measured against: messages sent again reach the log twice and are stored once.
  const stages: readonly Stage[] = [
    ...first,
    {
      name: 'acknowledged',
      value: manifest.options.qos === 1 ? counts.atEnd.settled : undefined,
      before: counts.atEnd.sent,
      why: 'settled by the target',
    },
    { name: 'on the log', value: target?.onLog, before: taken, why: 'counted by the target' },
    { name: 'stored', value: reconciliation?.stored, before: taken, why: 'distinct messages in ClickHouse' },
  ]
  const most = Math.max(1, ...stages.map(({ value }) => value ?? 0))
  const isLost = reconciliation !== undefined && reconciliation.lost > 0
  return `<div class="card stages">${stages.map((stage) => stageRow(stage, most, isLost)).join('')}</div>`
}

interface Stage {
  readonly name: string
  readonly value: number | undefined
  readonly before: number | undefined
  readonly why: string
}

function stageRow({ name, value, before, why }: Stage, most: number, isLost: boolean): string {
  if (value === undefined)
    return `<span>${name}</span><span class="muted">not measured</span><span class="num">–</span><span class="diff"></span>`
  const difference = before === undefined ? 0 : value - before
  const words = difference > 0 ? `${count(difference)} more: sent again` : `${count(-difference)} fewer`
  const isBad = difference < 0 && name === 'stored' && isLost
  return `<span>${name}</span><div class="bar"><i style="width:${((100 * value) / most).toFixed(2)}%"></i></div><span class="num">${count(value)}</span><span class="diff${isBad ? ' bad' : ''}">${difference === 0 ? why : words}</span>`
}

function latencyTable({ latency }: LoadResult): string {
  const rows = [
    ['PUBACK', latency.acknowledged],
    ['PUBACK, raw', latency.raw],
    ['queryable row', latency.visible],
    ['sent late', latency.sendDelay],
  ] as const
  const lines = rows.flatMap(([name, of]) => {
    if (!of || of.summary.count === 0) return []
    const { p50Ms, p90Ms, p99Ms, p999Ms, maxMs } = of.summary
    return [
      `<tr><td>${name}</td>${[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map((ms) => `<td class="n">${milliseconds(ms)}</td>`).join('')}</tr>`,
    ]
  })
  if (lines.length === 0) return ''
  const heads = ['p50', 'p90', 'p99', 'p99.9', 'max'].map((head) => `<th class="n">${head}</th>`).join('')
  return `<div class="card scroll"><table><tr><th></th>${heads}</tr>${lines.join('')}</table></div>`
}

function thresholdsOf({ thresholds }: LoadResult): string {
  if (thresholds.length === 0) return ''
  const rows = thresholds.map(
    ({ name, bound, limit, value, isMet }) =>
      `<tr><td><code>${escaped(name)}</code></td><td class="n">${bound === 'most' ? '≤' : '≥'} ${short(limit)}</td><td class="n">${value === undefined ? 'not measured' : short(value)}</td><td class="${isMet ? 'ok' : 'no'}">${isMet ? 'met' : 'missed'}</td></tr>`,
  )
  return `<h2>Thresholds</h2><div class="card scroll"><table><tr><th>threshold</th><th class="n">asked for</th><th class="n">measured</th><th></th></tr>${rows.join('')}</table></div>`
}

function processesOf(result: LoadResult): string {
  const processes = result.target?.processes ?? []
  if (processes.length === 0)
    return isLocal(result.manifest.options.url)
      ? ''
      : '<h2>The target’s processes</h2><p class="muted">The target runs on another machine, so its CPU and memory are not known.</p>'
  const rows = processes.map(
    ({ name, pid, cpuSeconds, cpuShare, residentBytesMax, messagesPerCpuSecond }) =>
      `<tr><td>${escaped(name)} <span class="muted">${pid}</span></td><td class="n">${percent(cpuShare)}</td><td class="n">${duration(cpuSeconds)}</td><td class="n">${bytes(residentBytesMax)}</td><td class="n">${cpuSeconds >= 0.05 ? `${short(messagesPerCpuSecond)}/s` : '–'}</td></tr>`,
  )
  return `<h2>The target’s processes</h2><div class="grid2">${cpuChart(result)}${memoryChart(result)}</div>
<div class="card scroll" style="margin-top:12px"><table><tr><th>process</th><th class="n">of a core</th><th class="n">CPU time</th><th class="n">memory, most</th><th class="n">messages per core</th></tr>${rows.join('')}</table></div>`
}

function workloadsOf({ workloads }: LoadResult): string {
  if (workloads.length < 2) return ''
  const rows = workloads.map(
    ({ name, counts, acknowledgedPerSecond, acknowledged: { summary } }) =>
      `<tr><td>${escaped(name)}</td><td class="n">${count(counts.sent)}</td><td class="n">${count(counts.settled)}</td><td class="n">${short(acknowledgedPerSecond)}/s</td><td class="n">${milliseconds(summary.p50Ms)}</td><td class="n">${milliseconds(summary.p99Ms)}</td><td class="n">${milliseconds(summary.maxMs)}</td></tr>`,
  )
  return `<h2>Workloads</h2><div class="card scroll"><table><tr><th></th><th class="n">sent</th><th class="n">acknowledged</th><th class="n"></th><th class="n">p50</th><th class="n">p99</th><th class="n">max</th></tr>${rows.join('')}</table></div>`
}

function generatorOf({ generators, connections, validity }: LoadResult): string {
  const rows = generators.map(
    ({ agent, cpuShare, loopDelayMsP99, loopDelayMsMax }, index) =>
      `<tr><td>generator ${index}${agent === undefined ? '' : ` <span class="muted">${escaped(agent)}</span>`}</td><td class="n">${percent(cpuShare)}</td><td class="n">${milliseconds(loopDelayMsP99)}</td><td class="n">${milliseconds(loopDelayMsMax)}</td></tr>`,
  )
  const lost = connections.lost + connections.refused
  const note = `${validity.isValid ? 'The generator kept its schedule.' : 'The generator did not keep up.'} ${count(connections.opened)} connections were opened${connections.connectedLate > 0 ? `, ${count(connections.connectedLate)} of them later than --connect-rate asked` : ''}${lost > 0 ? `, ${count(connections.lost)} lost and ${count(connections.refused)} refused${connections.lastFault === '' ? '' : ` (last: ${connections.lastFault})`}` : ', none lost'}.`
  return `<div class="card scroll"><p style="margin:0 0 8px">${escaped(note)}</p><table><tr><th></th><th class="n">CPU, of a core</th><th class="n">event-loop delay p99</th><th class="n">max</th></tr>${rows.join('')}</table></div>`
}

function manifestOf({ manifest }: LoadResult): string {
  const machine: (readonly [string, string])[] = [
    ['machine', machineText(manifest)],
    ['versions', versionsText(manifest)],
    ...manifest.agents.flatMap(({ name, machine, clock }): (readonly [string, string])[] => [
      [`agent ${name}`, `${machine.host}, ${machineText(machine)}`],
      [`agent ${name}: versions`, versionsText(machine)],
      [`agent ${name}: clock`, clockText(clock)],
    ]),
    ...manifest.workloads.flatMap((options) => settingRows(options, manifest.workloads.length > 1)),
    ...Object.entries(manifest.limits),
  ]
  const rows = machine.map(
    ([name, value]) => `<tr><td>${escaped(name)}</td><td><code>${escaped(value)}</code></td></tr>`,
  )
  return `<details class="card"><summary>Machine, versions, settings and kernel limits</summary><table>${rows.join('')}</table></details>`
}

function machineText({ cpuCount, cpu, memoryBytes, system }: Machine): string {
  return `${cpuCount} × ${cpu}, ${bytes(memoryBytes)}, ${system}`
}

function versionsText({ version, commit, node }: Machine): string {
  return `Penstock ${version}, commit ${commit}, Node ${node}`
}

function settingRows(options: LoadOptions, isNamed: boolean): (readonly [string, string])[] {
  return Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [
      isNamed ? `${options.workload}: ${name}` : name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ])
}

function items(lines: readonly string[]): string {
  return lines.map((line) => `<li>${escaped(line)}</li>`).join('')
}
