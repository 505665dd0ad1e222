import { hostname } from 'node:os'
import { programVersion } from '#infra/console/built-console.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { OtlpClient } from '#runtime/otlp/otlp-client.ts'
import { OtlpExporter } from '#runtime/otlp/otlp-exporter.ts'
import type { MeasuredProcess } from '#runtime/otlp/otlp-metrics.ts'
import type { OtlpAttributes } from '#runtime/otlp/otlp-value.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { settingsTable } from '#schemas/settings.ts'

const answerMsMax = 10_000
const restMsMax = 60_000

export interface ExportedParts {
  readonly processes: () => readonly MeasuredProcess[]
  /** Where it counts what it sends. */
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
}

/** Begins to export what `processes` count; `undefined` where nobody wants it. @throws SETTINGS_INVALID */
export function openExporter(settings: Settings, parts: ExportedParts): OtlpExporter | undefined {
  if (settings.otlpUrl === undefined) return undefined
  const { metrics } = parts
  return new OtlpExporter({
    ...parts,
    client: new OtlpClient({
      url: settings.otlpUrl,
      headers: headersFrom(settings.otlpHeaders ?? ''),
      clock: systemClock,
      answerMsMax,
      restMsMax,
    }),
    table: metricsTable,
    intervalMs: settings.otlpIntervalMs,
    clock: systemClock,
    onSent: (signal) => metrics.series('penstock_otlp_requests_total', { signal }).add(1),
    onDropped: (signal, reason, count) => metrics.series('penstock_otlp_dropped_total', { signal, reason }).add(count),
  })
}

/** What a process of this machine says of itself. @param name e.g. `edge-0`, the same after it was started again */
export function resourceOf(role: string, name: string): OtlpAttributes {
  return {
    'service.name': 'penstock',
    'service.version': programVersion(),
    'service.instance.id': `${hostname()}/${name}`,
    'host.name': hostname(),
    'penstock.role': role,
  }
}

/** @throws SETTINGS_INVALID without its values, which are secret */
export function headersFrom(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '')
  return Object.fromEntries(
    pairs.map((pair, index): [string, string] => {
      const [, name, value] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*=\s*([\x21-\x7e]*)\s*$/.exec(pair) ?? []
      const decoded = value === undefined ? undefined : percentDecoded(value)
      if (name === undefined || decoded === undefined)
        throw new PenstockError(
          'SETTINGS_INVALID',
          `${settingsTable.otlpHeaders.env}: header ${index + 1} is not \`name=value\` with a percent-encoded value`,
        )
      return [name, decoded]
    }),
  )
}

/** `undefined` if it is not encoded so, or holds what no header may. */
function percentDecoded(value: string): string | undefined {
  try {
    const decoded = decodeURIComponent(value)
    return /^[\x20-\x7e]*$/.test(decoded) ? decoded : undefined
  } catch {
    return undefined
  }
}
