/** What Grafana makes of the texts on a board before it asks, as its data source for ClickHouse and Prometheus' do. */

export interface AskedRange {
  readonly fromMs: number
  readonly toMs: number
  /** Between two points of a chart. */
  readonly intervalSeconds: number
}

type Variables = Readonly<Record<string, string>>

/** (grafana/clickhouse-datasource, `pkg/macros/macros.go`.) @throws for a macro or a variable that is not known */
export function sqlAsAsked(sql: string, { fromMs, toMs, intervalSeconds }: AskedRange, variables: Variables): string {
  const seconds = (ms: number) => `toDateTime(${Math.floor(ms / 1_000)})`
  const asked = withVariables(sql, variables)
    .replace(/\$__timeFilter\((\w+)\)/g, `$1 >= ${seconds(fromMs)} AND $1 <= ${seconds(toMs)}`)
    .replace(/\$__timeInterval\((\w+)\)/g, `toStartOfInterval(toDateTime($1), INTERVAL ${intervalSeconds} second)`)
    .replaceAll('$__interval_s', String(intervalSeconds))
  if (/\$[\w{]/.test(asked)) throw new Error(`a macro or variable that is not known: ${asked}`)
  return asked
}

/** @throws as `sqlAsAsked` */
export function promqlAsAsked(expression: string, rateSeconds: number, variables: Variables): string {
  const asked = withVariables(expression, variables).replaceAll('$__rate_interval', `${rateSeconds}s`)
  if (/\$[\w{]/.test(asked)) throw new Error(`a macro or variable that is not known: ${asked}`)
  return asked
}

function withVariables(text: string, variables: Variables): string {
  return text.replace(/\$\{(\w+):sqlstring\}/g, (found, name: string) => {
    const value = variables[name]
    return value === undefined ? found : `'${value.replaceAll("'", "''")}'`
  })
}
