import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, it } from 'vitest'
import { withoutColons } from '#pipeline/kafka/client.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { KafkaAccess } from '../kafka-access.ts'
import { accessFault } from './access-fault.ts'
import { kafkaSockets } from './socket.ts'

const plain: KafkaAccess = { sasl: { mechanism: 'plain', username: 'u', password: 'p' } }
const open = (access: KafkaAccess, host: string, port: number) =>
  kafkaSockets(access, silentLogger)({ host, port, ssl: {} as never, onConnect: () => {} })

it('a secret is never sent without TLS to another machine that a broker names', async () => {
  for (const host of [
    '192.0.2.1',
    'kafka.example',
    '2001:db8::1',
    withoutColons('[2001:db8::1]:9').split(':')[0] ?? '',
  ]) {
    const socket = open(plain, host, 9)
    const [error] = await once(socket, 'error').catch((error: unknown) => [error])
    expect(accessFault(error)?.text).toMatch(/on another machine.*PENSTOCK_KAFKA_TLS=yes/)
    expect(socket.connecting).toBe(false)
  }
})

it('this machine gets it, by whichever of its names', async () => {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const socket = open(plain, '127.0.0.1', port)
  await once(socket, 'connect')
  socket.destroy()
  server.close()
})
