/** What becomes of a WebSocket that the server ended. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { type HttpServer, openHttpServer } from './http.ts'
import { type ByteSocket, routeByteSocket } from './socket.ts'

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

async function open() {
  const heard: string[] = []
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes: (router) =>
      routeByteSocket(router, {
        pattern: '/bytes',
        protocols: ['bytes'],
        messageBytesMax: 1024,
        attach: (made) => ({
          onChunk: (bytes) => {
            heard.push(String(bytes))
            made.write(bytes)
          },
          onDrained() {},
          onClosed: () => heard.push('closed'),
        }),
      }),
  })
  servers.push(server)
  const client = connect(server.port, '127.0.0.1')
  clients.push(client)
  let told = Buffer.alloc(0)
  client.on('data', (bytes) => {
    told = Buffer.concat([told, bytes])
  })
  return { client, heard, told: () => told, closed: once(client, 'close') }
}

test('the key is answered, what comes behind the request is heard, pings and the end are answered (RFC 6455)', async () => {
  const { client, heard, told, closed } = await open()
  const ping = Buffer.from([0x89, 0x81, 0, 0, 0, 0, 0x70])
  const end = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8])
  client.write(Buffer.concat([Buffer.from(upgrade), message, ping, end]))
  await closed
  const [head = '', frames] = told().toString('latin1').split('\r\n\r\n')
  expect(head).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
  expect(head).toContain('\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n')
  expect(head).toContain('\r\nConnection: Upgrade')
  expect(Buffer.from(frames ?? '', 'latin1').toString('hex')).toBe('820178' + '8a0170' + '880203e8')
  expect(heard).toEqual(['x', 'closed'])
})

test.each([
  [
    'another version',
    upgrade.replace('Version: 13', 'Version: 8'),
    /^HTTP\/1\.1 426 [\s\S]*\r\nSec-WebSocket-Version: 13\r\n/,
  ],
  ['no version', upgrade.replace(/Sec-WebSocket-Version.*\r\n/, ''), /^HTTP\/1\.1 426 /],
  ['a key that is none', upgrade.replace('dGhl', '!!!!'), /^HTTP\/1\.1 400 /],
  ['another sub-protocol', upgrade.replace('Protocol: bytes', 'Protocol: other'), /^HTTP\/1\.1 400 /],
  ['a body', upgrade.replace('Host: h', 'Host: h\r\nContent-Length: 1'), /^HTTP\/1\.1 400 /],
  ['no Upgrade in Connection', upgrade.replace('Connection: Upgrade', 'Connection: close'), /^HTTP\/1\.1 404 /],
])('a request for a WebSocket with %s is refused', async (_what, request, answer) => {
  const { client, heard, told, closed } = await open()
  client.write(request)
  await closed
  expect(told().toString()).toMatch(answer)
  expect(heard).toEqual([])
})

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
        protocols: ['bytes'],
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
