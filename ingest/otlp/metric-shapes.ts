/**
 * Metrics of OTLP (opentelemetry-proto 1.x: metrics.proto). Left out of what is read: descriptions, which say the same of every point, and
 * exemplars.
 */
import {
  aBool,
  aDouble,
  aFixed64,
  aMessage,
  anInt32,
  anSfixed64,
  anUint32,
  anUint64,
  aSint32,
  aString,
  listOf,
  MessageShape,
} from '#runtime/protobuf/shape.ts'
import { type KeyValue, keyValue, type Resource, resource, type Scope, scope } from './attribute-shapes.ts'

interface Point {
  readonly attributes?: readonly KeyValue[]
  readonly startTimeUnixNano?: string
  readonly timeUnixNano?: string
  /** Bit 1: nothing was recorded. */
  readonly flags?: number
}

export interface NumberPoint extends Point {
  readonly asDouble?: number
  readonly asInt?: string
}

interface Distribution extends Point {
  readonly count?: string
  readonly sum?: number
  readonly min?: number
  readonly max?: number
}

export interface HistogramPoint extends Distribution {
  readonly bucketCounts?: readonly string[]
  readonly explicitBounds?: readonly number[]
}

export interface Buckets {
  readonly offset?: number
  readonly bucketCounts?: readonly string[]
}

export interface ExponentialHistogramPoint extends Distribution {
  readonly scale?: number
  readonly zeroCount?: string
  readonly zeroThreshold?: number
  readonly positive?: Buckets
  readonly negative?: Buckets
}

export interface SummaryPoint extends Point {
  readonly count?: string
  readonly sum?: number
  readonly quantileValues?: readonly { readonly quantile?: number; readonly value?: number }[]
}

/** All points of one metric; `aggregationTemporality` 1 is delta, 2 cumulative. */
export interface Points<P> {
  readonly dataPoints?: readonly P[]
  readonly aggregationTemporality?: number
  readonly isMonotonic?: boolean
}

export interface Metric {
  readonly name?: string
  readonly unit?: string
  readonly gauge?: Points<NumberPoint>
  readonly sum?: Points<NumberPoint>
  readonly histogram?: Points<HistogramPoint>
  readonly exponentialHistogram?: Points<ExponentialHistogramPoint>
  readonly summary?: Points<SummaryPoint>
}

export interface MetricsRequest {
  readonly resourceMetrics?: readonly {
    readonly resource?: Resource
    readonly scopeMetrics?: readonly { readonly scope?: Scope; readonly metrics?: readonly Metric[] }[]
  }[]
}

const numberPoint = new MessageShape<NumberPoint>(() => ({
  attributes: listOf(aMessage(7, keyValue)),
  startTimeUnixNano: aFixed64(2),
  timeUnixNano: aFixed64(3),
  asDouble: aDouble(4),
  asInt: anSfixed64(6),
  flags: anUint32(8),
}))

const histogramPoint = new MessageShape<HistogramPoint>(() => ({
  attributes: listOf(aMessage(9, keyValue)),
  startTimeUnixNano: aFixed64(2),
  timeUnixNano: aFixed64(3),
  count: aFixed64(4),
  sum: aDouble(5),
  bucketCounts: listOf(aFixed64(6)),
  explicitBounds: listOf(aDouble(7)),
  flags: anUint32(10),
  min: aDouble(11),
  max: aDouble(12),
}))

const buckets = new MessageShape<Buckets>(() => ({ offset: aSint32(1), bucketCounts: listOf(anUint64(2)) }))

const exponentialHistogramPoint = new MessageShape<ExponentialHistogramPoint>(() => ({
  attributes: listOf(aMessage(1, keyValue)),
  startTimeUnixNano: aFixed64(2),
  timeUnixNano: aFixed64(3),
  count: aFixed64(4),
  sum: aDouble(5),
  scale: aSint32(6),
  zeroCount: aFixed64(7),
  positive: aMessage(8, buckets),
  negative: aMessage(9, buckets),
  flags: anUint32(10),
  min: aDouble(12),
  max: aDouble(13),
  zeroThreshold: aDouble(14),
}))

const summaryPoint = new MessageShape<SummaryPoint>(() => ({
  attributes: listOf(aMessage(7, keyValue)),
  startTimeUnixNano: aFixed64(2),
  timeUnixNano: aFixed64(3),
  count: aFixed64(4),
  sum: aDouble(5),
  quantileValues: listOf(aMessage(6, quantile)),
  flags: anUint32(8),
}))

const quantile = new MessageShape<{ readonly quantile?: number; readonly value?: number }>(() => ({
  quantile: aDouble(1),
  value: aDouble(2),
}))

/** Fields 2 and 3 are there for some kinds only, and never sent for the others. */
function pointsOf<P extends object>(point: MessageShape<P>): MessageShape<Points<P>> {
  return new MessageShape<Points<P>>(() => ({
    dataPoints: listOf(aMessage(1, point)),
    aggregationTemporality: anInt32(2),
    isMonotonic: aBool(3),
  }))
}

const metric = new MessageShape<Metric>(() => ({
  name: aString(1),
  unit: aString(3),
  gauge: aMessage(5, pointsOf(numberPoint)),
  sum: aMessage(7, pointsOf(numberPoint)),
  histogram: aMessage(9, pointsOf(histogramPoint)),
  exponentialHistogram: aMessage(10, pointsOf(exponentialHistogramPoint)),
  summary: aMessage(11, pointsOf(summaryPoint)),
}))

const scopeMetrics = new MessageShape<{ readonly scope?: Scope; readonly metrics?: readonly Metric[] }>(() => ({
  scope: aMessage(1, scope),
  metrics: listOf(aMessage(2, metric)),
}))

const resourceMetrics = new MessageShape<NonNullable<MetricsRequest['resourceMetrics']>[number]>(() => ({
  resource: aMessage(1, resource),
  scopeMetrics: listOf(aMessage(2, scopeMetrics)),
}))

/** `ExportMetricsServiceRequest` */
export const metricsRequest = new MessageShape<MetricsRequest>(() => ({
  resourceMetrics: listOf(aMessage(1, resourceMetrics)),
}))
