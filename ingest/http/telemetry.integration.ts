/** Telemetry over HTTP on a real socket. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { type QuotaOptions, unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import type { IsKnown } from '#ingest/session/principal.ts'
import { BodyRoom } from '#runtime/http/bodies.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { AuthorizeRequest } from './device-gate.ts'
import { hubBatchType } from './message-reader.ts'
import { routeTelemetry } from './telemetry.ts'

const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
})

interface Started {
  readonly authorize?: AuthorizeRequest
  readonly pendingBytesMax?: number
  readonly bodies?: BodyRoom
  readonly quotas?: QuotaOptions
  readonly isKnown?: IsKnown
}

async function start(options: Started = {}) {
  const { authorize: _, bodies: __, ...edge } = options
  const fixture = edgeFixture(edge)
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    ...(options.bodies ? { bodies: options.bodies } : {}),
    routes: (router) => routeTelemetry(router, fixture.edge, options.authorize ?? (() => {}), false),
  })
  servers.push(server)
  const post = async (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method: 'POST', body, headers })
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  const stored = () =>
    fixture.log
      .envelopes()
      .map(({ deviceId, body, properties, systemProperties }) => [deviceId, String(body), properties, systemProperties])
  return { ...fixture, server, post, stored }
}

function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), opened }
}

const events = '/devices/d1/messages/events'

describe('telemetry over HTTP', () => {
  test('one message, with its property headers; any api-version; 204 without a body', async () => {
    const { post, stored, count } = await start()
    const headers = { 'iothub-messageid': 'm1', 'iothub-app-Room': 'a b', 'content-type': 'application/octet-stream' }
    const { status, text } = await post(`${events}?api-version=1999-01-01`, '{"t":1}', headers)
    expect([status, text]).toEqual([204, ''])
    expect(stored()).toEqual([['d1', '{"t":1}', { room: 'a b' }, { messageId: 'm1' }]])
    expect(count('penstock_edge_messages_acknowledged_total')).toBe(1)
  })

  test('a module, and an id that needs percent-encoding', async () => {
    const { post, stored } = await start()
    await post('/devices/a%25%23b/modules/m%2B1/messages/events', 'x')
    const batch = ['a', 'b'].map((text) => ({ body: '', properties: { 'iothub-app-K': text } }))
    await post('/devices/d1/modules/m/messages/events', JSON.stringify(batch), { 'content-type': hubBatchType })
    expect(stored()).toEqual([
      ['a%#b', 'x', {}, { moduleId: 'm+1' }],
      ['d1', '', { K: 'a' }, { moduleId: 'm' }],
      ['d1', '', { K: 'b' }, { moduleId: 'm' }],
    ])
  })

  test("the hub's batch, an array and lines become messages in order [G-3]", async () => {
    const { post, stored } = await start()
    const batch = ['a', 'b'].map((text) => ({
      body: Buffer.from(text).toString('base64'),
      properties: { 'iothub-app-K': text },
    }))
    await post(events, JSON.stringify(batch), { 'content-type': hubBatchType })
    await post(`${events}?split=array`, '[1, {"x":2}]')
    await post(events, 'l1\nl2\n', { 'content-type': 'application/x-ndjson' })
    const json = { contentType: 'application/json' }
    expect(stored()).toEqual([
      ['d1', 'a', { K: 'a' }, {}],
      ['d1', 'b', { K: 'b' }, {}],
      ['d1', '1', {}, json],
      ['d1', '{"x":2}', {}, json],
      ['d1', 'l1', {}, json],
      ['d1', 'l2', {}, json],
    ])
    expect((await post(`${events}?split=array`, '[]')).status).toBe(204)
  })

  test('204 leaves only after the log has confirmed every message of the request [G-1]', async () => {
    const { post, log } = await start()
    const { open, opened } = gate()
    const { open: ask, opened: asked } = gate()
    log.gate = () => {
      ask()
      return opened
    }
    let answered = false
    const answer = post(`${events}?split=lines`, 'a\nb').then((result) => {
      answered = true
      return result.status
    })
    await asked
    expect([answered, log.appended.length]).toEqual([false, 0])
    open()
    expect(await answer).toBe(204)
    expect(log.envelopes().length).toBe(2)
  })

  test('a batch that the log refuses for good is 413, which nobody sends again as it is [G-1]', async () => {
    const { post, log } = await start()
    log.gate = () => Promise.reject(new PenstockError('LOG_RECORD_TOO_LARGE', 'no'))
    const { status, headers, text } = await post(events, 'a')
    expect([status, headers.get('retry-after'), headers.get('iothub-errorcode')]).toEqual([
      413,
      null,
      'MessageTooLarge',
    ])
    expect(JSON.parse(text).Message).toMatch(/^ErrorCode:MessageTooLarge;/)
  })

  test('while the edge is full or draining, requests are 503 with Retry-After before their body is read [G-4]', async () => {
    const { post, log, edge, server } = await start({ pendingBytesMax: 256 * 1024 })
    const { open, opened } = gate()
    log.gate = () => opened
    const taken: Promise<{ status: number }>[] = []
    while (!edge.batcher.full) {
      taken.push(post(events, Buffer.alloc(100_000, taken.length)))
      await expect.poll(() => edge.batcher.full || edge.batcher.pendingBytes >= taken.length * 100_000).toBe(true)
      expect(taken.length).toBeLessThan(20)
    }
    const socket = connect(server.port, '127.0.0.1')
    socket.write(`POST ${events} HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n`)
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 503 [\s\S]*retry-after: 1\r\n/i)
    socket.destroy()
    open()
    expect((await Promise.all(taken)).map(({ status }) => status)).toEqual(taken.map(() => 204))
    expect((await post(events, 'flows again')).status).toBe(204)
    edge.draining = true
    expect((await post(events, 'x')).status).toBe(503)
  })

  test('a split body whose properties make it many times larger is 413, and counts as what it becomes [G-4]', async () => {
    const { post, stored, edge } = await start()
    const lines = (count: number) => '1\n'.repeat(count)
    const headers = { 'content-type': 'application/x-ndjson', 'iothub-app-p': 'x'.repeat(3_000) }
    for (const path of [events, '/devices/d1/modules/m1/messages/events']) {
      const { status, headers: told, text } = await post(path, lines(2_000), headers)
      expect([status, told.get('iothub-errorcode')]).toEqual([413, 'MessageTooLarge'])
      expect(JSON.parse(text).Message).toMatch(/^ErrorCode:MessageTooLarge;/)
    }
    expect([stored().length, edge.batcher.pendingBytes]).toEqual([0, 0])
    expect((await post(events, lines(1_000), headers)).status).toBe(204)
    expect(stored().length).toBe(1_000)
    const [noisiest] = edge.quotas.noisiest.report(1).byBytes
    expect(noisiest?.amount).toBeGreaterThan(3_000_000)
    expect((await post(events, lines(limits.httpMessagesMax), { 'content-type': 'application/x-ndjson' })).status).toBe(
      204,
    )
  })

  test('a request whose body came only after the edge was full is 503, and nothing of it is taken [G-4]', async () => {
    const { post, log, edge, server, count } = await start({ pendingBytesMax: 256 * 1024 })
    const { open, opened } = gate()
    log.gate = () => opened
    const socket = connect(server.port, '127.0.0.1')
    socket.write(`POST ${events} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nla`)
    const taken: Promise<{ status: number }>[] = []
    while (!edge.batcher.full) {
      taken.push(post(events, Buffer.alloc(100_000, taken.length)))
      await expect.poll(() => count('penstock_edge_messages_received_total')).toBe(taken.length)
    }
    socket.write('te')
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 503 [\s\S]*retry-after: 1\r\n/i)
    socket.destroy()
    open()
    expect((await Promise.all(taken)).map(({ status }) => status)).toEqual(taken.map(() => 204))
    expect(log.envelopes().map(({ body }) => String(body))).not.toContain('late')
  })

  test.each([
    ['INGEST_NOT_AUTHORIZED', 401, 'IotHubUnauthorizedAccess'],
    ['AUTH_TOKEN_EXPIRED', 401, 'IotHubUnauthorized'],
    ['AUTH_IDENTITY_DISABLED', 403, 'DeviceDisabled'],
  ] as const)('%s is %i %s in the words of the hub, and nothing of it is stored [G-6]', async (code, told, name) => {
    const asked: unknown[] = []
    const { post, stored } = await start({
      authorize: async (...attempt) => {
        asked.push(attempt)
        throw new PenstockError(code, 'why')
      },
    })
    const { status, headers, text } = await post(events, 'x', { authorization: 'SharedAccessSignature sr=x' })
    expect([status, headers.get('iothub-errorcode')]).toEqual([told, name])
    expect(headers.get('www-authenticate')).toBe(told === 401 ? 'Basic realm="penstock"' : null)
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(JSON.parse(text)).toEqual({
      Message: `ErrorCode:${name};why`,
      ExceptionMessage: expect.stringMatching(/^Tracking ID:[0-9a-f-]{36}-TimeStamp:\d{4}-\d\d-\d\dT[\d:.]+Z-G:0$/),
    })
    expect(asked).toEqual([['d1', undefined, 'SharedAccessSignature sr=x', true, []]])
    expect(stored()).toEqual([])
  })

  test.each([
    ['a token as it is sent', 'SharedAccessSignature sr=hub%2Fdevices%2Fd1&sig=a&se=1'],
    ['a key alone', 'a2V5'],
    ['Bearer', 'a2V5', 'Bearer a2V5'],
    ['Token, with a name', 'a2V5', 'Token d1:a2V5'],
    ['Basic', 'a2V5', `Basic ${Buffer.from('d1:a2V5').toString('base64')}`],
    ['Basic with a token', 'SharedAccessSignature sr=a:b', `basic ${btoa('d1:SharedAccessSignature sr=a:b')}`],
    ['a name that is not that of the path, which alone counts', 'a2V5', 'Bearer d2:a2V5'],
    ['a scheme that is none of these', 'Digest a2V5'],
    ['nothing', ''],
  ])('what proves a device, sent as %s', async (_what, secret, authorization = secret) => {
    const asked: unknown[] = []
    const { post } = await start({ authorize: (...attempt) => void asked.push(attempt.slice(0, 3)) })
    expect((await post(events, 'x', { authorization })).status).toBe(204)
    expect(asked).toEqual([['d1', undefined, secret]])
  })

  test('where others fail too often a failure is 429, a stranger waits for its look-up, and who is known is let in at once', async () => {
    const quotas = { ...unlimitedQuotas, failuresPerMinute: { address: 3, deviceAtAddress: 0 } }
    const { post, edge, stored } = await start({
      quotas,
      isKnown: (deviceId) => deviceId === 'd1',
      authorize: (_, __, authorization) => {
        if (authorization !== 'good') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'no')
      },
    })
    const bad = { authorization: 'bad' }
    const statuses: number[] = []
    // Who shows nothing is asked for its credentials, which is no failure.
    for (const headers of [bad, bad, {}, bad, bad, {}]) statuses.push((await post(events, 'x', headers)).status)
    expect(statuses).toEqual([401, 401, 401, 401, 429, 401])
    // Its turn is some seconds away.
    const before = limits.failingLookupsPerSecond * 4
    for (let lookup = 0; lookup < before; lookup++) edge.quotas.lookupWaitMs('127.0.0.1', 'x', () => false)
    const good = { authorization: 'good' }
    const stranger = post('/devices/d2/messages/events', 'late', good)
    expect((await post(events, 'at once', good)).status).toBe(204)
    expect((await stranger).status).toBe(204)
    expect(stored().map(([deviceId]) => deviceId)).toEqual(['d1', 'd2'])
    expect((await post(events, 'x', bad)).headers.get('retry-after')).toMatch(/^[1-9]/)
  })

  test('who sends is asked before the body is there, and a refusal does not wait for it [G-4] [G-6]', async () => {
    const { server, stored } = await start({
      authorize: (deviceId) => {
        if (deviceId !== 'd1') throw new PenstockError('INGEST_NOT_AUTHORIZED', 'no')
      },
    })
    const socket = connect(server.port, '127.0.0.1')
    const head = (path: string, bytes: number) => `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${bytes}\r\n\r\n`
    socket.write(head('/devices/stranger/messages/events', 100_000))
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 401 /)
    socket.write('x'.repeat(100_000))
    socket.write(`${head(events, 2)}ok`)
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 204 /)
    expect(stored().map(([, body]) => body)).toEqual(['ok'])
    socket.destroy()
  })

  test('what does not fit beside the bodies of others is 503 in the words of the hub [G-4]', async () => {
    const { post } = await start({ bodies: new BodyRoom(100_000) })
    const { status, headers, text } = await post(events, 'x'.repeat(200_000))
    expect([status, headers.get('retry-after'), headers.get('iothub-errorcode')]).toEqual([
      503,
      '1',
      'ServiceUnavailable',
    ])
    expect(JSON.parse(text).Message).toMatch(/^ErrorCode:ServiceUnavailable;/)
    expect((await post(events, 'x'.repeat(50_000))).status).toBe(204)
  })

  test('a compressed body is stored as what it was, and what cannot be read is told so', async () => {
    const { post, stored } = await start()
    const sent = (coding: string, body: Uint8Array, more: Record<string, string> = {}) =>
      post(`${events}?split=lines`, body, { 'content-encoding': coding, ...more })
    expect((await sent('gzip', gzipSync('a\nb'))).status).toBe(204)
    expect((await sent('X-GZIP', gzipSync('c'))).status).toBe(204)
    expect((await sent('deflate', deflateSync('d'))).status).toBe(204)
    expect((await sent('identity', Buffer.from('e'))).status).toBe(204)
    const batch = gzipSync(JSON.stringify([{ body: 'Zg==' }]))
    expect((await sent('gzip', batch, { 'content-type': hubBatchType })).status).toBe(204)
    expect(stored().map(([, body]) => body)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    for (const [coding, body, status, name] of [
      ['br', brotliCompressSync('x'), 415, 'UnsupportedMediaType'],
      ['gzip, gzip', gzipSync(gzipSync('x')), 415, 'UnsupportedMediaType'],
      ['gzip', Buffer.from('x'), 400, 'ArgumentInvalid'],
      ['gzip', gzipSync('cut off').subarray(0, 15), 400, 'ArgumentInvalid'],
      ['gzip', gzipSync(Buffer.alloc(limits.httpBodyBytesMax + 1)), 413, 'MessageTooLarge'],
    ] as const) {
      const { status: told, headers } = await sent(coding, body)
      expect([told, headers.get('iothub-errorcode')]).toEqual([status, name])
      expect(headers.get('accept-encoding')).toBe(status === 415 ? 'gzip, deflate' : null)
    }
    expect(stored().length).toBe(6)
  })

  test('properties as headers are taken up to their limit, however many they are; beyond it 413', async () => {
    const { post, stored } = await start()
    const many = (count: number, bytes: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`iothub-app-p${index}`, 'x'.repeat(bytes)]))
    expect((await post(events, 'a', many(1, 5 * 1024))).status).toBe(204)
    expect((await post(events, 'b', many(120, 40))).status).toBe(204)
    expect((await post(events, 'c', many(400, 60))).status).toBe(204)
    // One name of two bytes, and the lengths of name and value.
    const most = limits.httpPropertyBytesMax - 2 - 6
    expect((await post(events, 'd', many(1, most))).status).toBe(204)
    const { status, headers } = await post(events, 'e', many(1, most + 1))
    expect([status, headers.get('iothub-errorcode')]).toEqual([413, 'MessageTooLarge'])
    expect(stored().map(([, body, properties]) => [body, Object.keys(properties as object).length])).toEqual([
      ['a', 1],
      ['b', 120],
      ['c', 400],
      ['d', 1],
    ])
  })

  test('requests that follow one another without waiting are stored and answered, each in its turn [G-3]', async () => {
    const { server, stored } = await start()
    const socket = connect(server.port, '127.0.0.1')
    const head = `POST ${events} HTTP/1.1\r\nHost: h\r\n`
    const told: string[] = []
    socket.on('data', (bytes) => told.push(String(bytes)))
    const bodies = Array.from({ length: 20 }, (_, index) => `${index}`)
    const chunked = (body: string) =>
      `${head}Transfer-Encoding: chunked\r\n\r\n${body.length};a=b\r\n${body}\r\n0\r\nT: x\r\n\r\n`
    const plain = (body: string) => `${head}Content-Length: ${body.length}\r\n\r\n${body}`
    socket.write(bodies.map((body, index) => (index % 2 ? chunked(body) : plain(body))).join(''))
    await expect.poll(() => told.join('').match(/^HTTP\/1\.1 204 /gm)?.length).toBe(bodies.length)
    expect(stored().map(([, body]) => body)).toEqual(bodies)
    socket.destroy()
  })

  test('a registry that does not answer is 503: come back', async () => {
    const { post } = await start({
      authorize: () => Promise.reject(new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'later')),
    })
    const { status, headers } = await post(events, 'x')
    expect([status, headers.get('retry-after')]).toEqual([503, '1'])
  })

  test('too large is 413 in the words of the hub: a message, and a whole request', async () => {
    const { post, stored } = await start()
    expect((await post(events, 'x'.repeat(limits.bodyBytesMax))).status).toBe(204)
    for (const bytes of [limits.bodyBytesMax + 1, limits.httpBodyBytesMax + 1]) {
      const { status, headers, text } = await post(events, 'x'.repeat(bytes))
      expect([status, headers.get('iothub-errorcode')]).toEqual([413, 'MessageTooLarge'])
      expect(JSON.parse(text).Message).toMatch(/^ErrorCode:MessageTooLarge;/)
    }
    expect(stored().length).toBe(1)
  })

  test.each([
    [events, '{', hubBatchType],
    [`${events}?split=array`, '{}', 'application/json'],
    [`${events}?split=no-such`, '', ''],
    ['/devices/a%3Bb/messages/events', '', ''],
    ['/devices/a%2Fb/messages/events', '', ''],
    ['/devices/%ff/messages/events', '', ''],
    [`/devices/${'a'.repeat(129)}/messages/events`, '', ''],
  ])('%s with %j is 400 and stores nothing', async (path, body, type) => {
    const { post, stored } = await start()
    const { status, headers } = await post(path, body, { 'content-type': type })
    expect([status, headers.get('iothub-errorcode')]).toEqual([400, 'ArgumentInvalid'])
    expect(stored()).toEqual([])
  })
})
