import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { readInPlace } from './read-in-place.ts'

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
  await expect.poll(() => bytesOf.get('g'), { timeout: 20_000 }).toBe(large.length)
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
