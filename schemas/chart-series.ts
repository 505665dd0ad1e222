import type { MetricName } from './metrics.ts'

interface ChartSeries {
  readonly metric: MetricName
  readonly shown: 'rate' | 'sum' | 'max' | 'quantiles'
  readonly unit: string
  readonly by?: 'endpoint'
}

/** What charts of the last hour show (`GET /console/metrics`), by name. What they mean is the help of their metric. */
export const chartSeries = {
  connections: { metric: 'penstock_edge_connections', shown: 'sum', unit: 'connections' },
  connections_opened: { metric: 'penstock_edge_connections_opened_total', shown: 'rate', unit: 'connections/s' },
  connections_closed: { metric: 'penstock_edge_connections_closed_total', shown: 'rate', unit: 'connections/s' },
  received: { metric: 'penstock_edge_messages_received_total', shown: 'rate', unit: 'messages/s' },
  acknowledged: { metric: 'penstock_edge_messages_acknowledged_total', shown: 'rate', unit: 'messages/s' },
  dropped: { metric: 'penstock_edge_messages_dropped_total', shown: 'rate', unit: 'messages/s' },
  refused: { metric: 'penstock_edge_messages_refused_total', shown: 'rate', unit: 'messages/s' },
  pending_bytes: { metric: 'penstock_edge_pending_bytes', shown: 'sum', unit: 'bytes' },
  pauses: { metric: 'penstock_edge_pauses_total', shown: 'rate', unit: 'pauses/s' },
  shaped: { metric: 'penstock_edge_shaped_total', shown: 'rate', unit: 'waits/s' },
  appended_batches: { metric: 'penstock_edge_batches_appended_total', shown: 'rate', unit: 'batches/s' },
  appended_bytes: { metric: 'penstock_edge_batch_bytes_total', shown: 'rate', unit: 'bytes/s' },
  append_failures: { metric: 'penstock_edge_append_failures_total', shown: 'rate', unit: 'attempts/s' },
  stored: { metric: 'penstock_worker_rows_stored_total', shown: 'rate', unit: 'rows/s' },
  inserts: { metric: 'penstock_worker_inserts_total', shown: 'rate', unit: 'inserts/s' },
  insert_failures: { metric: 'penstock_worker_insert_failures_total', shown: 'rate', unit: 'attempts/s' },
  dead_letters: { metric: 'penstock_worker_dead_letters_total', shown: 'rate', unit: 'messages/s' },
  lag_records: { metric: 'penstock_worker_lag_records', shown: 'sum', unit: 'batches' },
  lag_seconds: { metric: 'penstock_worker_lag_seconds', shown: 'max', unit: 's' },
  partitions_standing_still: { metric: 'penstock_worker_partitions_standing_still', shown: 'sum', unit: 'partitions' },
  views_failing: { metric: 'penstock_worker_views_failing', shown: 'sum', unit: 'views' },
  log_bytes: { metric: 'penstock_log_kept_bytes', shown: 'sum', unit: 'bytes' },
  events_stored: { metric: 'penstock_events_rows_stored_total', shown: 'rate', unit: 'rows/s' },
  events_lag_seconds: { metric: 'penstock_events_lag_seconds', shown: 'max', unit: 's' },
  sent_to_devices: { metric: 'penstock_edge_messages_delivered_total', shown: 'rate', unit: 'messages/s' },
  methods: { metric: 'penstock_edge_methods_total', shown: 'rate', unit: 'calls/s' },
  twin_requests: { metric: 'penstock_edge_twin_requests_total', shown: 'rate', unit: 'requests/s' },
  commands_waiting: { metric: 'penstock_commands_waiting', shown: 'max', unit: 'commands' },
  registry_requests: { metric: 'penstock_registry_requests_total', shown: 'rate', unit: 'requests/s' },
  process_restarts: { metric: 'penstock_process_restarts_total', shown: 'rate', unit: 'restarts/s' },
  endpoint_delivered: {
    metric: 'penstock_endpoint_messages_delivered_total',
    shown: 'rate',
    unit: 'messages/s',
    by: 'endpoint',
  },
  endpoint_failures: { metric: 'penstock_endpoint_failures_total', shown: 'rate', unit: 'attempts/s', by: 'endpoint' },
  endpoint_dead_letters: {
    metric: 'penstock_endpoint_dead_letters_total',
    shown: 'rate',
    unit: 'messages/s',
    by: 'endpoint',
  },
  endpoint_lag_records: { metric: 'penstock_endpoint_lag_records', shown: 'sum', unit: 'batches', by: 'endpoint' },
  endpoint_lag_seconds: { metric: 'penstock_endpoint_lag_seconds', shown: 'max', unit: 's', by: 'endpoint' },
  append_seconds: { metric: 'penstock_edge_append_seconds', shown: 'quantiles', unit: 's' },
  acknowledge_seconds: { metric: 'penstock_edge_acknowledge_seconds', shown: 'quantiles', unit: 's' },
  read_seconds: { metric: 'penstock_worker_read_seconds', shown: 'quantiles', unit: 's' },
  store_seconds: { metric: 'penstock_worker_store_seconds', shown: 'quantiles', unit: 's' },
  deliver_seconds: { metric: 'penstock_worker_deliver_seconds', shown: 'quantiles', unit: 's' },
} as const satisfies Readonly<Record<string, ChartSeries>>

/** How often a step is taken, and how many are kept: an hour. */
export const chartStepMs = 5_000
export const chartStepCount = 720
/** Endpoints that have charts of their own. */
export const chartGroupsMax = 16
