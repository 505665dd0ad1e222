/** Reads boards as Grafana does, for those who check them. */
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { boards } from './boards.ts'
import { clickhouseSource } from './kit/sources.ts'

export interface BoardQuery {
  /** Board and title. */
  readonly name: string
  readonly language: 'sql' | 'promql'
  readonly isOverTime: boolean
  readonly text: string
}

interface Target {
  readonly refId: string
  readonly rawSql?: string
  readonly expr?: string
}

export interface BoardPanel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly uid: string }
  readonly targets?: readonly Target[]
}

export function panelsOf(board: Dashboard): readonly BoardPanel[] {
  return (board.panels ?? []) as unknown as readonly BoardPanel[]
}

/** Of panels and variables of all boards. */
export function allQueries(): readonly BoardQuery[] {
  return Object.values(boards()).flatMap((board) => [
    ...panelsOf(board).flatMap((panel) =>
      (panel.targets ?? []).map((target) => queryOf(`${board.title}: ${panel.title}`, panel, target)),
    ),
    ...variablesOf(board).map(({ name, query }): BoardQuery => {
      return { name: `${board.title}: variable ${name}`, language: 'sql', isOverTime: false, text: query }
    }),
  ])
}

export function variablesOf(board: Dashboard): readonly { readonly name: string; readonly query: string }[] {
  return (board.templating?.list ?? []) as unknown as readonly { readonly name: string; readonly query: string }[]
}

function queryOf(name: string, panel: BoardPanel, { rawSql, expr = '' }: Target): BoardQuery {
  const isSql = panel.datasource?.uid === clickhouseSource.uid
  return {
    name,
    language: isSql ? 'sql' : 'promql',
    isOverTime: panel.type === 'timeseries',
    text: isSql ? (rawSql ?? '') : expr,
  }
}
