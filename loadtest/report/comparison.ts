import { escaped, milliseconds, short } from '#loadtest/options/figures.ts'
import { hasNumbers, hasTexts, isRecord, jsonOrNothing } from '#loadtest/options/json-shape.ts'
import type { LoadResult } from '#loadtest/result/load-result.ts'
import type { LoadManifest } from '#loadtest/result/manifest.ts'
import { PenstockError } from '#schemas/errors.ts'

interface Row {
  readonly name: string
  readonly value: (result: LoadResult) => number | undefined
  readonly text: (value: number) => string
  readonly isMoreBetter: boolean
}

const perSecond = (value: number) => `${short(value)}/s`
const coreRate = ({ target, counts, manifest }: LoadResult): number | undefined => {
  const cpuSeconds = (target?.processes ?? []).reduce((sum, each) => sum + each.cpuSeconds, 0)
  return cpuSeconds > 0
    ? (manifest.options.qos === 1 ? counts.atEnd.settled : counts.atEnd.sent) / cpuSeconds
    : undefined
}

const rows: readonly Row[] = [
  { name: 'sent', value: (result) => result.sentPerSecond, text: perSecond, isMoreBetter: true },
  { name: 'acknowledged', value: (result) => result.acknowledgedPerSecond, text: perSecond, isMoreBetter: true },
  { name: 'stored', value: (result) => result.storedPerSecond, text: perSecond, isMoreBetter: true },
  { name: 'messages per target core', value: coreRate, text: perSecond, isMoreBetter: true },
  {
    name: 'PUBACK p50',
    value: ({ latency }) => latency.acknowledged.summary.p50Ms,
    text: milliseconds,
    isMoreBetter: false,
  },
  {
    name: 'PUBACK p99',
    value: ({ latency }) => latency.acknowledged.summary.p99Ms,
    text: milliseconds,
    isMoreBetter: false,
  },
  {
    name: 'PUBACK p99.9',
    value: ({ latency }) => latency.acknowledged.summary.p999Ms,
    text: milliseconds,
    isMoreBetter: false,
  },
  {
    name: 'queryable row p50',
    value: ({ latency }) => latency.visible?.summary.p50Ms,
    text: milliseconds,
    isMoreBetter: false,
  },
  {
    name: 'queryable row p99',
    value: ({ latency }) => latency.visible?.summary.p99Ms,
    text: milliseconds,
    isMoreBetter: false,
  },
  { name: 'lost', value: ({ reconciliation }) => reconciliation?.lost, text: short, isMoreBetter: false },
]

/** Below this a difference between two runs is more likely chance than cause. */
const noiseShare = 0.05

/** A figure of two runs beside each other. */
export interface ComparedFigure {
  readonly name: string
  readonly before: string
  readonly now: string
  readonly change: string
  /** same: more likely chance than cause. */
  readonly kind: 'better' | 'worse' | 'same'
}

/** All figures that both have. */
export function comparedFigures(result: LoadResult, earlier: LoadResult): ComparedFigure[] {
  return rows.flatMap(({ name, value, text, isMoreBetter }) => {
    const [now, before] = [value(result), value(earlier)]
    if (now === undefined || before === undefined) return []
    const change = before === 0 ? (now === 0 ? 0 : Number.POSITIVE_INFINITY) : (now - before) / before
    const isNoise = Math.abs(change) < noiseShare
    const kind = isNoise ? 'same' : change > 0 === isMoreBetter ? 'better' : 'worse'
    return [{ name, before: text(before), now: text(now), change: changeText(change), kind }]
  })
}

const colours = { better: ' ok', worse: ' no', same: '' } as const

/** A table of this run, the earlier one and the difference; with a word where they are not comparable. */
export function comparisonOf(result: LoadResult, earlier: LoadResult): string {
  const lines = comparedFigures(result, earlier).map(
    ({ name, before, now, change, kind }) =>
      `<tr><td>${name}</td><td class="n">${before}</td><td class="n">${now}</td><td class="n${colours[kind]}">${change}</td></tr>`,
  )
  const other = differences(result, earlier)
  const words = [
    other.length > 0 ? `Not alike in: ${other.join(', ')}.` : '',
    areBothValid(result, earlier) ? '' : 'One of the runs is invalid: the difference proves nothing.',
  ].filter(Boolean)
  const note = words.length > 0 ? `<p class="muted" style="margin:10px 0 0">${escaped(words.join(' '))}</p>` : ''
  const head = `<tr><th></th><th class="n">${escaped(earlier.manifest.options.run)}, ${escaped(earlier.manifest.commit)}</th><th class="n">this run</th><th class="n">change</th></tr>`
  return `<div class="card scroll"><table>${head}${lines.join('')}</table>${note}</div>`
}

/** Where one is not, a difference proves nothing. */
export function areBothValid(...results: readonly LoadResult[]): boolean {
  return results.every(({ validity }) => validity.isValid)
}

/** What two runs differ in besides what they measured: such a comparison needs a grain of salt. */
export function differences(result: LoadResult, earlier: LoadResult): string[] {
  const [a, b] = [result.manifest, earlier.manifest]
  const found: string[] = []
  if (machinesOf(a) !== machinesOf(b)) found.push('machine')
  if (a.node !== b.node) found.push('Node version')
  const before: Readonly<Record<string, unknown>> = { ...b.options }
  for (const [name, value] of Object.entries(a.options))
    if (name !== 'run' && name in before && JSON.stringify(value) !== JSON.stringify(before[name])) found.push(name)
  return found
}

/** Those of agents, too; a file of an older version knows none. */
function machinesOf(manifest: LoadManifest): string {
  const machines = [manifest, ...(manifest.agents ?? []).map(({ machine }) => machine)]
  return machines.map(({ cpu, cpuCount }) => `${cpuCount} × ${cpu}`).join()
}

/** Reads a result of an earlier run. @throws LOADTEST_OPTIONS_INVALID if it is none */
export function earlierResultOf(text: string, file: string): LoadResult {
  const found = jsonOrNothing(text)
  if (found === undefined) throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--compare ${file}: not JSON`)
  if (!isResult(found)) throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--compare ${file}: not a load result`)
  return found
}

/** That it has all that a comparison reads. */
function isResult(value: unknown): value is LoadResult {
  if (!hasTexts(value, 'verdict') || !hasNumbers(value, 'sentPerSecond', 'acknowledgedPerSecond')) return false
  const { manifest, latency, counts, timeline, validity } = value
  return (
    hasTexts(manifest, 'node', 'cpu', 'commit') &&
    hasTexts(manifest.options, 'run') &&
    isRecord(latency) &&
    isSummarised(latency.acknowledged) &&
    (latency.visible === undefined || isSummarised(latency.visible)) &&
    isRecord(counts) &&
    hasNumbers(counts.atEnd, 'sent', 'settled') &&
    Array.isArray(timeline) &&
    isRecord(validity) &&
    typeof validity.isValid === 'boolean'
  )
}

function isSummarised(latency: unknown): boolean {
  return isRecord(latency) && hasNumbers(latency.summary, 'p50Ms', 'p99Ms', 'p999Ms')
}

function changeText(change: number): string {
  if (!Number.isFinite(change)) return 'new'
  if (change === 0) return 'same'
  return `${change > 0 ? '+' : '−'}${Math.abs(change * 100).toFixed(Math.abs(change) < 0.1 ? 1 : 0)} %`
}
