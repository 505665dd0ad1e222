import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isPenstockError } from '#schemas/errors.ts'
import { virtualClock } from '../virtual-clock.ts'
import { OtlpClient } from './otlp-client.ts'

const never = new AbortController().signal

describe('the client of an OTLP receiver', () => {
  let server: Server
  let answer: (response: ServerResponse) => void
  let connections: number
  let paths: (string | undefined)[]
  let client: OtlpClient
  const clock = virtualClock()

  beforeEach(async () => {
    connections = 0
    paths = []
    server = createServer((request, response) => {
      paths.push(request.url)
      request.resume().on('end', () => answer(response))
    })
    server.on('connection', () => connections++)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/base/`
    client = new OtlpClient({ url, headers: { 'x-scope': 'a' }, answerMsMax: 200, restMsMax: 60_000, clock })
  })
  afterEach(() => {
    client.close()
    server.closeAllConnections()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })

  const codeOf = (error: unknown) => (isPenstockError(error) ? error.code : error)

  test('what is taken goes over one connection, and says what of it was not', async () => {
    answer = (response) => response.end('{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}')
    expect(await client.post('/v1/traces', { a: 1 }, never)).toBe(3)
    answer = (response) => response.end('{}')
    expect(await client.post('/v1/metrics', {}, never)).toBe(0)
    answer = (response) => response.end('')
    expect(await client.post('/v1/metrics', {}, never)).toBe(0)
    expect([connections, paths]).toEqual([1, ['/base/v1/traces', '/base/v1/metrics', '/base/v1/metrics']])
  })

  test.each([
    [400, 'OTLP_EXPORT_REFUSED'],
    [401, 'OTLP_EXPORT_REFUSED'],
    [302, 'OTLP_EXPORT_REFUSED'],
    [500, 'OTLP_EXPORT_REFUSED'],
    [429, 'OTLP_RECEIVER_AWAY'],
    [503, 'OTLP_RECEIVER_AWAY'],
  ])('an answer %i is %s', async (status, code) => {
    answer = (response) => response.writeHead(status, { Location: '/elsewhere' }).end('why')
    expect(await client.post('/v1/metrics', {}, never).catch(codeOf)).toBe(code)
    expect(paths).toEqual(['/base/v1/metrics'])
  })

  test('one that does not answer, or hangs up, is away', async () => {
    answer = () => {}
    expect(await client.post('/v1/metrics', {}, never).catch(codeOf)).toBe('OTLP_RECEIVER_AWAY')
    answer = (response) => response.destroy()
    expect(await client.post('/v1/metrics', {}, never).catch(codeOf)).toBe('OTLP_RECEIVER_AWAY')
  })

  test('once it is closed nothing is waited for any more, nor asked', async () => {
    answer = () => client.close()
    expect(await client.post('/v1/metrics', {}, never).catch(codeOf)).toBe('OTLP_RECEIVER_AWAY')
    expect(await client.post('/v1/metrics', {}, never).catch(codeOf)).toBe('OTLP_RECEIVER_AWAY')
    expect(paths.length).toBe(1)
  })

  test('one that asks for patience is left alone for so long, and a minute at most', async () => {
    answer = (response) => response.writeHead(429, { 'Retry-After': '999' }).end()
    await client.post('/v1/metrics', {}, never).catch(codeOf)
    answer = (response) => response.end()
    const next = client.post('/v1/metrics', {}, never)
    expect(paths.length).toBe(1)
    clock.step()
    expect(clock.nowMs()).toBe(60_000)
    expect(await next).toBe(0)
    expect(paths.length).toBe(2)
  })
})
