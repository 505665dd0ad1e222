import { connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { guardedLookup, refusalOfAddress, refusedAddress } from './outgoing-addresses.ts'

const rules = { ownPorts: [8080], allowed: [] }

test.each([
  ['169.254.169.254', 80],
  ['[fe80::1]', 80],
  ['[fd00:ec2::254]', 80],
  ['100.100.100.200', 80],
  ['0.0.0.0', 80],
  ['224.0.0.1', 80],
  ['255.255.255.255', 80],
  ['[::ffff:169.254.169.254]', 80],
  ['[::ffff:a9fe:a9fe]', 80],
  ['[64:ff9b::a9fe:a9fe]', 80],
  ['127.0.0.1', 8080],
  ['127.9.9.9', 8080],
  ['[::1]', 8080],
  ['[::]', 8080],
  ['[::ffff:127.0.0.1]', 8080],
])('%s:%i is refused', (host, port) => {
  expect(refusalOfAddress(host, port, rules)).toContain(`${host}:${port} `)
})

test.each([
  ['127.0.0.1', 9000],
  ['10.0.0.1', 8080],
  ['192.168.1.7', 443],
  ['example.net', 8080],
  ['[2001:db8::1]', 443],
])('%s:%i may be reached', (host, port) => {
  expect(refusalOfAddress(host, port, rules)).toBeUndefined()
})

test('what is allowed by name is not looked at', () => {
  expect(refusalOfAddress('169.254.1.1', 80, { ownPorts: [], allowed: ['169.254.1.1:80'] })).toBeUndefined()
  expect(refusalOfAddress('169.254.1.1', 81, { ownPorts: [], allowed: ['169.254.1.1:80'] })).toBeDefined()
})

test('a name that leads to an own port is refused by the look-up that the socket uses', async () => {
  const server = createServer((socket) => socket.end()).listen(0, 'localhost')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  const opened = (ownPorts: readonly number[]): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: 'localhost', port, lookup: guardedLookup(port, { ownPorts, allowed: [] }) })
      socket.once('connect', () => {
        resolve('connected')
        socket.destroy()
      })
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    })
  expect(await opened([port])).toBe(refusedAddress)
  expect(await opened([])).toBe('connected')
  server.close()
})
