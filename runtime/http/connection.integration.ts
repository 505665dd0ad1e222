/** A connection between requests: what waits, in which order, and how it ends. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { textAnswer } from './answer.ts'
import { type HttpServer, openHttpServer } from './http.ts'
import type { HttpRouter } from './serving.ts'
import { turn } from './wire-fixture.ts'

const servers: HttpServer[] = []
const clients: Socket[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  for (const server of servers.splice(0)) await server.close(0)
})

async function open(routes: (router: HttpRouter) => void) {
  const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes })
  servers.push(server)
  const client = connect(server.port, '127.0.0.1')
  clients.push(client)
  client.on('error', () => {})
  return { server, client }
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`

function bodiesIn(text: string): string[] {
  return [...text.matchAll(/\r\n\r\n(\d+)!/g)].map(([, body = '']) => body)
}

test('what is sent ahead waits its turn: one request is handled at a time, and answers have their order', async () => {
  let atOnce = 0
  let atOnceMost = 0
  const { client } = await open((router) =>
    router.route({
      method: 'GET',
      pattern: '/:n',
      handle: async (request) => {
        atOnceMost = Math.max(atOnceMost, ++atOnce)
        if (Number(request.parameter(0)) % 100 === 0) await turn()
        atOnce--
        return textAnswer(200, `${request.parameter(0)}!`)
      },
    }),
  )
  const count = 10_000
  let heard = ''
  client.on('data', (bytes) => {
    heard += bytes
  })
  client.write(Array.from({ length: count }, (_, index) => get(`/${index}`)).join(''))
  await expect.poll(() => heard.split('!').length, { timeout: 30_000 }).toBe(count + 1)
  expect(bodiesIn(heard).every((body, index) => body === String(index))).toBe(true)
  expect(atOnceMost).toBe(1)
})

test('while a client takes no answer its next request is not handled; then all come whole [G-4]', async () => {
  const large = 'x'.repeat(1_000_000)
  let handled = 0
  const { client } = await open((router) =>
    router.route({
      method: 'GET',
      pattern: '/',
      handle: () => {
        handled++
        return textAnswer(200, large)
      },
    }),
  )
  const count = 100
  client.pause()
  client.setNoDelay(true)
  for (let sent = 0; sent < count; sent++) {
    client.write(get('/'))
    await turn()
  }
  await expect.poll(() => handled).toBeGreaterThan(0)
  let before = 0
  while (before !== handled) {
    before = handled
    for (let turns = 0; turns < 100; turns++) await turn()
  }
  // As many bytes as the system buffers for a connection, and one more.
  expect(handled).toBeLessThan(count / 2)
  let bytes = 0
  client.on('data', (chunk) => {
    bytes += chunk.length
  })
  client.resume()
  await expect.poll(() => bytes, { timeout: 30_000 }).toBeGreaterThan(count * large.length)
  expect(handled).toBe(count)
})

test('at the end idle connections end, and an answer under way is the last of its own', async () => {
  const answers: (() => void)[] = []
  const { server, client } = await open((router) =>
    router.route({
      method: 'GET',
      pattern: '/wait',
      handle: () => new Promise((resolve) => answers.push(() => resolve(textAnswer(200, 'at last')))),
    }),
  )
  const idle = connect(server.port, '127.0.0.1')
  clients.push(idle)
  await once(idle, 'connect')
  let heard = ''
  client.on('data', (bytes) => {
    heard += bytes
  })
  client.write(get('/wait') + get('/wait'))
  await expect.poll(() => answers.length).toBe(1)
  const ended = [idle, client].map((socket) => once(socket.resume(), 'close'))
  const closed = server.close(10_000)
  await ended[0]
  answers[0]?.()
  await Promise.all([...ended, closed])
  expect(heard).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\nConnection: close\r\n\r\nat last$/)
})

test('a client that waits to be told and is refused sends no body that would be read as a request: its connection ends', async () => {
  const { client } = await open((router) =>
    router.route({
      method: 'POST',
      pattern: '/',
      bodyBytesMax: 100,
      admit: () => textAnswer(401, 'no'),
      handle: () => textAnswer(200, 'yes'),
    }),
  )
  const closed = once(client, 'close')
  let heard = ''
  client.on('data', (bytes) => {
    heard += bytes
  })
  client.write('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n')
  await closed
  expect(heard).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n[\s\S]*\r\nConnection: close\r\n\r\nno$/)
})

test('who has gone is not answered, and what it sent ahead is not handled', async () => {
  const answers: (() => void)[] = []
  const { client } = await open((router) =>
    router.route({
      method: 'GET',
      pattern: '/:n',
      handle: (request) => new Promise((resolve) => answers.push(() => resolve(textAnswer(200, `${request.aborted}`)))),
    }),
  )
  client.write(get('/1') + get('/2'))
  await expect.poll(() => answers.length).toBe(1)
  client.destroy()
  await once(client, 'close')
  for (let turns = 0; turns < 20; turns++) await turn()
  answers[0]?.()
  for (let turns = 0; turns < 20; turns++) await turn()
  expect(answers.length).toBe(1)
})
