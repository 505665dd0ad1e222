/** What an edge passes to the control role, and what comes back. */
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { Quotas } from '#ingest/quotas/quotas.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { systemClock } from '#runtime/clock.ts'
import { jsonAnswer, textAnswer } from '#runtime/http/answer.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter, HttpServing } from '#runtime/http/serving.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { ControlFound } from './control-address.ts'
import { passToControl } from './pass-to-control.ts'

const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
})

async function open(options: HttpServing['routes'], more: Partial<HttpServing> = {}): Promise<HttpServer> {
  const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes: options, ...more })
  servers.push(server)
  return server
}

/**
 * An edge before a control role that echoes what it is asked.
 * @param requestLinks short requests go over a link, which is there when this resolves
 */
async function start(requestLinks = false) {
  let callCount = 0
  let left = 0
  let answerCalls = (): void => {}
  const answered = new Promise<void>((resolve) => (answerCalls = resolve))
  const routes = (router: HttpRouter): void => {
    router.route({
      method: 'POST',
      pattern: '/devices/:id',
      bodyBytesMax: 100_000,
      handle: (request, body) => jsonAnswer(200, { ...Object.fromEntries(request.headers), body: String(body) }),
    })
    router.route({ method: 'GET', pattern: '/devices/:id', handle: () => textAnswer(200, 'a device') })
    const handle = async (request: HttpRequest) => {
      callCount++
      request.onLeft(() => left++)
      await answered
      return textAnswer(200, 'answered')
    }
    for (const pattern of ['/twins/*', '/digitaltwins/*'])
      router.route({ method: 'POST', pattern, bodyBytesMax: 0, handle })
  }
  // A link is no connection of its server any more, so that several requests at once have answers over it only.
  const behind = await open(routes, requestLinks ? { requestLinks, connectionsMax: 1 } : {})
  const place: { found: ControlFound } = { found: { kind: 'at', url: `http://127.0.0.1:${behind.port}` } }
  const control = { find: async () => place.found }
  const quotas = new Quotas(unlimitedQuotas, systemClock, new Metrics(metricsTable))
  const edge = await open((router) =>
    passToControl(router, control, undefined, quotas, (request) => request.header('authorization'), false),
  )
  const url = `http://127.0.0.1:${edge.port}`
  const statuses = () => Promise.all(Array.from({ length: 20 }, async () => (await fetch(`${url}/devices/d`)).status))
  if (requestLinks) await expect.poll(async () => new Set(await statuses())).toEqual(new Set([200]))
  return { place, behind, url, answerCalls, callCount: () => callCount, leftCount: () => left }
}

const ways: readonly [name: string, requestLinks: boolean][] = [
  ['one request a connection', false],
  ['a link', true],
]

test('HEAD has its answer, with the length and without the body, and so has whoever asks next', async () => {
  const { url } = await start()
  for (let round = 0; round < 5; round++) {
    const head = await fetch(`${url}/devices/d`, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '8', ''])
    expect(await (await fetch(`${url}/devices/d`)).text()).toBe('a device')
  }
  expect((await fetch(`${url}/nothing`, { method: 'HEAD' })).status).toBe(404)
  const refused = await fetch(`${url}/devices/d`, { method: 'DELETE' })
  expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST, GET, HEAD'])
})

test.each(ways)('over %s: headers arrive as they were sent, but those of the connection', async (_, requestLinks) => {
  const { url } = await start(requestLinks)
  const encoded = Buffer.from('Küche').toString('latin1')
  const headers = { 'x-name': encoded, authorization: encoded, te: 'trailers' }
  const body = new Blob(['{}']).stream()
  const answer = await fetch(`${url}/devices/d`, { method: 'POST', headers, body, duplex: 'half' } as RequestInit)
  const seen = (await answer.json()) as Record<string, string>
  expect(seen).toMatchObject({ 'x-name': 'Küche', authorization: 'Küche', body: '{}', 'content-length': '2' })
  expect(seen.host).toBe(new URL(url).host)
  for (const name of ['te', 'transfer-encoding', 'expect']) expect(seen[name]).toBeUndefined()
})

test('while the control role does not run it is 503 with Retry-After; where there is none 404', async () => {
  const { place, url } = await start()
  place.found = { kind: 'away', retryAfterMs: 7_500 }
  const { status, headers } = await fetch(`${url}/devices`)
  expect([status, headers.get('retry-after')]).toEqual([503, '8'])
  place.found = { kind: 'none' }
  expect((await fetch(`${url}/devices`)).status).toBe(404)
})

test.each(ways)('over %s: a client that leaves ends its request behind the edge', async (_, requestLinks) => {
  const { url, callCount, leftCount, answerCalls } = await start(requestLinks)
  const [first, ...others] = Array.from({ length: 5 }, () => {
    const leaving = new AbortController()
    const signal = leaving.signal
    return { leaving, answer: fetch(`${url}/twins/d/methods`, { method: 'POST', signal }).then(({ status }) => status) }
  })
  await expect.poll(callCount).toBe(5)
  first?.leaving.abort()
  await expect(first?.answer).rejects.toThrow('aborted')
  await expect.poll(leftCount).toBe(1)
  answerCalls()
  expect(new Set(await Promise.all(others.map(({ answer }) => answer)))).toEqual(new Set([200]))
  expect(leftCount()).toBe(1)
})

test('a request that is longer than a link takes goes another way, and ends no other', async () => {
  const { url, callCount, answerCalls } = await start(true)
  const call = fetch(`${url}/twins/d/methods`, { method: 'POST' })
  await expect.poll(callCount).toBe(1)
  // In UTF-8 each of these has two bytes.
  const headers = { 'x-long': 'é'.repeat(62_000) }
  await (await fetch(`${url}/devices/d`, { method: 'POST', headers, body: 'x'.repeat(20_000) })).text()
  answerCalls()
  expect((await call).status).toBe(200)
})

test('a control role that is lost answers nobody, and the next one is asked, whether it knows links or not', async () => {
  const { url, place, behind, callCount } = await start(true)
  const calls = Array.from(
    { length: 5 },
    async () => (await fetch(`${url}/twins/d/methods`, { method: 'POST' })).status,
  )
  await expect.poll(callCount).toBe(5)
  await behind.close(0)
  expect(new Set(await Promise.all(calls))).toEqual(new Set([503]))
  const next = await start()
  place.found = next.place.found
  await expect.poll(async () => (await fetch(`${url}/devices/d`)).status).toBe(200)
})

test('one that does not answer is 503', async () => {
  const { place, url } = await start()
  const gone = await open(() => {})
  place.found = { kind: 'at', url: `http://127.0.0.1:${gone.port}` }
  await gone.close(0)
  const { status, headers } = await fetch(`${url}/devices/d`)
  expect([status, headers.get('retry-after')]).toEqual([503, '1'])
})

const callPaths = [
  '/twins/d/modules/m/methods',
  '/digitaltwins/d/commands/c',
  '/digitaltwins/d~m/components/p/commands/c',
]

test.each(ways.flatMap(([name, requestLinks]) => callPaths.map((path) => [name, path, requestLinks] as const)))(
  'over %s: calls of %s that wait for their devices keep no other request waiting',
  async (_, path, requestLinks) => {
    const { url, answerCalls, callCount } = await start(requestLinks)
    const calls = Array.from({ length: 257 }, async () => (await fetch(url + path, { method: 'POST' })).text())
    await expect.poll(callCount).toBe(calls.length)
    expect(await (await fetch(`${url}/devices/d`)).text()).toBe('a device')
    answerCalls()
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['answered']))
  },
)

test.each(['localhost', '127.0.0.1'])(
  'a control role on %s is known by the name that it is reached by, whatever the client calls the hub',
  async (host) => {
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const made = makeCertificate({ commonName: 'control', hosts: [host], use: 'server', ...times })
    const { certificatePem, privateKeyPem } = made
    const behind = createServer({ cert: certificatePem, key: privateKeyPem }, (request, response) =>
      response.end(request.headers.host),
    )
    await once(behind.listen(0, '127.0.0.1'), 'listening')
    const url = `https://${host}:${(behind.address() as AddressInfo).port}`
    const control = { find: async () => ({ kind: 'at' as const, url }) }
    const quotas = new Quotas(unlimitedQuotas, systemClock, new Metrics(metricsTable))
    const edge = await open((router) => passToControl(router, control, certificatePem, quotas, () => '', false))
    try {
      for (const name of ['hub.example', 'other.example']) {
        const asking = get({ port: edge.port, headers: { host: name }, agent: false })
        const [response] = (await once(asking, 'response')) as [IncomingMessage]
        expect([response.statusCode, String(Buffer.concat(await response.toArray()))]).toEqual([200, name])
      }
    } finally {
      behind.closeAllConnections()
      behind.close()
    }
  },
)
