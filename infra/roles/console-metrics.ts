import { systemClock } from '#runtime/clock.ts'
import { jsonAnswer, textAnswer } from '#runtime/http/answer.ts'
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

/**
 * `GET /console/metrics?since=<milliseconds>`: the last hour for charts, or what came after that moment. For anyone who may see
 * `/metrics`, of which it is made.
 */
export function routeConsoleMetrics(router: HttpRouter, ask: AskHistory): void {
  router.route({
    method: 'GET',
    pattern: '/console/metrics',
    handle: async (request) => {
      const since = request.query('since') ?? '0'
      if (!/^\d{1,15}$/.test(since)) return jsonAnswer(400, { Message: 'since must be UTC milliseconds' })
      try {
        return textAnswer(200, await ask(Number(since)), {
          'Content-Type': 'application/json; charset=utf-8',
          'Cache-Control': 'no-store',
        })
      } catch {
        return textAnswer(503, 'the supervisor does not answer\n', { 'Retry-After': '1' })
      }
    },
  })
}
