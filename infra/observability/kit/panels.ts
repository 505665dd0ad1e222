/** What boards are made of: panels that ask rows in SQL, or metrics in PromQL. Those that every Grafana has, and no other. */
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import {
  BigValueColorMode,
  ReduceDataOptionsBuilder,
  StackingConfigBuilder,
  StackingMode,
  VisibilityMode,
} from '@grafana/grafana-foundation-sdk/common'
import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as SeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'
import { clickhouseSource, prometheusSource } from './sources.ts'

export interface PanelText {
  readonly title: string
  /** What somebody who looks at it wants to know. */
  readonly says: string
  /** As Grafana names it, e.g. `s`, `decbytes`. */
  readonly unit?: string
  /** Of 24. */
  readonly width?: number
  readonly stacked?: boolean
}

/** One panel, given its number on the board. */
export type MakePanel = (id: number) => Builder<Panel>

const rowHeight = 8
const statHeight = 4

/** Rows over time; the first column of the statement is `time`. */
export function rowsOverTime(text: PanelText, sql: string): MakePanel {
  return (id) => series(text, id).datasource(clickhouseSource).withTarget(sqlQuery(sql, 'timeseries'))
}

export function rowTable({ title, says, width = 12 }: PanelText, sql: string): MakePanel {
  return (id) =>
    new TableBuilder()
      .id(id)
      .title(title)
      .description(says)
      .span(width)
      .height(rowHeight)
      .datasource(clickhouseSource)
      .withTarget(sqlQuery(sql, 'table'))
}

/** One number of one row. */
export function rowNumber(text: PanelText, sql: string): MakePanel {
  return (id) => stat(text, id).datasource(clickhouseSource).withTarget(sqlQuery(sql, 'table'))
}

/** @param expressions by the text that the legend shows, in which `{{label}}` stands for its value */
export function metricsOverTime(text: PanelText, expressions: Readonly<Record<string, string>>): MakePanel {
  return (id) => {
    const panel = series(text, id).datasource(prometheusSource)
    for (const [index, [legend, expression]] of Object.entries(expressions).entries())
      panel.withTarget(metricQuery(expression, legend, refIds[index] ?? '').range())
    return panel
  }
}

export function metricNumber(text: PanelText, expression: string): MakePanel {
  return (id) =>
    stat(text, id)
      .datasource(prometheusSource)
      .withTarget(metricQuery(expression, '', 'A').instant())
}

const refIds = 'ABCDEFGHIJ'

function series({ title, says, unit, width = 12, stacked = false }: PanelText, id: number): SeriesBuilder {
  const panel = new SeriesBuilder()
    .id(id)
    .title(title)
    .description(says)
    .span(width)
    .height(rowHeight)
    .min(0)
    .showPoints(VisibilityMode.Auto)
    .fillOpacity(stacked ? 30 : 0)
  if (unit !== undefined) panel.unit(unit)
  if (stacked) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal))
  return panel
}

function stat({ title, says, unit, width = 6 }: PanelText, id: number): StatBuilder {
  const panel = new StatBuilder()
    .id(id)
    .title(title)
    .description(says)
    .span(width)
    .height(statHeight)
    .colorMode(BigValueColorMode.None)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
  if (unit !== undefined) panel.unit(unit)
  return panel
}

function metricQuery(expression: string, legend: string, refId: string): DataqueryBuilder {
  return new DataqueryBuilder().datasource(prometheusSource).expr(expression).legendFormat(legend).refId(refId)
}

/** What the data source for ClickHouse sends and reads; it is not in the kit. */
function sqlQuery(sql: string, queryType: 'timeseries' | 'table'): Builder<Dataquery> {
  const query = {
    refId: 'A',
    datasource: clickhouseSource,
    editorType: 'sql',
    queryType,
    // As its server side reads it.
    format: queryType === 'timeseries' ? 0 : 1,
    rawSql: sql,
    _implementsDataqueryVariant() {},
  }
  return { build: () => query }
}
