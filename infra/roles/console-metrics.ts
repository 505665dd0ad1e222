import { aCount, aMoment, aNumber, aText, listOf, named, orNull, recordOf } from '#runtime/api/shapes.ts'
import { gives, type RouteTold, text } from '#runtime/api/told.ts'
import { systemClock } from '#runtime/clock.ts'
import { jsonAnswer, jsonTextAnswer, textAnswer } from '#runtime/http/answer.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { MetricHistory } from '#runtime/metric-history/metric-history.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { chartGroupsMax, chartSeries, chartStepCount, chartStepMs } from '#schemas/chart-series.ts'

/** Steps that ended after `sinceMs`, as JSON. */
export type AskHistory = (sinceMs: number) => Promise<string>

/** Takes a step of the last hour's charts every few seconds, until the process ends. */
export function keepHistory(processes: () => ReadonlyMap<string, readonly MetricSample[]>): MetricHistory {
  const history = new MetricHistory({
    table: chartSeries,
    stepMs: chartStepMs,
    stepCount: chartStepCount,
    groupsMax: chartGroupsMax,
    startedAtMs: systemClock.nowMs(),
  })
  setInterval(() => history.take(systemClock.nowMs(), processes()), chartStepMs).unref()
  return history
}

const values = listOf(orNull(aNumber))
const head = { name: aText, unit: aText }
const quantiles = { p50: values, p95: values, p99: values }
const overall = recordOf({ count: aNumber, p50: orNull(aNumber), p95: orNull(aNumber), p99: orNull(aNumber) })

const historyTold: RouteTold = {
  summary: 'The last hour of metrics for charts, in steps',
  query: { since: 'only steps that ended after it, UTC milliseconds' },
  answered: {
    200: gives(
      'a column of times, and one for each series; null is not known',
      named(
        'History',
        recordOf({
          stepMs: aCount,
          times: listOf(aMoment),
          series: listOf(recordOf({ ...head, values }, { group: aText })),
          quantiles: listOf(recordOf({ ...head, ...quantiles, overall }, { group: aText })),
        }),
      ),
    ),
    400: gives('since is no time', recordOf({ Message: aText })),
    503: { description: 'the supervisor does not answer', body: text() },
  },
}

/**
 * `GET /console/metrics?since=<milliseconds>`: the last hour for charts, or what came after that moment. For anyone who may see
 * `/metrics`, of which it is made.
 */
export function routeConsoleMetrics(router: HttpRouter, ask: AskHistory): void {
  router.route({
    method: 'GET',
    pattern: '/console/metrics',
    told: historyTold,
    handle: async (request) => {
      const since = request.query('since') ?? '0'
      if (!/^\d{1,15}$/.test(since)) return jsonAnswer(400, { Message: 'since must be UTC milliseconds' })
      try {
        return jsonTextAnswer(200, await ask(Number(since)))
      } catch {
        return textAnswer(503, 'the supervisor does not answer\n', { 'Retry-After': '1' })
      }
    },
  })
}
