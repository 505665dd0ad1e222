/** Settings of the export of Penstock's own metrics and spans. Rows of the table in `settings.ts`. */
export const otlpSettings = {
  otlpUrl: {
    env: 'PENSTOCK_OTLP_URL',
    kind: 'url',
    default: undefined,
    schemes: ['http', 'https'],
    secret: true,
    meaning:
      "where Penstock's own metrics and sampled spans of batches are sent as OTLP/HTTP JSON, e.g. http://127.0.0.1:4318; `/v1/metrics` and `/v1/traces` are added. Unset: nowhere",
  },
  otlpHeaders: {
    env: 'PENSTOCK_OTLP_HEADERS',
    kind: 'secret',
    default: undefined,
    meaning: 'headers for that receiver, `name=value` separated by commas, values percent-encoded, e.g. a token',
  },
  otlpIntervalMs: {
    env: 'PENSTOCK_OTLP_INTERVAL_MS',
    kind: 'integer',
    default: 15_000,
    min: 1_000,
    max: 3_600_000,
    meaning: 'time between two exports',
  },
  otlpBatchesPerTrace: {
    env: 'PENSTOCK_OTLP_BATCHES_PER_TRACE',
    kind: 'integer',
    default: 1_000,
    min: 0,
    max: 1_000_000_000,
    meaning: 'one of so many batches becomes a trace, the same ones at edges and workers; 1: each; 0: none',
  },
} as const
