import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { makeCertificate } from './certificate-maker.ts'
import { readInPlace, readTlsInPlace } from './read-in-place.ts'

test('a socket that always has more to read waits until others had their turn, and loses nothing [G-4]', async () => {
  const order: string[] = []
  const bytesOf = new Map<string, number>()
  const accepted: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    let name = ''
    const reading = readInPlace(socket, (bytes) => {
      if (name === '') name = String.fromCharCode(bytes[0] as number)
      order.push(name)
      bytesOf.set(name, (bytesOf.get(name) ?? 0) + bytes.length)
    })
    accepted.push(reading)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const clients = await Promise.all(
    ['greedy', 'modest'].map(async () => {
      const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
      await once(client, 'connect')
      return client
    }),
  )
  onTestFinished(() => {
    for (const socket of [...clients, ...accepted]) socket.destroy()
    server.close()
  })
  const [greedy, modest] = clients as [Socket, Socket]
  const large = Buffer.alloc(8_000_000, 'g')
  greedy.write(large)
  await new Promise<void>((resolve) => modest.write('m', () => resolve()))
  await expect.poll(() => accepted.length).toBe(2)
  for (const socket of accepted) socket.resume()
  await expect.poll(() => bytesOf.get('g')).toBe(large.length)
  // Without the turns, the greedy socket would be read 32 times first.
  expect(order.indexOf('m')).toBeLessThan(8)
})

test('a socket that was paused while it waited for its turn stays so', async () => {
  const accepted: Socket[] = []
  let chunks = 0
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const reading = readInPlace(socket, () => {
      chunks++
      reading.pause()
    })
    accepted.push(reading)
    reading.resume()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(() => {
    for (const socket of [client, ...accepted]) socket.destroy()
    server.close()
  })
  client.write(Buffer.alloc(1_000_000))
  await expect.poll(() => chunks).toBe(1)
  for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve))
  expect(chunks).toBe(1)
  accepted[0]?.resume()
  await expect.poll(() => chunks).toBe(2)
})

test('over TLS all bytes come, in one buffer for all reads, and none while the socket is paused', async () => {
  const times = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 3_600_000 }
  const made = makeCertificate({ commonName: 'localhost', hosts: ['127.0.0.1'], use: 'server', ...times })
  const buffers = new Set<ArrayBufferLike>()
  const accepted: TLSSocket[] = []
  let bytesRead = 0
  let wrong = 0
  const server = createTlsServer({ cert: made.certificatePem, key: made.privateKeyPem }, (socket) => {
    accepted.push(socket)
    readTlsInPlace(socket, (bytes) => {
      buffers.add(bytes.buffer)
      for (const byte of bytes) if (byte !== bytesRead++ % 251) wrong++
      if (bytesRead === 100) socket.pause()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const client = connectTls({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false })
  onTestFinished(() => {
    for (const socket of [client, ...accepted]) socket.destroy()
    server.close()
  })
  const sent = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index % 251))
  client.write(sent.subarray(0, 100))
  await expect.poll(() => bytesRead).toBe(100)
  client.write(sent.subarray(100))
  for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve))
  expect(bytesRead).toBe(100)
  const ended = once(accepted[0] as TLSSocket, 'end')
  accepted[0]?.resume()
  client.end()
  await ended
  expect([bytesRead, wrong, buffers.size]).toEqual([sent.length, 0, 1])
})
