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
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { ControlFound } from './control-address.ts'
import { passToControl } from './pass-to-control.ts'

const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
})

async function open(options: Parameters<typeof openHttpServer>[0]['routes']): Promise<HttpServer> {
  const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes: options })
  servers.push(server)
  return server
}

/** An edge before a control role that echoes what it is asked. */
async function start() {
  let callCount = 0
  let answerCalls = (): void => {}
  const answered = new Promise<void>((resolve) => (answerCalls = resolve))
  const behind = await open((router) => {
    router.route({
      method: 'POST',
      pattern: '/devices/:id',
      bodyBytesMax: 100_000,
      handle: (request, body) => jsonAnswer(200, { ...Object.fromEntries(request.headers), body: String(body) }),
    })
    router.route({ method: 'GET', pattern: '/devices/:id', handle: () => textAnswer(200, 'a device') })
    const handle = async () => {
      callCount++
      await answered
      return textAnswer(200, 'answered')
    }
    for (const pattern of ['/twins/*', '/digitaltwins/*'])
      router.route({ method: 'POST', pattern, bodyBytesMax: 0, handle })
  })
  const place: { found: ControlFound } = { found: { kind: 'at', url: `http://127.0.0.1:${behind.port}` } }
  const control = { find: async () => place.found }
  const quotas = new Quotas(unlimitedQuotas, systemClock, new Metrics(metricsTable))
  const edge = await open((router) =>
    passToControl(router, control, undefined, quotas, (request) => request.header('authorization'), false),
  )
  return { place, url: `http://127.0.0.1:${edge.port}`, answerCalls, callCount: () => callCount }
}

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

test('headers arrive as they were sent, but those of the connection', async () => {
  const { url } = await start()
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

test('one that does not answer is 503', async () => {
  const { place, url } = await start()
  const gone = await open(() => {})
  place.found = { kind: 'at', url: `http://127.0.0.1:${gone.port}` }
  await gone.close(0)
  const { status, headers } = await fetch(`${url}/devices/d`)
  expect([status, headers.get('retry-after')]).toEqual([503, '1'])
})

test.each(['/twins/d/modules/m/methods', '/digitaltwins/d/commands/c', '/digitaltwins/d~m/components/p/commands/c'])(
  'calls of %s that wait for their devices keep no other request waiting',
  async (path) => {
    const { url, answerCalls, callCount } = await start()
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
