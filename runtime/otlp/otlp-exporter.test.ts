import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { PenstockError } from '#schemas/errors.ts'
import { sleep } from '../clock.ts'
import { silentLogger } from '../logger.ts'
import { virtualClock } from '../virtual-clock.ts'
import { OtlpExporter, spansQueuedMax } from './otlp-exporter.ts'
import type { Span } from './otlp-spans.ts'

const resource = { 'service.name': 'penstock' }
const table = { penstock_test_things_total: { type: 'counter', help: 'Things', labels: [] } } as const
const intervalMs = 10_000

const span = (index: number): Span => ({
  traceId: index.toString(16).padStart(32, '0'),
  spanId: index.toString(16).padStart(16, '0'),
  parentSpanId: '',
  name: 'penstock.append',
  kind: 'producer',
  startMs: 1_000,
  endMs: 2_000,
  attributes: { 'penstock.record.offset': index },
  links: [],
})

/** @param answers to each request, in order; the last one for all that follow. `none`: until the client is closed */
function exporting(...answers: (number | PenstockError | 'none')[]) {
  const clock = virtualClock()
  const posted: { readonly path: string; readonly body: string }[] = []
  const told: string[] = []
  let open = 0
  let openMost = 0
  const closed = new AbortController()
  const exporter = new OtlpExporter({
    client: {
      post: async (path, body) => {
        open++
        openMost = Math.max(openMost, open)
        posted.push({ path, body: JSON.stringify(body) })
        await Promise.resolve()
        open--
        const answer = answers.length > 1 ? answers.shift() : answers[0]
        if (answer === 'none') {
          await sleep(clock, Number.MAX_SAFE_INTEGER, closed.signal)
          throw away
        }
        if (answer instanceof PenstockError) throw answer
        return answer ?? 0
      },
      close: () => {
        told.push('closed')
        closed.abort()
      },
    },
    table,
    processes: () => [{ resource, startedAtMs: 0, samples: [['penstock_test_things_total', '', 5]] }],
    intervalMs,
    clock,
    logger: silentLogger,
    onSent: (signal) => told.push(`sent ${signal}`),
    onDropped: (signal, reason, count) => told.push(`dropped ${signal} ${reason} ${count}`),
  })
  /** All that happens within so long. */
  const pass = async (ms: number) => {
    const untilMs = clock.nowMs() + ms
    do await setImmediate()
    while (clock.step(untilMs))
  }
  return { pass, posted, told, exporter, openMost: () => openMost }
}

const away = new PenstockError('OTLP_RECEIVER_AWAY', 'nobody listens')
const refused = new PenstockError('OTLP_EXPORT_REFUSED', 'it answered 400')

describe('the export to an OTLP receiver', () => {
  test('metrics go once an interval, spans with them, one request at a time', async () => {
    const { pass, posted, told, exporter, openMost } = exporting(0)
    exporter.record({ resource, spans: [span(1), span(2)] })
    expect(posted).toEqual([])
    await pass(intervalMs)
    expect(told).toEqual(['sent metrics', 'sent traces'])
    expect(posted.map(({ path }) => path)).toEqual(['/v1/metrics', '/v1/traces'])
    await pass(intervalMs)
    expect(told).toEqual(['sent metrics', 'sent traces', 'sent metrics'])
    expect(openMost()).toBe(1)
    await exporter.close()
  })

  test('a receiver that is away is asked four times, then it is dropped and counted', async () => {
    const { pass, posted, told, exporter } = exporting(away)
    exporter.record({ resource, spans: [span(1), span(2)] })
    await pass(intervalMs + 60_000)
    expect(told.slice(0, 2)).toEqual(['dropped metrics away 1', 'dropped traces away 2'])
    expect(posted.slice(0, 8).map(({ path }) => path)).toEqual([
      ...Array(4).fill('/v1/metrics'),
      ...Array(4).fill('/v1/traces'),
    ])
    await exporter.close()
  })

  test('what it refuses is not sent again, and what it rejects of a request is counted', async () => {
    const { pass, posted, told, exporter } = exporting(refused, 3)
    exporter.record({ resource, spans: [span(1), span(2), span(3), span(4)] })
    await pass(intervalMs)
    expect(posted).toHaveLength(2)
    expect(told).toEqual(['dropped metrics refused 1', 'sent traces', 'dropped traces rejected 3'])
    await exporter.close()
  })

  test(`no more than ${spansQueuedMax} spans wait; those beyond are dropped and counted`, async () => {
    const { pass, posted, told, exporter } = exporting(0)
    const spans = Array.from({ length: spansQueuedMax + 2 }, (_, index) => span(index + 1))
    exporter.record({ resource, spans: spans.slice(0, 10) })
    exporter.record({ resource, spans: spans.slice(10) })
    expect(told).toEqual(['dropped traces queue 2'])
    await pass(intervalMs)
    expect(posted.filter(({ path }) => path === '/v1/traces').length).toBe(4)
    await exporter.close()
  })

  test('at its end nobody waits for longer than two seconds, also where a request was under way', async () => {
    const { pass, told, exporter } = exporting('none')
    exporter.record({ resource, spans: [span(1)] })
    await pass(intervalMs)
    const closing = exporter.close()
    await pass(1_999)
    expect(told).toEqual([])
    await pass(2_000)
    await closing
    expect(told.slice(0, 2)).toEqual(['closed', 'dropped metrics away 1'])
  })

  test('at its end it sends what there is, without trying again', async () => {
    const { posted, told, exporter } = exporting(away)
    exporter.record({ resource, spans: [span(1)] })
    await exporter.close()
    expect(posted).toHaveLength(2)
    expect(told).toEqual(['dropped metrics away 1', 'dropped traces away 1', 'closed'])
  })
})
