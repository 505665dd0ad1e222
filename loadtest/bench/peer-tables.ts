/** Targets × figures of each scenario as tables, and where Penstock loses: all computed from what was measured. */
import { type Measured, plain } from './bench-record.ts'

export interface PeerTarget {
  readonly name: string
  /** What it does with a message, without which its figures can't be compared. */
  readonly keeps: string
  /** `generator` is shown for what the generator can do, and is nobody's rival. */
  readonly side: 'ours' | 'peer' | 'generator'
}

export interface Figure {
  readonly name: string
  readonly better: 'more' | 'less'
}

export interface Comparison {
  readonly scenario: string
  readonly conditions: string
  readonly figures: readonly Figure[]
  readonly targets: readonly PeerTarget[]
}

export type MeasuredOf = (scenario: string, target: string, figure: string) => Measured | undefined

/** A figure in which rivals are better than one of ours, by their medians. */
export interface Loss {
  readonly scenario: string
  readonly figure: Figure
  readonly ours: PeerTarget
  readonly median: number
  /** The best first. */
  readonly rivals: readonly Rival[]
}

export interface Rival {
  readonly target: PeerTarget
  readonly median: number
  /** How many times better. */
  readonly times: number
  /** The spreads of both overlap: it may be chance. */
  readonly isUnsure: boolean
}

/** One row a target, the best of each figure in bold. */
export function comparisonTable(
  { scenario, conditions, figures, targets }: Comparison,
  measuredOf: MeasuredOf,
): string {
  const best = figures.map((figure) => {
    const medians = targets
      .filter(({ side }) => side !== 'generator')
      .flatMap(({ name }) => measuredOf(scenario, name, figure.name)?.median ?? [])
    return figure.better === 'more' ? Math.max(...medians) : Math.min(...medians)
  })
  const rows = targets.map(({ name, keeps, side }) => {
    const cells = figures.map((figure, index) => {
      const measured = measuredOf(scenario, name, figure.name)
      return measured ? cell(measured, side !== 'generator' && measured.median === best[index]) : '–'
    })
    return row([name, keeps, ...cells])
  })
  const heads = ['target', 'a message', ...figures.map(({ name }) => name)]
  return [`### ${scenario}\n`, `${conditions}\n`, row(heads), row(heads.map(() => '---')), ...rows].join('\n')
}

export function losses(comparisons: readonly Comparison[], measuredOf: MeasuredOf): Loss[] {
  return comparisons.flatMap(({ scenario, figures, targets }) =>
    figures.flatMap((figure) =>
      targets.flatMap((ours) => {
        const own = ours.side === 'ours' ? measuredOf(scenario, ours.name, figure.name) : undefined
        if (!own) return []
        const rivals = targets
          .filter(({ side }) => side === 'peer')
          .flatMap((target) => rivalOf(target, measuredOf(scenario, target.name, figure.name), own, figure) ?? [])
          .sort((a, b) => b.times - a.times)
        return rivals.length > 0 ? [{ scenario, figure, ours, median: own.median, rivals }] : []
      }),
    ),
  )
}

export function lossesTable(found: readonly Loss[]): string {
  if (found.length === 0) return '### Where Penstock loses\n\nIn no figure of this run.'
  const heads = ['scenario', 'figure', 'Penstock', 'better']
  const rows = found.map(({ scenario, figure, ours, median, rivals }) => {
    const better = rivals.map(({ target, median: value, times, isUnsure }) => {
      const mark = isUnsure ? ', spreads overlap' : ''
      return `${target.name} (${target.keeps}) ${plain(value)}: ${Number.isFinite(times) ? times.toFixed(2) : '∞'} ×${mark}`
    })
    return row([scenario, figure.name, `${ours.name} (${ours.keeps}) ${plain(median)}`, better.join('<br>')])
  })
  return ['### Where Penstock loses\n', row(heads), row(heads.map(() => '---')), ...rows].join('\n')
}

/** Undefined unless the peer is better. */
function rivalOf(target: PeerTarget, its: Measured | undefined, own: Measured, { better }: Figure): Rival | undefined {
  if (!its) return undefined
  const times = better === 'more' ? its.median / own.median : own.median / its.median
  const isUnsure = its.least <= own.most && own.least <= its.most
  return times > 1 ? { target, median: its.median, times, isUnsure } : undefined
}

function cell({ median, least, most }: Measured, isBest: boolean): string {
  const value = isBest ? `**${plain(median)}**` : plain(median)
  return least === most ? value : `${value} (${plain(least)} … ${plain(most)})`
}

export function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
