/** Metrics of the export of metrics and spans. Rows of the table in `metrics.ts`. */
export const otlpMetrics = {
  penstock_otlp_requests_total: {
    type: 'counter',
    help: 'Requests that the receiver of metrics and spans took',
    labels: ['signal'],
  },
  penstock_otlp_dropped_total: {
    type: 'counter',
    help: 'Requests of metrics, or spans, that were given up: the queue was full, the receiver away, or it did not take them',
    labels: ['signal', 'reason'],
  },
} as const
