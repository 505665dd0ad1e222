import { expect, test } from 'vitest'
import type { HttpAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { AnyRoute, HttpRouter } from '#runtime/http/serving.ts'
import { MetricHistory } from '#runtime/metric-history/metric-history.ts'
import { type MetricSample, Metrics } from '#runtime/metrics.ts'
import { chartGroupsMax, chartSeries, chartStepCount, chartStepMs } from '#schemas/chart-series.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { type AskHistory, routeConsoleMetrics } from './console-metrics.ts'

async function answerTo(since: string | undefined, ask: AskHistory): Promise<HttpAnswer> {
  let route: AnyRoute | undefined
  const router = {
    route: (added: AnyRoute) => {
      route = added
    },
  }
  routeConsoleMetrics(router as unknown as HttpRouter, ask)
  if (route === undefined || !('handle' in route)) throw new Error('there is a route')
  return await route.handle({ query: () => since } as unknown as HttpRequest, Buffer.alloc(0))
}

test('the last hour is told from the moment that is asked for, as JSON that nobody keeps', async () => {
  const asked: number[] = []
  const ask = async (sinceMs: number) => {
    asked.push(sinceMs)
    return '{"times":[]}'
  }
  expect(await answerTo(undefined, ask)).toMatchObject({ status: 200, body: '{"times":[]}' })
  expect((await answerTo('1700000000000', ask)).headers).toEqual({
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
  })
  expect(asked).toEqual([0, 1_700_000_000_000])
  for (const since of ['', '-1', '1.5', 'now']) expect((await answerTo(since, ask)).status).toBe(400)
  expect(await answerTo('0', () => Promise.reject(new Error('away')))).toMatchObject({ status: 503 })
})

/** Samples as a whole installation has them, with as many endpoints as have charts, and one more. */
function samplesOfAll(): MetricSample[] {
  const metrics = new Metrics<MetricName>(metricsTable)
  for (const [name, { type, labels }] of Object.entries(metricsTable)) {
    const series = labels.some((label) => label === 'endpoint') ? chartGroupsMax + 1 : 1
    for (let endpoint = 0; endpoint < series; endpoint++) {
      const values = Object.fromEntries(labels.map((label) => [label, `${label}${endpoint}`]))
      if (type === 'histogram') metrics.histogram(name as MetricName, values).observe(0.1)
      else metrics.series(name as MetricName, values).add(1)
    }
  }
  return metrics.samples()
}

test('every chart has its metric, and an hour of all of them stays below 700 kB', () => {
  const startedAtMs = 1_000_000
  const options = { table: chartSeries, stepMs: chartStepMs, stepCount: chartStepCount, groupsMax: chartGroupsMax }
  const history = new MetricHistory({ ...options, startedAtMs })
  const processes = new Map([['edge-0', samplesOfAll()]])
  for (let step = 1; step <= chartStepCount + 10; step++) history.take(startedAtMs + step * chartStepMs, processes)
  const { times, series, quantiles } = history.since(0)
  expect(times.length).toBe(chartStepCount)
  expect(new Set([...series, ...quantiles].map(({ name }) => name))).toEqual(new Set(Object.keys(chartSeries)))
  expect(series.filter(({ name }) => name === 'endpoint_delivered').length).toBe(chartGroupsMax)
  expect(history.bytes).toBeLessThan(700_000)
})
