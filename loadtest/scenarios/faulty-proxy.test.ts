import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { FaultyProxy } from './faulty-proxy.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

/** A server that answers every chunk with itself, and the proxy before it. */
async function echo(): Promise<{ proxy: FaultyProxy; heard: () => string }> {
  let heard = ''
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      heard += chunk
      socket.write(chunk)
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as { port: number }
  const proxy = await FaultyProxy.listen(0, () => ({ host: '127.0.0.1', port }))
  open.push({ close: () => server.close() }, { close: () => sockets.forEach((socket) => void socket.destroy()) }, proxy)
  return { proxy, heard: () => heard }
}

async function client(proxy: FaultyProxy): Promise<{ socket: Socket; text: () => string; ended: Promise<unknown> }> {
  const socket = connect(proxy.port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  const ended = new Promise((resolve) => socket.once('close', resolve))
  await once(socket, 'connect')
  return { socket, text: () => text, ended }
}

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise(setImmediate)
}

test('passing, all bytes go both ways in order, and an end too', async () => {
  const { proxy } = await echo()
  const { socket, text, ended } = await client(proxy)
  const sent = Array.from({ length: 20_000 }, (_, index) => `${index};`).join('')
  socket.write(sent)
  await until(() => text().length === sent.length)
  expect(text()).toBe(sent)
  socket.end()
  await ended
  await until(() => proxy.connectionCount === 0)
})

test('holding, nothing goes on until it passes again; then nothing is missing', async () => {
  const { proxy, heard } = await echo()
  const { socket, text } = await client(proxy)
  socket.write('a')
  await until(() => text() === 'a')
  proxy.mode = 'holds'
  socket.write('b')
  const other = await client(proxy)
  other.socket.write('c')
  await new Promise(setImmediate)
  expect(heard()).toBe('a')
  proxy.mode = 'passes'
  await until(() => text() === 'ab' && other.text() === 'c')
})

test.each([
  ['cutRequest', 'ab', ''],
  ['cutResponse', 'abcd', 'ab'],
  ['swallow', 'abcd', ''],
] as const)('%s: the server hears %j, the client %j, and both are reset', async (blow, request, response) => {
  const { proxy, heard } = await echo()
  const { socket, text, ended } = await client(proxy)
  const struck = proxy.strike(blow)
  socket.write('abcd')
  await struck
  await ended
  await until(() => heard() === request)
  expect(text()).toBe(response)
  const next = await client(proxy)
  next.socket.write('e')
  await until(() => next.text() === 'e')
})

test('refusing, what is open ends and nothing new is let in', async () => {
  const { proxy, heard } = await echo()
  const first = await client(proxy)
  proxy.mode = 'refuses'
  await first.ended
  const second = connect(proxy.port, '127.0.0.1')
  second.on('error', () => {})
  await new Promise((resolve) => second.once('close', resolve))
  expect(heard()).toBe('')
})
