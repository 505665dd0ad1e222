/**
 * Data points as messages, one each: each has a time and attributes of its own, and is refused for itself.
 *
 *   {"metric":"http.server.duration","type":"histogram","unit":"ms","time":"…","startTime":"…","temporality":"cumulative",
 *    "count":3,"sum":12.5,"bounds":[5,10],"counts":[1,1,1],"attributes":{…},"resource":{…},"scope":{"name":"…","version":"…"}}
 *
 *   type                    beside the fields of all
 *   gauge                   value
 *   sum                     value monotonic temporality
 *   histogram               count sum min max bounds counts temporality
 *   exponentialHistogram    count sum min max scale zeroCount zeroThreshold positive negative temporality
 *   summary                 count sum quantiles
 *
 * The name of the metric is a property too.
 */
import { nameFault } from '#ingest/device-api/row-list.ts'
import { numberText, ObjectText } from '#runtime/json-text.ts'
import { attributesText, forEachOrigin, type Origin } from './attribute-text.ts'
import type {
  Buckets,
  ExponentialHistogramPoint,
  HistogramPoint,
  Metric,
  MetricsRequest,
  NumberPoint,
  Points,
  SummaryPoint,
} from './metric-shapes.ts'
import { RowMaker, timeText } from './row-maker.ts'

type AnyPoint = NumberPoint | HistogramPoint | ExponentialHistogramPoint | SummaryPoint

/** @throws INGEST_FRAME_TOO_LARGE */
export function metricRows({ resourceMetrics = [] }: MetricsRequest): RowMaker {
  const maker = new RowMaker('otlp-metrics')
  for (const { resource, scopeMetrics = [] } of resourceMetrics)
    forEachOrigin(resource, scopeMetrics, ({ metrics = [] }, origin) => {
      for (const metric of metrics) addMetric(maker, metric, origin)
    })
  return maker
}

function addMetric(maker: RowMaker, metric: Metric, origin: Origin): void {
  const { gauge, sum, histogram, exponentialHistogram, summary } = metric
  if (gauge) addPoints(maker, metric, 'gauge', gauge, origin, numberFields)
  if (sum) addPoints(maker, metric, 'sum', sum, origin, numberFields)
  if (histogram) addPoints(maker, metric, 'histogram', histogram, origin, histogramFields)
  if (exponentialHistogram)
    addPoints(maker, metric, 'exponentialHistogram', exponentialHistogram, origin, exponentialFields)
  if (summary) addPoints(maker, metric, 'summary', summary, origin, summaryFields)
  if (!(gauge ?? sum ?? histogram ?? exponentialHistogram ?? summary))
    maker.refuse(shownMetric(metric), 'its points are of no kind that is known')
}

/** @param fields puts what points of this type have; a text says why a point is refused */
function addPoints<P extends AnyPoint>(
  maker: RowMaker,
  metric: Metric,
  type: string,
  { dataPoints = [], aggregationTemporality, isMonotonic }: Points<P>,
  origin: Origin,
  fields: (row: ObjectText, point: P) => string | undefined,
): void {
  const { name = '', unit } = metric
  // Made once: points that are refused may be many, and these may be long.
  const nameText = JSON.stringify(name)
  const unitText = unit ? JSON.stringify(unit) : undefined
  const what = shownMetric(metric)
  const fault = nameFault(name)
  const properties = maker.rows.propertiesWith(fault === undefined ? { metric: name } : {})
  const temporality = temporalities.get(aggregationTemporality)
  for (const point of dataPoints) {
    const time = timeText(point.timeUnixNano)
    const row = new ObjectText()
      .put('metric', nameText)
      .putText('type', type)
      .put('unit', unitText)
      .put('time', time)
      .put('startTime', timeText(point.startTimeUnixNano))
    if (type !== 'gauge' && type !== 'summary') row.putText('temporality', temporality)
    if (type === 'sum') row.put('monotonic', String(isMonotonic ?? false))
    const refusal =
      fault ?? timeFault(time) ?? (((point.flags ?? 0) & noRecordedValue) === 0 ? fields(row, point) : undefined)
    if (refusal !== undefined) {
      maker.refuse(what, refusal)
      continue
    }
    row.put('attributes', attributesText(point.attributes)).put('resource', origin.resource).put('scope', origin.scope)
    maker.add(what, String(row), properties)
  }
}

function shownMetric({ name = '' }: Metric): string {
  return `metric ${JSON.stringify(name.slice(0, 100))}`
}

const temporalities: ReadonlyMap<number | undefined, string> = new Map([
  [1, 'delta'],
  [2, 'cumulative'],
])

/** Of the flags of a point: it says that there is no value at its time, as of a series that ended. */
const noRecordedValue = 1

function timeFault(time: string | undefined): string | undefined {
  return time === undefined ? 'a point has no time, or one beyond the year 2262' : undefined
}

function numberFields(row: ObjectText, { asInt, asDouble }: NumberPoint): string | undefined {
  if (asInt !== undefined) row.put('value', asInt)
  else if (asDouble !== undefined) row.putNumber('value', asDouble)
  else return 'a point has no value'
  return undefined
}

function histogramFields(row: ObjectText, point: HistogramPoint): string | undefined {
  const { bucketCounts = [], explicitBounds = [] } = point
  if (bucketCounts.length > 0 && bucketCounts.length !== explicitBounds.length + 1)
    return `a point has ${bucketCounts.length} buckets and ${explicitBounds.length} bounds between them`
  putDistribution(row, point)
  if (bucketCounts.length > 0)
    row.put('bounds', listText(explicitBounds.map(numberText))).put('counts', listText(bucketCounts))
  return undefined
}

function exponentialFields(row: ObjectText, point: ExponentialHistogramPoint): undefined {
  putDistribution(row, point)
  row
    .putNumber('scale', point.scale ?? 0)
    .put('zeroCount', point.zeroCount ?? '0')
    .putNumber('zeroThreshold', point.zeroThreshold)
    .put('positive', bucketsText(point.positive))
    .put('negative', bucketsText(point.negative))
}

function putDistribution(row: ObjectText, { count = '0', sum, min, max }: HistogramPoint): void {
  row.put('count', count).putNumber('sum', sum).putNumber('min', min).putNumber('max', max)
}

function bucketsText(buckets: Buckets | undefined): string | undefined {
  if (buckets === undefined) return undefined
  const { offset = 0, bucketCounts = [] } = buckets
  return String(new ObjectText().putNumber('offset', offset).put('counts', listText(bucketCounts)))
}

function summaryFields(row: ObjectText, { count = '0', sum, quantileValues = [] }: SummaryPoint): undefined {
  const quantiles = quantileValues.map(({ quantile = 0, value = 0 }) =>
    String(new ObjectText().putNumber('quantile', quantile).putNumber('value', value)),
  )
  row
    .put('count', count)
    .putNumber('sum', sum ?? 0)
    .put('quantiles', listText(quantiles))
}

function listText(items: readonly string[]): string {
  return `[${items.join(',')}]`
}
