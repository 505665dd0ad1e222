import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { KafkaConnection } from './kafka-connection.ts'
import { kafkaSettings } from './topic-fixture.ts'

it('a connection that is closed while it is being opened is gone, and is not opened again', async () => {
  const sockets = new Set<Socket>()
  let connectionCount = 0
  // It takes connections, and says nothing.
  const broker = createServer((socket) => {
    connectionCount++
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    socket.resume()
  })
  await once(broker.listen(0, '127.0.0.1'), 'listening')
  try {
    const { port } = broker.address() as AddressInfo
    const rules = { ownPorts: [], allowed: [] }
    const connection = new KafkaConnection(kafkaSettings(`127.0.0.1:${port}`, 'telemetry'), rules)
    const refreshing = connection.refresh().catch(() => 'failed')
    await expect.poll(() => sockets.size).toBe(1)
    await connection.close()
    await expect.poll(() => sockets.size).toBe(0)
    expect(await refreshing).toBe('failed')
    const before = connectionCount
    await connection.reconnect()
    await expect(connection.refresh()).rejects.toThrow('closed')
    expect(connectionCount).toBe(before)
  } finally {
    for (const socket of sockets) socket.destroy()
    broker.close()
  }
})
