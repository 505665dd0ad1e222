/** OTLP/HTTP on a real socket, by hand and by the SDK of OpenTelemetry in both encodings. */
import { gzipSync } from 'node:zlib'
import { OTLPLogExporter as JsonLogs } from '@opentelemetry/exporter-logs-otlp-http'
import { OTLPLogExporter as ProtobufLogs } from '@opentelemetry/exporter-logs-otlp-proto'
import {
  AggregationTemporalityPreference,
  OTLPMetricExporter as JsonMetrics,
} from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPMetricExporter as ProtobufMetrics } from '@opentelemetry/exporter-metrics-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs'
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { afterEach, describe, expect, test } from 'vitest'
import { secretOf, servePoints, stopPointServers } from '#ingest/http/point-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { routeOtlp } from './export-routes.ts'

afterEach(stopPointServers)

const protobuf = { 'content-type': 'application/x-protobuf' }
const json = { 'content-type': 'application/json' }
const resource = resourceFromAttributes({ 'service.name': 'press', 'host.cores': 8 })
const tellOf = (body: Buffer) => JSON.parse(String(body)) as Record<string, unknown>

/** A request with one gauge of these points. */
const gauge = (dataPoints: readonly unknown[], name = 'm') =>
  JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name, gauge: { dataPoints } }] }] }] })
const point = { timeUnixNano: '1700000000123456789', asInt: '9007199254740993' }

describe.each([
  ['JSON', JsonMetrics, JsonLogs],
  ['protobuf', ProtobufMetrics, ProtobufLogs],
] as const)('the SDK of OpenTelemetry with %s', (_name, Metrics, Logs) => {
  test('exports metrics of each type under the identity of its token', async () => {
    const { url, rows, log, points } = await servePoints(routeOtlp, { identities: true })
    const exporter = new Metrics({
      url: `${url}/v1/metrics`,
      headers: { authorization: `Bearer d1:${secretOf('d1')}` },
      temporalityPreference: AggregationTemporalityPreference.DELTA,
    })
    const provider = new MeterProvider({
      resource,
      readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
      views: [
        { instrumentName: 'fine', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } },
        {
          instrumentName: 'coarse',
          aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: [5, 10] } },
        },
      ],
    })
    const meter = provider.getMeter('meter', '1.2.3')
    meter.createCounter('strokes', { unit: '1' }).add(3, { line: 'a', hot: true })
    meter.createUpDownCounter('level').add(-2.5)
    meter.createGauge('temperature', { unit: 'Cel' }).record(21.5)
    for (const name of ['coarse', 'fine']) for (const value of [1, 7, 12]) meter.createHistogram(name).record(value)
    await provider.shutdown()
    const byName = new Map(
      rows().map(([deviceId, body, properties]) => {
        expect([deviceId, properties]).toEqual(['d1', { metric: body.metric }])
        expect(body.time).toMatch(/^20\d\d-\d\d-\d\dT[\d:.]+Z$/)
        expect([body.resource, body.scope]).toEqual([
          { 'service.name': 'press', 'host.cores': 8 },
          { name: 'meter', version: '1.2.3' },
        ])
        return [body.metric, body]
      }),
    )
    expect([...byName.keys()].sort()).toEqual(['coarse', 'fine', 'level', 'strokes', 'temperature'])
    expect(byName.get('strokes')).toMatchObject({
      type: 'sum',
      unit: '1',
      temporality: 'delta',
      monotonic: true,
      value: 3,
      attributes: { line: 'a', hot: true },
    })
    expect(byName.get('level')).toMatchObject({ type: 'sum', monotonic: false, value: -2.5 })
    expect(byName.get('temperature')).toMatchObject({ type: 'gauge', unit: 'Cel', value: 21.5 })
    expect(byName.get('coarse')).toMatchObject({
      type: 'histogram',
      count: 3,
      sum: 20,
      min: 1,
      max: 12,
      bounds: [5, 10],
      counts: [1, 1, 1],
    })
    expect(byName.get('fine')).toMatchObject({ type: 'exponentialHistogram', count: 3, sum: 20, zeroCount: 0 })
    const { counts } = byName.get('fine').positive
    expect(counts.reduce((sum: number, count: number) => sum + count, 0)).toBe(3)
    expect(log.envelopes()[0]?.systemProperties.contentSchema).toBe('otlp-metrics')
    expect([points('stored'), points('refused')]).toEqual([5, 0])
  })

  test('exports log records with values of each kind, compressed', async () => {
    const { url, rows } = await servePoints(routeOtlp)
    const exporter = new Logs({ url: `${url}/devices/d1/modules/m1/v1/logs`, compression: 'gzip' as never })
    const provider = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter })] })
    const attributes = { text: 'ü"\n', whole: 7, part: 1.5, flag: false, list: ['a', 'b'], map: { deep: { er: 1 } } }
    provider.getLogger('logger').emit({
      timestamp: 1_700_000_000_123,
      severityNumber: 18,
      body: { what: 'jam', at: [1, 2] },
      attributes,
    })
    provider
      .getLogger('logger')
      .emit({ severityNumber: 9, severityText: 'notice', body: 'plain', eventName: 'door.open' })
    await provider.shutdown()
    // The exporter sends its records side by side: which is stored first is open.
    const bySeverity = new Map(rows().map(([deviceId, body]) => [body.severity, [deviceId, body]]))
    expect(bySeverity.size).toBe(2)
    expect(bySeverity.get('ERROR2')).toEqual([
      'd1',
      {
        time: '2023-11-14T22:13:20.123Z',
        observedTime: expect.any(String),
        severity: 'ERROR2',
        severityNumber: 18,
        body: { what: 'jam', at: [1, 2] },
        attributes,
        resource: { 'service.name': 'press', 'host.cores': 8 },
        scope: { name: 'logger' },
      },
    ])
    expect(bySeverity.get('notice')).toEqual([
      'd1',
      expect.objectContaining({ severityNumber: 9, body: 'plain', eventName: 'door.open' }),
    ])
  })

  test('hears why it is refused', async () => {
    const { url } = await servePoints(routeOtlp, { identities: true })
    const exporter = new Metrics({ url: `${url}/devices/d1/v1/metrics`, headers: { authorization: 'Bearer wrong' } })
    const data = { resource, scopeMetrics: [] }
    const result = await new Promise<{ error?: Error & { code?: number } }>((resolve) => exporter.export(data, resolve))
    expect(result.error?.code).toBe(401)
    await exporter.shutdown()
  })
})

describe('OTLP over HTTP', () => {
  test('all digits of a whole number and all nanoseconds are kept', async () => {
    const { post, log } = await servePoints(routeOtlp)
    const { status, headers, body } = await post('/devices/d1/v1/metrics', gauge([point]), json)
    expect([status, headers.get('content-type'), String(body)]).toEqual([200, 'application/json', '{}'])
    expect(String(log.envelopes()[0]?.body)).toBe(
      '{"metric":"m","type":"gauge","time":"2023-11-14T22:13:20.123456789Z","value":9007199254740993}',
    )
  })

  test('points that cannot be stored are told as partial success, in the encoding of the request; the others are stored', async () => {
    const { post, rows, points } = await servePoints(routeOtlp)
    const attributes = [{ key: 'k', value: { stringValue: 'x'.repeat(limits.bodyBytesMax) } }]
    const body = gauge([
      point,
      { asInt: '1' },
      { ...point, attributes },
      { timeUnixNano: '1' },
      { timeUnixNano: '1', flags: 1 },
    ])
    const partial = await post('/devices/d1/v1/metrics', body, json)
    expect([partial.status, tellOf(partial.body)]).toEqual([
      200,
      {
        partialSuccess: {
          rejectedDataPoints: '3',
          errorMessage: 'metric "m": a point has no time, or one beyond the year 2262',
        },
      },
    ])
    expect(rows().map(([, { value }]) => value)).toEqual([Number(point.asInt), undefined])
    expect([points('stored'), points('refused')]).toEqual([2, 3])
    const named = await post('/devices/d1/v1/metrics', gauge([point, point], 'x'.repeat(40_000)), json)
    expect(tellOf(named.body).partialSuccess).toMatchObject({
      rejectedDataPoints: '2',
      errorMessage: expect.stringMatching(/its name has more than 1024 characters$/),
    })
    const dataPoints = [{ timeUnixNano: '1', count: '1', bucketCounts: ['1'], explicitBounds: [1, 2] }]
    const metrics = [{ name: 'h', histogram: { dataPoints } }]
    const buckets = await post(
      '/devices/d1/v1/metrics',
      JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] }),
      json,
    )
    expect(tellOf(buckets.body)).toEqual({
      partialSuccess: {
        rejectedDataPoints: '1',
        errorMessage: 'metric "h": a point has 1 buckets and 2 bounds between them',
      },
    })
    // resource_metrics { scope_metrics { metrics { name: "x" } } }: of no kind.
    const unknown = Buffer.from('0a07120512030a0178', 'hex')
    const answer = await post('/devices/d1/v1/metrics', unknown, protobuf)
    const text = 'metric "x": its points are of no kind that is known'
    const told = Buffer.concat([Buffer.from([0x08, 1, 0x12, text.length]), Buffer.from(text)])
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-protobuf'])
    expect(answer.body.toString('hex')).toBe(Buffer.concat([Buffer.from([0x0a, told.length]), told]).toString('hex'))
  })

  test('traces are refused for good, so that no SDK sends them again', async () => {
    const { post } = await servePoints(routeOtlp)
    for (const path of ['/v1/traces', '/devices/d1/v1/traces']) {
      const { status, body } = await post(path, '{}', json)
      expect([status, tellOf(body).code]).toEqual([404, 12])
    }
  })

  test('a request without anything is a success', async () => {
    const { post, rows } = await servePoints(routeOtlp)
    for (const signal of ['metrics', 'logs']) {
      expect((await post(`/devices/d1/v1/${signal}`, '', protobuf)).status).toBe(200)
      expect((await post(`/devices/d1/v1/${signal}`, '{}', json)).status).toBe(200)
    }
    expect(rows()).toEqual([])
  })

  test('a request that cannot be read is refused as a whole, with a status in its encoding', async () => {
    const { post, rows } = await servePoints(routeOtlp)
    const path = '/devices/d1/v1/metrics'
    const deep = `{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}`
    const refused: [number, number, string | Uint8Array, Record<string, string>][] = [
      [400, 3, '{', json],
      [400, 3, deep, json],
      [400, 3, Buffer.from([0x7b, 0xff, 0x7d]), json],
      [400, 3, JSON.stringify({ resourceMetrics: [{ scopeMetrics: 1 }] }), json],
      [400, 3, gauge([{ ...point, timeUnixNano: 'soon' }]), json],
      [400, 3, gauge([{ ...point, timeUnixNano: '-1' }]), json],
      [400, 3, Buffer.from([0x0a, 0x7f]), protobuf],
      [400, 3, gzipSync('x').subarray(0, 10), { ...protobuf, 'content-encoding': 'gzip' }],
      [413, 3, Buffer.alloc(limits.httpBodyBytesMax + 1), protobuf],
      [413, 3, gzipSync(Buffer.alloc(limits.httpBodyBytesMax + 1)), { ...protobuf, 'content-encoding': 'gzip' }],
      [413, 3, gauge(Array.from({ length: 20_001 }, () => ({ timeUnixNano: '1', asInt: 1 }))), json],
      [415, 3, '{}', { 'content-type': 'text/plain' }],
      [415, 3, '{}', { ...json, 'content-encoding': 'zstd' }],
    ]
    for (const [status, code, body, headers] of refused) {
      const answer = await post(path, body, headers)
      expect(answer.status, answer.body.toString('latin1')).toBe(status)
      if (headers['content-type'] === protobuf['content-type']) {
        expect([answer.headers.get('content-type'), ...answer.body.subarray(0, 3)]).toEqual([
          'application/x-protobuf',
          ...[0x08, code, 0x12],
        ])
      } else expect(tellOf(answer.body)).toEqual({ code, message: expect.any(String) })
    }
    expect(rows()).toEqual([])
    const where = await post(path, gauge([point, { ...point, asDouble: 'x' }]), json)
    expect(tellOf(where.body).message).toBe(
      'the body is not what its path says: resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[1].asDouble is no double',
    )
  })

  test.each([
    ['would be', 100_000],
    ['make each too large and would be', 300_000],
  ])(
    'attributes of a resource that %s repeated in too many rows are refused before they are [G-4]',
    async (_, length) => {
      const { post } = await servePoints(routeOtlp)
      const resource = { attributes: [{ key: 'k', value: { stringValue: 'x'.repeat(length) } }] }
      const metrics = [{ name: 'm', gauge: { dataPoints: Array.from({ length: 10_000 }, () => point) } }]
      const body = JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] })
      const { status, body: told } = await post('/devices/d1/v1/metrics', body, json)
      expect([status, tellOf(told).message]).toEqual([
        413,
        expect.stringMatching(/^points that have more than 4194304 bytes/),
      ])
    },
  )

  test('who is not named, not proven or disabled is refused; what may be sent again says when', async () => {
    const quotas = { ...unlimitedQuotas, device: { ...unlimitedQuotas.device, messagesPerSecond: 1 } }
    const { post, log } = await servePoints(routeOtlp, { identities: true, quotas })
    const statusOf = async (path: string, authorization?: string) => {
      const { status, body, headers } = await post(path, gauge([point]), {
        ...json,
        ...(authorization && { authorization }),
      })
      return [status, tellOf(body).code, headers.get('retry-after')]
    }
    expect(await statusOf('/v1/metrics')).toEqual([400, 3, null])
    expect(await statusOf('/devices/d1/v1/metrics')).toEqual([401, 16, null])
    expect(await statusOf('/devices/d2/v1/metrics', `Bearer ${secretOf('d1')}`)).toEqual([401, 16, null])
    expect(await statusOf('/v1/metrics', 'Bearer disabled:x')).toEqual([403, 7, null])
    const good = `Bearer d1:${secretOf('d1')}`
    const many = await post('/v1/metrics', gauge(Array.from({ length: 100 }, () => point)), {
      ...json,
      authorization: good,
    })
    expect(many.status).toBe(200)
    expect(await statusOf('/v1/metrics', good)).toEqual([429, 8, expect.stringMatching(/^\d\d/)])
    log.gate = () => Promise.reject(new PenstockError('LOG_RECORD_TOO_LARGE', 'no'))
    expect(await statusOf('/v1/metrics', `Bearer d2:${secretOf('d2')}`)).toEqual([413, 3, null])
  })
})
