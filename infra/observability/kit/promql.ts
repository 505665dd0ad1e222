/** Texts of PromQL that panels have in common. Grafana puts in an interval that no scrape falls out of. */

export const rate = (metric: string) => `rate(${metric}[$__rate_interval])`

export const increase = (metric: string) => `increase(${metric}[$__rate_interval])`

/** @param histogram without `_bucket` */
export function quantile(q: number, histogram: string): string {
  return `histogram_quantile(${q}, sum by (le) (${rate(`${histogram}_bucket`)}))`
}
