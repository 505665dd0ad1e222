import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { freePort, freePorts } from '#runtime/free-ports.ts'
import { startBalancer } from './balancer.ts'

const host = '127.0.0.1'

async function answeredBy(port: number): Promise<string> {
  const socket = connect(port, host)
  const [said] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => ['nobody'])])
  socket.destroy()
  return String(said)
}

test('connections go to those that answer in turn, past one that does not; where none does they end', async () => {
  const ports = await freePorts(3)
  const servers = [0, 2].map((index) => createServer((socket) => socket.end(`${index}`)).listen(ports[index], host))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const port = await freePort()
  const balancer = await startBalancer(
    { host, port },
    ports.map((each) => ({ host, port: each })),
  )
  const answers = [await answeredBy(port), await answeredBy(port), await answeredBy(port), await answeredBy(port)]
  expect(answers).toEqual(['0', '2', '2', '0'])
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  expect(await answeredBy(port)).toBe('nobody')
  await balancer.stop()
})
