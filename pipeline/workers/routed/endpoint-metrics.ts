import type { MetricSample } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'

/** What a worker counts, as it is called for endpoints; the rest is not shown. */
const names: Readonly<Partial<Record<string, MetricName>>> = {
  penstock_worker_rows_stored_total: 'penstock_endpoint_messages_delivered_total',
  penstock_worker_bytes_stored_total: 'penstock_endpoint_bytes_delivered_total',
  penstock_worker_insert_failures_total: 'penstock_endpoint_failures_total',
  penstock_worker_dead_letters_total: 'penstock_endpoint_dead_letters_total',
  penstock_worker_lag_records: 'penstock_endpoint_lag_records',
  penstock_log_positions_lost_total: 'penstock_endpoint_expired_total',
  penstock_worker_partitions_standing_still: 'penstock_endpoint_partitions_standing_still',
} satisfies Partial<Record<MetricName, MetricName>>

const delivered = 'penstock_endpoint_deliver_seconds' satisfies MetricName

/** A worker's sample as the endpoint's, with the names of endpoint and log before its own labels; none of what is not shown. */
export function endpointSample([name, labels, value]: MetricSample, endpoint: string, log: string): MetricSample[] {
  const [, histogram, suffix = ''] = /^(penstock_worker_deliver_seconds)(_bucket|_sum|_count)$/.exec(name) ?? []
  const shown = histogram === undefined ? names[name] : `${delivered}${suffix}`
  if (shown === undefined) return []
  // The sink's name is the endpoint's.
  const own = labels.replace(/^sink="[^"]*",?/, '')
  return [[shown, [`endpoint="${endpoint}",log="${log}"`, own].filter((text) => text !== '').join(','), value]]
}
