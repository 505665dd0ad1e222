/** Line protocol on a real socket, by hand and by the client of InfluxDB. */
import { gzipSync } from 'node:zlib'
import { HttpError, InfluxDB, Point, setLogger } from '@influxdata/influxdb-client'
import { afterEach, describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { secretOf, servePoints, stopPointServers } from '#ingest/http/point-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { routeInflux } from './write-routes.ts'

afterEach(stopPointServers)
setLogger({ error: () => {}, warn: () => {} })

function gate(): [opened: Promise<void>, open: () => void] {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return [opened, () => open()]
}

const json = (body: Buffer) => JSON.parse(String(body)) as Record<string, unknown>

describe('points in line protocol', () => {
  test('each becomes a row that analysts can read', async () => {
    const { post, rows, log, points } = await servePoints(routeInflux)
    const lines = 'cpu,host=a usage=0.5,cores=8i,up=t,note="x \\"y\\"" 1700000000123456789\ncpu,host=b usage=1'
    const { status, body } = await post('/api/v2/write?org=o&bucket=plant', lines)
    expect([status, String(body)]).toEqual([204, ''])
    const properties = { measurement: 'cpu', bucket: 'plant' }
    expect(rows()).toEqual([
      [
        'plant',
        {
          measurement: 'cpu',
          tags: { host: 'a' },
          fields: { usage: 0.5, cores: 8, up: true, note: 'x "y"' },
          time: '2023-11-14T22:13:20.123456789Z',
        },
        properties,
      ],
      [
        'plant',
        { measurement: 'cpu', tags: { host: 'b' }, fields: { usage: 1 }, time: expect.any(String) },
        properties,
      ],
    ])
    expect(log.envelopes()[0]?.systemProperties).toEqual({
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      contentSchema: 'influxdb',
    })
    expect(Math.abs(Date.parse(rows()[1]?.[1].time) - Date.now())).toBeLessThan(60_000)
    expect([points('stored'), points('refused')]).toEqual([2, 0])
  })

  test('an answer leaves only after the log has confirmed the good points, also where others are bad [G-1]', async () => {
    const { post, log, rows } = await servePoints(routeInflux)
    const [opened, open] = gate()
    const [asked, ask] = gate()
    log.gate = () => {
      ask()
      return opened
    }
    const answered: number[] = []
    const posts = ['m f=1', 'm f=2\nbad'].map(async (lines) => {
      answered.push((await post('/api/v2/write?bucket=d', lines)).status)
    })
    await asked
    expect([answered, rows()]).toEqual([[], []])
    open()
    await Promise.all(posts)
    expect([answered.sort(), rows().length]).toEqual([[204, 400], 2])
  })

  test.each([
    ['ns', '1700000000000000001', '2023-11-14T22:13:20.000000001Z'],
    ['us', '1700000000000001', '2023-11-14T22:13:20.000001Z'],
    ['u', '1700000000000001', '2023-11-14T22:13:20.000001Z'],
    ['ms', '1700000000001', '2023-11-14T22:13:20.001Z'],
    ['s', '1700000000', '2023-11-14T22:13:20.000Z'],
    ['m', '28333333', '2023-11-14T22:13:00.000Z'],
    ['h', '472222', '2023-11-14T22:00:00.000Z'],
  ])('with precision %s, %s is %s', async (precision, timestamp, time) => {
    const { post, rows } = await servePoints(routeInflux)
    expect((await post(`/write?db=d&precision=${precision}`, `m f=1 ${timestamp}`)).status).toBe(204)
    expect(rows()[0]?.[1].time).toBe(time)
  })

  test('good points are stored and bad ones told with their lines, as each version tells it', async () => {
    const { post, rows, points } = await servePoints(routeInflux)
    const lines = 'm f=1 1\nno fields\n# comment\nm f=2 2\nm f=abc\nm f=3 99999999999999999'
    const data = [
      { line_number: 2, error_message: 'field "fields" has no value', original_line: 'no fields' },
      {
        line_number: 5,
        error_message: 'field "f" is no number, truth value or text in quotes: "abc"',
        original_line: 'm f=abc',
      },
      {
        line_number: 6,
        error_message: 'the time lies outside of the years 1677 to 2262; is the precision of the request right?',
        original_line: 'm',
      },
    ]
    const text = 'partial write: 2 stored, dropped=3; line 2: field "fields" has no value'
    const second = await post('/api/v2/write?bucket=d&precision=s', lines)
    expect(second.status).toBe(400)
    expect(json(second.body)).toEqual({ code: 'invalid', message: text, line: 2, stored: 2, dropped: 3, data })
    const first = await post('/write?db=d&precision=s', lines)
    expect([first.status, first.headers.get('x-influxdb-error')]).toEqual([400, text])
    expect(json(first.body)).toEqual({ error: text, line: 2, stored: 2, dropped: 3, data })
    expect(rows().length).toBe(4)
    expect([points('stored'), points('refused')]).toEqual([4, 6])
  })

  test('a measurement with too long a name is refused for itself', async () => {
    const { post, rows } = await servePoints(routeInflux)
    const { status, body } = await post('/api/v2/write?bucket=d', `${'x'.repeat(40_000)} f=1\nm f=2`)
    const [told] = json(body).data as { error_message: string; original_line: string }[]
    expect([status, told?.error_message, told?.original_line.length]).toEqual([
      400,
      'its name has more than 1024 characters',
      100,
    ])
    expect(rows().length).toBe(1)
  })

  test('where no line is good nothing is stored; many bad ones are told by their number', async () => {
    const { post, rows } = await servePoints(routeInflux)
    const { status, body } = await post('/api/v2/write?bucket=d', 'x\n'.repeat(10_000))
    const { message, dropped, data } = json(body)
    expect([status, dropped, (data as unknown[]).length]).toEqual([400, 10_000, limits.pointFaultsToldMax])
    expect(message).toMatch(/^no point was stored, dropped=10000; line 1: /)
    expect(rows()).toEqual([])
    expect((await post('/api/v2/write?bucket=d', '')).status).toBe(204)
  })

  test('who sends is named by the path, the credential or the bucket, and has to prove it [G-6]', async () => {
    const { post, rows } = await servePoints(routeInflux, { identities: true })
    const line = 'm f=1'
    const key = secretOf('d1')
    const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
    const u = encodeURIComponent
    const good: [string, Record<string, string>][] = [
      ['/devices/d1/api/v2/write?bucket=x', { authorization: `Token ${key}` }],
      ['/devices/d1/write', { authorization: key }],
      ['/api/v2/write?bucket=x', { authorization: `Token d1:${key}` }],
      ['/api/v2/write?bucket=x', { authorization: `Bearer d1:${key}` }],
      ['/api/v2/write?bucket=d1', { authorization: `Token ${key}` }],
      ['/write?db=x', { authorization: basic(`d1:${key}`) }],
      [`/write?db=x&u=d1&p=${u(key)}`, {}],
    ]
    for (const [path, headers] of good) expect((await post(path, line, headers)).status, path).toBe(204)
    expect(new Set(rows().map(([deviceId]) => deviceId))).toEqual(new Set(['d1']))
    const ofModule = { authorization: `Token d1/m1:${secretOf('d1', 'm1')}` }
    expect((await post('/api/v2/write?bucket=x', line, ofModule)).status).toBe(204)
    const bad: [number, string, Record<string, string>][] = [
      [401, '/api/v2/write?bucket=d1', {}],
      [401, '/api/v2/write?bucket=d2', { authorization: `Token ${key}` }],
      [401, '/devices/d2/api/v2/write', { authorization: `Token d1:${key}` }],
      [401, `/write?db=d1&u=d2&p=${u(key)}`, { authorization: `Token d1:${key}` }],
      [403, '/api/v2/write?bucket=disabled', { authorization: 'Token x' }],
      [400, '/api/v2/write', { authorization: 'Token x' }],
      [400, '/api/v2/write?bucket=a%20b', { authorization: 'Token x' }],
    ]
    const stored = rows().length
    for (const [status, path, headers] of bad) {
      const answer = await post(path, line, headers)
      expect([answer.status, typeof (json(answer.body).message ?? json(answer.body).error)], path).toEqual([
        status,
        'string',
      ])
    }
    expect(rows().length).toBe(stored)
  })

  test('a token names whom its scope is of', async () => {
    const { post, rows } = await servePoints(routeInflux)
    const token = (scope: string) => createSasToken({ scope, key: secretOf('x'), expiresAtMs: 2_000_000_000_000 })
    for (const authorization of [token('hub/devices/d3'), `Token ${token('hub/devices/d3')}`])
      expect((await post('/api/v2/write?bucket=other', 'm f=1', { authorization })).status).toBe(204)
    await post('/api/v2/write?bucket=other', 'm f=1', { authorization: `Token d4:${token('hub')}` })
    await post('/api/v2/write?bucket=other', 'm f=1', { authorization: `Token ${token('hub')}` })
    // Neither an id nor a scope with its port is cut at a colon of its own.
    const withPort = token('hub:443').replace('%3A', ':')
    await post('/api/v2/write?bucket=other', 'm f=1', { authorization: `Token a:b:${withPort}` })
    await post('/api/v2/write?bucket=other', 'm f=1', { authorization: `Token a:b:${secretOf('x')}` })
    expect(rows().map(([deviceId]) => deviceId)).toEqual(['d3', 'd3', 'd4', 'other', 'a:b', 'a:b'])
  })

  test('compressed bodies are read; a bomb, too many points, and other precisions and codings are refused [G-4]', async () => {
    const { post, rows } = await servePoints(routeInflux)
    const path = '/api/v2/write?bucket=d'
    const gzip = { 'content-encoding': 'gzip' }
    expect((await post(path, gzipSync('m f=1'), gzip)).status).toBe(204)
    const refused: [number, string, Uint8Array | string, Record<string, string>][] = [
      [413, path, gzipSync(Buffer.alloc(limits.httpBodyBytesMax + 1, 'm f=1\n')), gzip],
      [413, path, 'm f=1\n'.repeat(limits.httpMessagesMax + 1), {}],
      [413, path, 'x\n'.repeat(limits.httpMessagesMax + 1), {}],
      [413, path, Buffer.alloc(limits.httpBodyBytesMax + 1), {}],
      [413, path, `m f="${'\u0001'.repeat(30_000)}"\n`.repeat(30), {}],
      [400, path, gzipSync('m f=1').subarray(0, 12), gzip],
      [400, path, Buffer.from([0xff]), {}],
      [400, `${path}&precision=weeks`, 'm f=1', {}],
      [415, path, 'm f=1', { 'content-encoding': 'br' }],
    ]
    for (const [status, to, body, headers] of refused) {
      const answer = await post(to, body, headers)
      expect(answer.status).toBe(status)
      expect(typeof json(answer.body).message).toBe('string')
    }
    expect(rows().length).toBe(1)
  })

  test('a quota is told by 429 with Retry-After, a log that refuses for good by 413', async () => {
    const quotas = { ...unlimitedQuotas, device: { ...unlimitedQuotas.device, messagesPerSecond: 1 } }
    const { post, log } = await servePoints(routeInflux, { quotas })
    expect((await post('/api/v2/write?bucket=d', 'm f=1\n'.repeat(1_000))).status).toBe(204)
    const { status, headers, body } = await post('/api/v2/write?bucket=d', 'm f=1')
    expect([status, json(body).code]).toEqual([429, 'too many requests'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(100)
    log.gate = () => Promise.reject(new PenstockError('LOG_RECORD_TOO_LARGE', 'no'))
    const refused = await post('/api/v2/write?bucket=e', 'm f=1')
    expect([refused.status, json(refused.body).code, refused.headers.get('retry-after')]).toEqual([
      413,
      'request too large',
      null,
    ])
  })

  test('what clients ask first is answered', async () => {
    const { url, edge } = await servePoints(routeInflux)
    const health = async (path: string) => {
      const answer = await fetch(url + path)
      return [answer.status, ((await answer.json()) as { status: string }).status]
    }
    for (const path of ['/health', '/devices/d1/health', '/devices/d1/modules/m1/health'])
      expect(await health(path)).toEqual([200, 'pass'])
    edge.draining = true
    expect(await health('/health')).toEqual([503, 'fail'])
    for (const path of ['/ping', '/devices/d1/ping']) expect((await fetch(url + path)).status).toBe(204)
    for (const path of ['/query?q=CREATE%20DATABASE', '/devices/d1/query']) {
      const answer = await fetch(url + path, { method: 'POST' })
      expect([answer.status, await answer.json()]).toEqual([
        404,
        { error: 'nothing is queried or made here, only written' },
      ])
    }
  })
})

describe('the JavaScript client of InfluxDB', () => {
  test('writes points of each type, compressed, under the identity of its token', async () => {
    const { url, rows } = await servePoints(routeInflux, { identities: true })
    const api = new InfluxDB({ url, token: `d1:${secretOf('d1')}` }).getWriteApi('org', 'bucket', 'ms', {
      gzipThreshold: 0,
      defaultTags: { site: 'north, 1' },
    })
    for (let at = 0; at < 100; at++)
      api.writePoint(
        new Point('boiler room')
          .tag('unit=', 'a b')
          .floatField('t', at / 4)
          .intField('n', at)
          .uintField('u', '18446744073709551615')
          .booleanField('ok', at % 2 === 0)
          .stringField('said', `"quoted" \\ ${at}\nnext`)
          .timestamp(1_700_000_000_000 + at),
      )
    await api.close()
    expect(rows().length).toBe(100)
    expect(rows()[99]).toEqual([
      'd1',
      {
        measurement: 'boiler room',
        tags: { site: 'north, 1', 'unit=': 'a b' },
        fields: {
          n: 99,
          ok: false,
          said: '"quoted" \\ 99\nnext',
          t: 24.75,
          u: Number('18446744073709551615'),
        },
        time: '2023-11-14T22:13:20.099Z',
      },
      { measurement: 'boiler room', bucket: 'bucket' },
    ])
  })

  test('reads the code of a fault, and sends no refused points again', async () => {
    const { url, rows, points } = await servePoints(routeInflux, { identities: true })
    const failures: unknown[] = []
    const writing = (path: string, token: string) =>
      new InfluxDB({ url: url + path, token }).getWriteApi('org', 'd1', 'ns', {
        maxRetries: 2,
        minRetryDelay: 1,
        writeFailed: (error) => void failures.push(error),
      })
    const partial = writing('/devices/d1', secretOf('d1'))
    partial.writeRecords(['m f=1', 'm f=nonsense', 'm f=2'])
    await partial.close().catch(() => {})
    const stranger = writing('', 'wrong')
    stranger.writeRecord('m f=1')
    await stranger.close().catch(() => {})
    expect(failures.map((error) => error instanceof HttpError && [error.statusCode, error.code])).toEqual([
      [400, 'invalid'],
      [401, 'unauthorized'],
    ])
    expect(rows().length).toBe(2)
    expect([points('stored'), points('refused')]).toEqual([2, 1])
  })
})
