/**
 * A panel that asks a statement, as "Inspect, Panel JSON" of Grafana takes it. Its data source is the one that Penstock's provisioning for
 * Grafana makes (docs/grafana).
 * @param isOverTime lines over time, else a table
 */
export function grafanaPanel(statement: string, isOverTime: boolean): string {
  const type = isOverTime ? 'timeseries' : 'table'
  const datasource = { type: 'grafana-clickhouse-datasource', uid: 'penstock-clickhouse' }
  // `format` is how the data source's server names the type.
  const target = {
    refId: 'A',
    datasource,
    editorType: 'sql',
    queryType: type,
    format: isOverTime ? 0 : 1,
    rawSql: statement,
  }
  return JSON.stringify({ title: 'Penstock', type, datasource, targets: [target] }, undefined, 1)
}
