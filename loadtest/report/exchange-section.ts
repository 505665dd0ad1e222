import { count, escaped, milliseconds, short } from '#loadtest/options/figures.ts'
import type { ExchangeResult } from '#loadtest/result/exchange-result.ts'
import { reasonsText } from './exchange-screen.ts'

const heads = ['sent', 'answered', '', 'refused', 'not answered', 'seen', 'dead letters', 'lost', 'backwards', 'twice']
const latencyHeads = ['answered p50', 'p99', 'at the device p50', 'p99']

/** The workloads of all kinds but telemetry, each with its ledger and its latencies; empty if there are none. */
export function exchangeSection(exchanges: readonly ExchangeResult[]): string {
  if (exchanges.length === 0) return ''
  const head = (name: string) => `<th class="n">${name}</th>`
  const faults = exchanges.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`))
  const notes = exchanges.flatMap(({ name, reasons }) =>
    Object.keys(reasons).length > 0 ? [`${name}: refused or not answered${reasonsText(reasons)}`] : [],
  )
  return `<h2>To devices and back</h2>${list('notice failed', faults)}${list('notice', notes)}
<div class="card scroll"><table><tr><th></th>${heads.map(head).join('')}</tr>${exchanges.map(countRow).join('')}</table></div>
<div class="card scroll" style="margin-top:12px"><table><tr><th></th>${latencyHeads.map(head).join('')}</tr>${exchanges.map(latencyRow).join('')}</table></div>`
}

function countRow({ name, kind, counts, answeredPerSecond }: ExchangeResult): string {
  const { sent, answered, refused, unknown, arrived, dead, lost, backwards, twice } = counts
  const cells = [sent, answered].map(count).concat(`${short(answeredPerSecond)}/s`)
  const rest = [refused, unknown, arrived, dead, lost, backwards, twice].map(count)
  return `<tr><td>${escaped(name)} <span class="muted">${kind}</span></td>${[...cells, ...rest].map(cell).join('')}</tr>`
}

function latencyRow({ name, answered, arrived }: ExchangeResult): string {
  const figures = [answered, arrived].flatMap(({ summary: { count: known, p50Ms, p99Ms } }) =>
    [p50Ms, p99Ms].map((ms) => (known === 0 ? '–' : milliseconds(ms))),
  )
  return `<tr><td>${escaped(name)}</td>${figures.map(cell).join('')}</tr>`
}

function cell(text: string): string {
  return `<td class="n">${text}</td>`
}

function list(style: string, lines: readonly string[]): string {
  return lines.length === 0
    ? ''
    : `<div class="${style}"><ul>${lines
        .slice(0, 20)
        .map((line) => `<li>${escaped(line)}</li>`)
        .join('')}</ul></div>`
}
