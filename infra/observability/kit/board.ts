import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  RowBuilder,
  type VariableModel,
} from '@grafana/grafana-foundation-sdk/dashboard'
import type { MakePanel } from './panels.ts'

export interface BoardPart {
  readonly title: string
  readonly panels: readonly MakePanel[]
}

export interface BoardText {
  /** Of its file, and in its uid. */
  readonly name: string
  readonly title: string
  readonly says: string
}

/** A board of parts, each under a heading. Boards of Penstock name one another at their top. */
export function board(
  { name, title, says }: BoardText,
  parts: readonly BoardPart[],
  variables: readonly Builder<VariableModel>[] = [],
): Dashboard {
  const made = new DashboardBuilder(`Penstock: ${title}`)
    .uid(`penstock-${name}`)
    .description(says)
    .tags(['penstock'])
    .time({ from: 'now-6h', to: 'now' })
    .refresh('30s')
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .link(
      new DashboardLinkBuilder('Penstock')
        .type(DashboardLinkType.Dashboards)
        .tags(['penstock'])
        .asDropdown(true)
        .keepTime(true),
    )
  for (const variable of variables) made.withVariable(variable)
  let id = 0
  for (const part of parts) {
    made.withRow(new RowBuilder(part.title).id(++id))
    for (const panel of part.panels) made.withPanel(panel(++id))
  }
  return made.build()
}
