import { openExporter, resourceOf } from '#infra/roles/open-exporter.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { MetricSample, Metrics } from '#runtime/metrics.ts'
import type { Span } from '#runtime/otlp/otlp-spans.ts'
import type { OtlpAttributes } from '#runtime/otlp/otlp-value.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'

/** One process of the installation, as far as it is exported. */
export interface ExportedProcess {
  readonly role: string
  readonly name: string
  readonly startedAtMs: number
  readonly samples: readonly MetricSample[]
}

export interface InstallationExport {
  record(from: Pick<ExportedProcess, 'role' | 'name'>, spans: readonly Span[]): void
  close(): Promise<void>
}

/** Exports for all processes of an installation over one connection; `undefined` where nobody wants it. @throws SETTINGS_INVALID */
export function exportInstallation(
  settings: Settings,
  parts: {
    readonly processes: () => readonly ExportedProcess[]
    readonly metrics: Metrics<MetricName>
    readonly logger: Logger
  },
): InstallationExport | undefined {
  const { processes, metrics, logger } = parts
  const startedAtMs = systemClock.nowMs()
  const resources = new Map<string, OtlpAttributes>()
  const resource = ({ role, name }: Pick<ExportedProcess, 'role' | 'name'>): OtlpAttributes => {
    const known = resources.get(name) ?? resourceOf(role, name)
    resources.set(name, known)
    return known
  }
  const exporter = openExporter(settings, {
    processes: () =>
      [{ role: 'supervisor', name: 'supervisor', startedAtMs, samples: metrics.samples() }, ...processes()].map(
        (process) => ({ resource: resource(process), startedAtMs: process.startedAtMs, samples: process.samples }),
      ),
    metrics,
    logger,
  })
  return (
    exporter && {
      record: (from, spans) => exporter.record({ resource: resource(from), spans }),
      close: () => exporter.close(),
    }
  )
}
