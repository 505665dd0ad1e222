import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { envelopeBytes } from '#schemas/batch.ts'
import type { WebhookSettings } from '#schemas/endpoint-kinds/webhook.ts'
import { WebhookEndpoint } from './webhook-endpoint.ts'

interface Received {
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const secret = `whsec_${Buffer.alloc(32, 5).toString('base64')}`
const earlier = `whsec_${Buffer.alloc(24, 6).toString('base64')}`

let server: Server
let received: Received[]
let answer: { status: number; headers?: Record<string, string>; body?: string; hangs?: boolean }
let opened: WebhookEndpoint[]

beforeEach(async () => {
  received = []
  opened = []
  answer = { status: 200 }
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      received.push({ path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() })
      if (!answer.hangs) response.writeHead(answer.status, answer.headers).end(answer.body)
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
})

afterEach(async () => {
  await Promise.all(opened.map((endpoint) => endpoint.close()))
  server.closeAllConnections()
  server.close()
})

const address = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`

function endpoint(settings: Partial<WebhookSettings> = {}, ownPorts: number[] = []): WebhookEndpoint {
  const all: WebhookSettings = {
    url: address(),
    urlRest: undefined,
    secret,
    previousSecret: undefined,
    authorization: undefined,
    headers: undefined,
    format: 'json',
    messagesMax: 1_000,
    bytesMax: 1_048_576,
    delayMs: 500,
    timeoutMs: 10_000,
    ...settings,
  }
  opened.push(new WebhookEndpoint({ name: 'hook', settings: all, rules: { ownPorts, allowed: [] } }))
  return opened.at(-1) as WebhookEndpoint
}

function message(
  index: number,
  body: string | Uint8Array,
  systemProperties: Record<string, string> = {},
): SelectedMessage {
  const envelope = {
    deviceId: 'küche-1',
    enqueuedAtMs: 1_700_000_000_123,
    body: Buffer.from(body),
    properties: { level: 'high' },
    systemProperties,
  }
  const bytes = envelopeBytes(envelope)
  const id = `penstock.telemetry/0/7/${index}`
  return { ...envelope, id, offset: 7, index, byteCount: bytes.length, bytes }
}

const json = { contentType: 'application/json', contentEncoding: 'utf-8' }
const id = 'hook/penstock.telemetry/0/7-7/edge.1.2#0+2'
const never = new AbortController().signal
const deliver = (to: WebhookEndpoint, ...messages: SelectedMessage[]) =>
  to.deliver({ id, topic: 'penstock.telemetry', partition: 0, messages }, never)

describe('a webhook', () => {
  test('gets its messages, which a library of the convention verifies', async () => {
    const outcome = await deliver(endpoint(), message(0, '{"t": 21.50}', json), message(1, 'plain'))
    expect(outcome).toEqual({ kind: 'delivered' })
    const [request] = received
    const verified = new Webhook(secret).verify(request?.body ?? '', request?.headers as Record<string, string>)
    expect(verified).toEqual([
      {
        id: 'penstock.telemetry/0/7/0',
        deviceId: 'küche-1',
        enqueuedTime: '2023-11-14T22:13:20.123Z',
        properties: { level: 'high' },
        systemProperties: json,
        body: { t: 21.5 },
      },
      expect.objectContaining({ bodyEncoding: 'base64', body: Buffer.from('plain').toString('base64') }),
    ])
    // What a device sent keeps its digits.
    expect(request?.body).toContain('{"t": 21.50}')
    expect(request?.headers['webhook-id']).not.toContain('.')
    expect(() => new Webhook(earlier).verify(request?.body ?? '', request?.headers as Record<string, string>)).toThrow()
  })

  test('that is being given another key can verify with either', async () => {
    await deliver(endpoint({ previousSecret: earlier }), message(0, 'x'))
    const [request] = received
    for (const key of [secret, earlier])
      expect(() =>
        new Webhook(key).verify(request?.body ?? '', request?.headers as Record<string, string>),
      ).not.toThrow()
  })

  test('gets the same bytes under the same id again', async () => {
    const to = endpoint()
    answer = { status: 503 }
    await deliver(to, message(0, '{"a":1}', json))
    answer = { status: 200 }
    await deliver(to, message(0, '{"a":1}', json))
    expect(received[1]?.body).toBe(received[0]?.body)
    expect(received[1]?.headers['webhook-id']).toBe(received[0]?.headers['webhook-id'])
  })

  test('may ask for one message a line, and for headers', async () => {
    await deliver(
      endpoint({ format: 'ndjson', authorization: 'Bearer t', headers: { 'X-Site': 'north' } }),
      message(0, '{\n"a":\r\n1}', json),
      message(1, 'b'),
    )
    const [request] = received
    const lines = request?.body.trimEnd().split('\n') ?? []
    expect(lines.map((line) => JSON.parse(line).body)).toEqual([{ a: 1 }, 'Yg=='])
    expect(request?.headers).toMatchObject({ authorization: 'Bearer t', 'x-site': 'north' })
  })

  test.each([
    ['says that it is JSON and is not', '{"a":', json],
    ['is no UTF-8', new Uint8Array([0x22, 0xff, 0x22]), json],
    ['does not say its encoding', '{"a":1}', { contentType: 'application/json' }],
  ])('a body that %s is base64', async (_what, body, systemProperties) => {
    await deliver(endpoint(), message(0, body, systemProperties))
    expect(JSON.parse(received[0]?.body ?? '')[0]).toMatchObject({ bodyEncoding: 'base64' })
  })

  test.each([
    [204, 'delivered', undefined],
    [408, 'retry', 'Timeout'],
    [425, 'retry', 'InternalError'],
    [429, 'retry', 'Throttled'],
    [500, 'retry', 'InternalError'],
    [503, 'retry', 'InternalError'],
    [400, 'refused', 'InvalidMessage'],
    [422, 'refused', 'InvalidMessage'],
    [413, 'refused', 'MaxMessageSizeExceeded'],
    [401, 'held', 'Unauthorized'],
    [403, 'held', 'Unauthorized'],
    [404, 'held', 'NotFound'],
    [410, 'held', 'NotFound'],
  ])('that answers %i: %s', async (status, kind, failure) => {
    answer = { status, body: 'because' }
    const outcome = await deliver(endpoint(), message(0, 'x'))
    expect(outcome.kind).toBe(kind)
    if (outcome.kind !== 'delivered') {
      expect(outcome.error.failure).toBe(failure)
      expect(outcome.error.message).toContain(`answered ${status}: because`)
    }
  })

  test.each([
    ['120', 120_000],
    [new Date(Date.now() + 3_600_000).toUTCString(), 3_600_000],
  ])('that asks to wait %s is left alone so long', async (text, ms) => {
    answer = { status: 429, headers: { 'Retry-After': text } }
    const outcome = await deliver(endpoint(), message(0, 'x'))
    const waits = outcome.kind === 'retry' ? (outcome.error.retryAfterMs ?? 0) : 0
    expect(waits).toBeLessThanOrEqual(ms)
    expect(waits).toBeGreaterThan(ms - 60_000)
  })

  test('that sends elsewhere is not followed', async () => {
    answer = { status: 307, headers: { Location: address() } }
    expect(await deliver(endpoint(), message(0, 'x'))).toMatchObject({ kind: 'held' })
    expect(received.length).toBe(1)
  })

  test('that does not answer in time, or is not there, is tried again', async () => {
    answer = { status: 200, hangs: true }
    const slow = await deliver(endpoint({ timeoutMs: 100 }), message(0, 'x'))
    expect(slow).toMatchObject({ kind: 'retry', error: { failure: 'Timeout' } })
    const gone = await deliver(endpoint({ url: 'http://127.0.0.1:9/' }), message(0, 'x'))
    expect(gone).toMatchObject({ kind: 'retry', error: { failure: 'Transient' } })
  })

  test("is not one of this program's own ports, by address or by name", async () => {
    const { port } = server.address() as AddressInfo
    for (const url of [address(), `http://localhost:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`])
      expect(await deliver(endpoint({ url }, [port]), message(0, 'x'))).toMatchObject({ kind: 'held' })
    expect(received).toEqual([])
  })

  test.each([
    ['', '?code=hunter2', '/in?code=hunter2'],
    ['/', '/T0/hunter2', '/in/T0/hunter2'],
    ['', '/T0/hunter2?x=1', '/in/T0/hunter2?x=1'],
  ])('whose address ends in %j is asked with what comes behind it, %s', async (end, urlRest, path) => {
    await deliver(endpoint({ url: address() + end, urlRest }), message(0, 'x'))
    expect(received[0]?.path).toBe(path)
  })

  test('that repeats what it was sent shows no secret', async () => {
    const to = endpoint({
      urlRest: '?code=rest-of-address',
      authorization: 'Bearer long-token',
      headers: { 'X-Key': 'key-of-header' },
    })
    answer = {
      status: 400,
      body: 'no long-token, no key-of-header, at /in?code=rest-of-address: rest-of-address is wrong',
    }
    expect(await deliver(to, message(0, 'x'))).toMatchObject({
      kind: 'refused',
      error: { message: 'answered 400: no …, no …, at /in…: … is wrong' },
    })
  })

  test('that answers more than anyone reads is not held in memory', async () => {
    answer = { status: 500, body: 'x'.repeat(4_000_000) }
    const outcome = await deliver(endpoint(), message(0, 'x'))
    expect(outcome.kind === 'retry' && outcome.error.message.length).toBeLessThan(400)
  })
})
