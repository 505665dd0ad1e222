/** What is decided before a body is read, and how much memory all bodies together may take. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { textAnswer } from './answer.ts'
import { BodyRoom } from './bodies.ts'
import { type HttpServer, openHttpServer } from './http.ts'
import type { HttpRouter, HttpServing } from './serving.ts'

const servers: HttpServer[] = []
const clients: Socket[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  for (const server of servers.splice(0)) await server.close(0)
})

async function serverWith(routes: (router: HttpRouter) => void, serving: HttpServing = {}): Promise<HttpServer> {
  const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes, ...serving })
  servers.push(server)
  return server
}

function client(port: number, bytes: string): Socket {
  const socket = connect(port, '127.0.0.1')
  clients.push(socket)
  socket.on('error', () => {})
  socket.write(bytes)
  return socket
}

const post = (path: string, bytes: number) => `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${bytes}\r\n\r\n`
const answerTo = async (socket: Socket) => String((await once(socket, 'data'))[0])
const bodyBytesMax = 1_000_000

/** Routes that answer with the length of a body. The test decides what `/asks` admits. */
function echoing() {
  let decide: (refusal: ReturnType<typeof textAnswer> | undefined) => void = () => {}
  const handled: number[] = []
  const route = (router: HttpRouter, pattern: string, asks: boolean) =>
    router.route({
      method: 'POST',
      pattern,
      bodyBytesMax,
      ...(asks ? { admit: () => new Promise((resolve) => (decide = resolve)) } : {}),
      handle: (_request, body) => {
        handled.push(body.length)
        return textAnswer(200, `${body.length}`)
      },
    })
  return {
    handled,
    decide: (refusal?: ReturnType<typeof textAnswer>) => decide(refusal),
    routes: (router: HttpRouter) => {
      route(router, '/asks', true)
      route(router, '/takes', false)
    },
  }
}

describe('a request that must be admitted first', () => {
  test('is handled once it is, whether its body came before or after', async () => {
    const { routes, decide, handled } = echoing()
    const { port } = await serverWith(routes)
    const early = client(port, `${post('/asks', 5)}abcde`)
    const late = client(port, `${post('/takes', 1)}a`)
    await answerTo(late)
    expect(handled).toEqual([1])
    decide()
    expect(await answerTo(early)).toMatch(/^HTTP\/1.1 200[\s\S]*5$/)
    early.write(post('/asks', 3))
    late.write(`${post('/takes', 1)}a`)
    await answerTo(late)
    decide()
    early.write('abc')
    expect(await answerTo(early)).toMatch(/^HTTP\/1.1 200[\s\S]*3$/)
  })

  test('and is not, is answered at once; its body goes nowhere, and the next request of its connection is served', async () => {
    const { routes, decide, handled } = echoing()
    const { port } = await serverWith(routes)
    const socket = client(port, post('/asks', 600_000))
    await answerTo(client(port, `${post('/takes', 1)}a`))
    decide(textAnswer(401, 'no\n'))
    expect(await answerTo(socket)).toMatch(/^HTTP\/1.1 401 /)
    socket.write('x'.repeat(600_000))
    socket.write(`${post('/takes', 2)}ab`)
    expect(await answerTo(socket)).toMatch(/^HTTP\/1.1 200[\s\S]*2$/)
    expect(handled).toEqual([1, 2])
  })

  test('and is not, without having said how much is to come: its connection is closed', async () => {
    const { routes, decide } = echoing()
    const { port } = await serverWith(routes)
    const socket = client(port, 'POST /asks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n')
    await answerTo(client(port, `${post('/takes', 1)}a`))
    const closed = once(socket, 'close')
    decide(textAnswer(401, 'no\n'))
    expect(await answerTo(socket)).toMatch(/^HTTP\/1.1 401 /)
    await closed
  })
})

describe('bodies of all requests', () => {
  test('that exceed their room: the one under way for longest gives way, and is told to come back [G-4]', async () => {
    const { routes } = echoing()
    const bodies = new BodyRoom(250_000)
    const { port } = await serverWith(routes, { bodies })
    const half = 'x'.repeat(100_000)
    const slow = client(port, post('/takes', 200_000) + half)
    await expect.poll(() => bodies.bytes).toBe(100_000)
    const next = client(port, post('/takes', 200_000) + half)
    await expect.poll(() => bodies.bytes).toBe(200_000)
    const told = answerTo(slow)
    next.write(half)
    expect(await answerTo(next)).toMatch(/^HTTP\/1.1 200[\s\S]*200000$/)
    expect(await told).toMatch(/^HTTP\/1.1 503 [\s\S]*retry-after: 1\r\n/i)
    expect(bodies.bytes).toBe(0)
    const alone = client(port, post('/takes', 300_000) + half + half + half)
    expect(await answerTo(alone)).toMatch(/^HTTP\/1.1 503 /)
    expect(bodies.bytes).toBe(0)
  })

  test('give their room back when their client goes away', async () => {
    const { routes } = echoing()
    const bodies = new BodyRoom(250_000)
    const { port } = await serverWith(routes, { bodies })
    const socket = client(port, `${post('/takes', 1_000)}half`)
    await expect.poll(() => bodies.bytes).toBe(4)
    socket.destroy()
    await expect.poll(() => bodies.bytes).toBe(0)
  })
})

test('more connections than the server may hold are closed at once; those that end make room', async () => {
  let refused = 0
  const { routes } = echoing()
  const { port } = await serverWith(routes, { connectionsMax: 2, onConnectionRefused: () => refused++ })
  const held = [client(port, `${post('/takes', 1)}a`), client(port, `${post('/takes', 1)}a`)]
  await Promise.all(held.map(answerTo))
  const third = client(port, `${post('/takes', 1)}a`)
  await new Promise((resolve) => third.once('close', resolve))
  expect(refused).toBe(1)
  held[0]?.destroy()
  const served = async () => {
    const socket = client(port, `${post('/takes', 1)}a`)
    return Promise.race([answerTo(socket), new Promise((resolve) => socket.once('close', () => resolve('')))])
  }
  await expect.poll(served).toMatch(/^HTTP\/1.1 200/)
})
