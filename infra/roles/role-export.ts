import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { MetricSample, Metrics } from '#runtime/metrics.ts'
import { spansQueuedMax } from '#runtime/otlp/otlp-exporter.ts'
import type { Span } from '#runtime/otlp/otlp-spans.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { BatchSpans } from './batch-spans.ts'
import { openExporter, resourceOf } from './open-exporter.ts'
import { reportEverySecond, supervised, tellSupervisor } from './role-process.ts'

export interface RoleExport {
  /** `undefined` where no batch is traced. */
  readonly spans: BatchSpans | undefined
  close(): Promise<void>
}

export interface RoleExportOptions {
  readonly role: string
  /** Of the process, among those of this machine. */
  readonly name: string
  /** Of the log whose batches are traced; left out: it handles none. */
  readonly topic?: string
  readonly samples: () => readonly MetricSample[]
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
}

/** What a role process exports. A supervised one gives its spans to the supervisor, which has one connection for all of them. */
export function openRoleExport(settings: Settings, options: RoleExportOptions): RoleExport {
  if (settings.otlpUrl === undefined) return { spans: undefined, close: async () => {} }
  return supervised ? exportBySupervisor(settings, options) : exportByItself(settings, options)
}

function exportBySupervisor(settings: Settings, options: RoleExportOptions): RoleExport {
  const dropped = options.metrics.series('penstock_otlp_dropped_total', { signal: 'traces', reason: 'queue' })
  let recorded: Span[] = []
  const tell = () => {
    if (recorded.length > 0) tellSupervisor('spans', recorded)
    recorded = []
  }
  reportEverySecond(tell)
  const spans = batchSpans(settings, options.topic, (span) => {
    if (recorded.length < spansQueuedMax) recorded.push(span)
    else dropped.add(1)
  })
  return { spans, close: async () => tell() }
}

function exportByItself(settings: Settings, options: RoleExportOptions): RoleExport {
  const { role, name, topic, samples, metrics, logger } = options
  const resource = resourceOf(role, name)
  const startedAtMs = systemClock.nowMs()
  const exporter = openExporter(settings, {
    processes: () => [{ resource, startedAtMs, samples: samples() }],
    metrics,
    logger,
  })
  const spans = batchSpans(settings, topic, (span) => exporter?.record({ resource, spans: [span] }))
  return { spans, close: async () => exporter?.close() }
}

function batchSpans(
  settings: Settings,
  topic: string | undefined,
  record: (span: Span) => void,
): BatchSpans | undefined {
  const batchesPerTrace = settings.otlpBatchesPerTrace
  if (batchesPerTrace === 0 || topic === undefined) return undefined
  return new BatchSpans({ topic, batchesPerTrace, clock: systemClock, record })
}
