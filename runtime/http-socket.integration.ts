/** What becomes of a WebSocket that was ended from here. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type HttpServer, openHttpServer } from './http.ts'
import { type ByteSocket, routeByteSocket } from './http-socket.ts'

const servers: HttpServer[] = []
const clients: Socket[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  for (const server of servers.splice(0)) await server.close(0)
})

const upgrade =
  'GET /bytes HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: bytes\r\n\r\n'
/** A masked binary message of one byte. */
const message = Buffer.from([0x82, 0x81, 0, 0, 0, 0, 0x78])

test.each([
  ['reads on', 0],
  ['does not read what it was sent', 100],
])('a socket that was ended is gone soon, though its client goes on sending and %s', async (_what, sentCount) => {
  let attached: (socket: ByteSocket) => void
  const socket = new Promise<ByteSocket>((resolve) => {
    attached = resolve
  })
  let closed = 0
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes: (router) =>
      routeByteSocket(router, {
        pattern: '/bytes',
        protocol: 'bytes',
        messageBytesMax: 1024,
        attach: (made) => {
          attached(made)
          return { onChunk() {}, onDrained() {}, onClosed: () => closed++ }
        },
      }),
  })
  servers.push(server)
  const client = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
  clients.push(client)
  client.on('error', () => {})
  client.write(upgrade)
  await once(client, 'data')
  if (sentCount > 0) client.pause()
  const made = await socket
  for (let index = 0; index < sentCount; index++) made.write(Buffer.alloc(100_000))
  made.end()
  expect(closed).toBe(1)
  const gone = new Promise((resolve) => client.once('close', resolve))
  const drip = (): void => {
    if (client.destroyed) return
    client.write(message)
    setTimeout(drip, 50)
  }
  drip()
  await gone
})
