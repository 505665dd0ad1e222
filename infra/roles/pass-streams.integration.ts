/** Long answers and large bodies pass through the edge as they come, both ways. */
import { once } from 'node:events'
import { get, request as httpRequest, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { Quotas } from '#ingest/quotas/quotas.ts'
import { systemClock } from '#runtime/clock.ts'
import { textAnswer } from '#runtime/http/answer.ts'
import { BodyRoom } from '#runtime/http/bodies.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { BodyStream } from '#runtime/http/streamed-body.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { passToControl } from './pass-to-control.ts'

const servers: HttpServer[] = []
const clients: { destroy(): void }[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  for (const server of servers.splice(0)) await server.close(0)
})

async function open(routes: (router: HttpRouter) => void, bodies?: BodyRoom): Promise<HttpServer> {
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes,
    ...(bodies === undefined ? {} : { bodies }),
  })
  servers.push(server)
  return server
}

/** An edge before a control role that serves `routes`. */
async function start(routes: (router: HttpRouter) => void) {
  const behind = await open(routes)
  const control = { find: async () => ({ kind: 'at' as const, url: `http://127.0.0.1:${behind.port}` }) }
  const quotas = new Quotas(unlimitedQuotas, systemClock, new Metrics(metricsTable))
  const room = new BodyRoom(64 * 1024 * 1024)
  const edge = await open(
    (router) => passToControl(router, control, undefined, quotas, (request) => request.header('authorization'), false),
    room,
  )
  return { room, port: edge.port }
}

async function asked(port: number): Promise<IncomingMessage> {
  const asking = get({ port, agent: false })
  clients.push(asking)
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  asking.on('error', () => {}) // the response tells it
  return response
}

function answering(stream: AsyncIterable<Uint8Array>): (router: HttpRouter) => void {
  return (router) => router.route({ method: 'GET', pattern: '/', handle: () => ({ status: 200, stream }) })
}

function receiving(handleStream: (request: HttpRequest, body: BodyStream) => Promise<ReturnType<typeof textAnswer>>) {
  return (router: HttpRouter): void =>
    router.route({ method: 'POST', pattern: '/', bodyBytesMax: 1024 * 1024, handleStream })
}

test('what is said first is heard before the rest is said', async () => {
  const events = new Readable({ read: () => {} })
  events.push('first')
  const { port } = await start(answering(events))
  const response = await asked(port)
  let heard = ''
  response.on('data', (bytes) => {
    heard += bytes
  })
  await expect.poll(() => heard).toBe('first')
  const ended = once(response, 'end')
  events.push(' last')
  events.push(null)
  await ended
  expect(heard).toBe('first last')
})

test('an answer whose client has gone is let go of behind the edge', async () => {
  const events = new Readable({ read: () => {} })
  events.push('first')
  const { port } = await start(answering(events))
  const response = await asked(port)
  response.destroy()
  await expect.poll(() => events.destroyed).toBe(true)
})

test('an answer that comes once its client has gone is let go of, and the edge goes on', async () => {
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => (begin = resolve))
  let answer = (_: ReturnType<typeof textAnswer>): void => {}
  const answered = new Promise<ReturnType<typeof textAnswer>>((resolve) => (answer = resolve))
  const { port } = await start((router) => {
    router.route({
      method: 'GET',
      pattern: '/',
      handle: () => {
        begin()
        return answered
      },
    })
    router.route({ method: 'GET', pattern: '/next', handle: () => textAnswer(200, 'next') })
  })
  const asking = get({ port, agent: false })
  asking.on('error', () => {})
  await begun
  asking.destroy()
  const next = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/next`)).text()
  expect(await next()).toBe('next')
  // Too long to be passed on as a whole, and short enough to be there at once.
  answer(textAnswer(200, 'x'.repeat(20_000)))
  // What would end a process is told by the runner of tests.
  for (let count = 0; count < 200; count++) await new Promise(setImmediate)
  expect(await next()).toBe('next')
})

test('an answer that breaks off behind the edge breaks off before it', async () => {
  const events = new Readable({ read: () => {} })
  events.push('first')
  const { port } = await start(answering(events))
  const response = await asked(port)
  await once(response, 'data')
  response.resume()
  events.destroy(new Error('lost'))
  const [error] = (await once(response, 'error')) as [NodeJS.ErrnoException]
  expect(error.code).toBe('ECONNRESET')
})

test('an answer is made no faster than its client takes it [G-4]', async () => {
  const piece = Buffer.alloc(64 * 1024)
  const pieces = 1_500
  let made = 0
  const stream = async function* (): AsyncGenerator<Buffer> {
    for (; made < pieces; made++) yield piece
  }
  const { port } = await start(answering(stream()))
  const response = await asked(port)
  // The systems' buffers of two connections are all that fills up.
  let before = -1
  while (before !== made) {
    before = made
    for (let count = 0; count < 100; count++) await new Promise(setImmediate)
  }
  expect(made * piece.length).toBeLessThan(64 * 1024 * 1024)
  let bytes = 0
  for await (const chunk of response) bytes += chunk.length
  expect(bytes).toBe(pieces * piece.length)
})

test('a large body is handed on while it still comes in, and never held whole', async () => {
  let hear: (bytes: number) => void = () => {}
  const firstPiece = new Promise<number>((resolve) => (hear = resolve))
  let lengthTold = ''
  const { port, room } = await start(
    receiving(async (request, body) => {
      lengthTold = request.header('content-length')
      let bytes = 0
      for await (const chunk of body) {
        hear(chunk.length)
        bytes += chunk.length
      }
      return textAnswer(200, `${bytes}`)
    }),
  )
  const half = Buffer.alloc(400_000)
  const sending = httpRequest({ port, method: 'POST', agent: false, headers: { 'content-length': 2 * half.length } })
  clients.push(sending)
  const answered = once(sending, 'response') as Promise<[IncomingMessage]>
  sending.write(half)
  expect(await firstPiece).toBeGreaterThan(0)
  expect(room.bytes).toBeLessThan(half.length)
  sending.end(half)
  const [response] = await answered
  expect([String(await response.toArray()), lengthTold]).toEqual([`${2 * half.length}`, `${2 * half.length}`])
  expect(room.bytes).toBe(0)
})

test('a body whose client goes midway ends so behind the edge', async () => {
  let begun = false
  let fault: unknown
  const { port } = await start(
    receiving(async (_, body) => {
      begun = true
      try {
        for await (const _chunk of body);
      } catch (error) {
        fault = error
      }
      return textAnswer(200, '')
    }),
  )
  const sending = httpRequest({ port, method: 'POST', agent: false, headers: { 'content-length': 500_000 } })
  sending.on('error', () => {})
  clients.push(sending)
  sending.write(Buffer.alloc(300_000))
  await expect.poll(() => begun).toBe(true)
  sending.destroy()
  await expect.poll(() => fault).toMatchObject({ reason: 'client gone' })
})

test('what sends slowly holds no connection to the control role before much of it has come', async () => {
  let handled = 0
  const { port } = await start(
    receiving(async () => {
      handled++
      return textAnswer(200, '')
    }),
  )
  const sending = httpRequest({ port, method: 'POST', agent: false, headers: { 'content-length': 60_000 } })
  clients.push(sending)
  const answered = once(sending, 'response')
  sending.write(Buffer.alloc(50_000))
  for (let count = 0; count < 200; count++) await new Promise(setImmediate)
  expect(handled).toBe(0)
  sending.end(Buffer.alloc(10_000))
  await answered
  expect(handled).toBe(1)
})

test('the control role may refuse a body that it has not read', async () => {
  const { port } = await start((router) =>
    router.route({ method: 'POST', pattern: '/', bodyBytesMax: 1_000, handle: () => textAnswer(200, 'not heard') }),
  )
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: Buffer.alloc(900_000) })
  expect(answer.status).toBe(413)
})
