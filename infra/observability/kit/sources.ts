/** The data sources that `docs/grafana/provisioning/datasources/penstock.yml` makes. */
export const clickhouseSource = { type: 'grafana-clickhouse-datasource', uid: 'penstock-clickhouse' } as const
export const prometheusSource = { type: 'prometheus', uid: 'penstock-prometheus' } as const
