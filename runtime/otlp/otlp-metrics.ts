/**
 * Samples of processes, as Prometheus has them, become OTLP metrics under the names of their table:
 *
 *   counter     Sum, monotonic, cumulative since the process began
 *   gauge       Gauge
 *   histogram   Histogram, cumulative; each bucket counts its own, where Prometheus has each count all that are no larger
 */
import type { MetricDefinition, MetricSample } from '../metrics.ts'
import { attributesOf, doubleOf, nanosecondsOf, type OtlpAttribute, type OtlpAttributes } from './otlp-value.ts'

/** One process and what it has counted since it began. */
export interface MeasuredProcess {
  readonly resource: OtlpAttributes
  /** UTC milliseconds: its counters were zero then. */
  readonly startedAtMs: number
  readonly samples: readonly MetricSample[]
}

type MetricTable = Readonly<Record<string, MetricDefinition>>

/** `AGGREGATION_TEMPORALITY_CUMULATIVE` */
const cumulative = 2

/** Series of one metric by their labels; of a histogram, its cumulative buckets as well. */
interface Point {
  readonly labels: string
  /** Of a histogram: its sum. */
  value: number
  readonly buckets: Map<string, number>
}

/** Body of `POST /v1/metrics`. A series that a process has twice is added up. */
export function metricsRequest(table: MetricTable, processes: readonly MeasuredProcess[], nowMs: number): object {
  return {
    resourceMetrics: processes
      .filter(({ samples }) => samples.length > 0)
      .map(({ resource, startedAtMs, samples }) => ({
        resource: { attributes: attributesOf(resource) },
        scopeMetrics: [
          {
            scope: { name: 'penstock' },
            metrics: metricsOf(table, samples, {
              startTimeUnixNano: nanosecondsOf(startedAtMs),
              timeUnixNano: nanosecondsOf(nowMs),
            }),
          },
        ],
      })),
  }
}

interface PointTimes {
  readonly startTimeUnixNano: string
  readonly timeUnixNano: string
}

function metricsOf(table: MetricTable, samples: readonly MetricSample[], times: PointTimes): object[] {
  return [...pointsOf(table, samples)].map(([name, points]) => {
    const definition = table[name] as MetricDefinition
    return {
      name,
      description: definition.help,
      unit: unitOf(name),
      ...dataOf(definition, [...points.values()], times),
    }
  })
}

/** Points by metric and labels. Samples of no metric of the table are left out. */
function pointsOf(table: MetricTable, samples: readonly MetricSample[]): Map<string, Map<string, Point>> {
  const metrics = new Map<string, Map<string, Point>>()
  for (const [sample, labels, value] of samples) {
    const part = table[sample] === undefined ? /^(.+)_(bucket|sum|count)$/.exec(sample) : undefined
    const name = part?.[1] ?? sample
    if (part === null || table[name] === undefined) continue
    const bound = part?.[2] === 'bucket' ? /(?:^|,)le="([^"]*)"$/.exec(labels) : undefined
    const series = bound ? labels.slice(0, bound.index) : labels
    const points = metrics.get(name) ?? new Map<string, Point>()
    metrics.set(name, points)
    const point = points.get(series) ?? { labels: series, value: 0, buckets: new Map() }
    points.set(series, point)
    if (bound) point.buckets.set(bound[1] ?? '', (point.buckets.get(bound[1] ?? '') ?? 0) + value)
    // The last bucket says how many there are.
    else if (part?.[2] !== 'count') point.value += value
  }
  return metrics
}

function dataOf(definition: MetricDefinition, points: readonly Point[], times: PointTimes): object {
  switch (definition.type) {
    case 'gauge': {
      const { timeUnixNano } = times
      return { gauge: { dataPoints: points.map((point) => ({ ...numberOf(point), timeUnixNano })) } }
    }
    case 'counter': {
      const dataPoints = points.map((point) => ({ ...numberOf(point), ...times }))
      return { sum: { aggregationTemporality: cumulative, isMonotonic: true, dataPoints } }
    }
    case 'histogram': {
      const dataPoints = points.map((point) => ({ ...histogramOf(point, definition.buckets), ...times }))
      return { histogram: { aggregationTemporality: cumulative, dataPoints } }
    }
  }
}

function numberOf({ labels, value }: Point): object {
  return { attributes: labelsOf(labels), asDouble: doubleOf(value) }
}

function histogramOf({ labels, value, buckets }: Point, bounds: readonly number[]): object {
  const upTo = [...bounds.map(String), '+Inf'].map((bound) => buckets.get(bound) ?? 0)
  return {
    attributes: labelsOf(labels),
    count: String(upTo.at(-1) ?? 0),
    sum: doubleOf(value),
    bucketCounts: upTo.map((count, bucket) => String(count - (upTo[bucket - 1] ?? 0))),
    explicitBounds: bounds,
  }
}

/** From `a="b",c="d"`, as `Metrics` writes it. */
function labelsOf(text: string): OtlpAttribute[] {
  const labels = [...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)]
  return attributesOf(
    Object.fromEntries(
      labels.map(([, name = '', value = '']) => [
        name,
        value.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character)),
      ]),
    ),
  )
}

/** As UCUM writes it. What is counted has none: receivers would put "ratio" behind a name whose unit is 1. */
function unitOf(name: string): string {
  if (/_seconds(_total)?$/.test(name)) return 's'
  return /_bytes(_total)?$/.test(name) ? 'By' : ''
}
