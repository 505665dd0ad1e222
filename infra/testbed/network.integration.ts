import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Network, networkMissing, observerName } from './network.ts'
import { ServerProcess } from './server-process.ts'

// It needs root, which not everybody is who runs the tests.
const missing = networkMissing()
const note = missing === undefined ? '' : `[skipped: ${missing}]`

const echo = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 7000))
print('listening', flush=True)
while True:
    data, sender = s.recvfrom(100)
    s.sendto(data, sender)
`
const ask = (address: string, secondsMax: number) => `
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(${secondsMax})
began = time.monotonic()
try:
    s.sendto(b'x', ('${address}', 7000))
    s.recv(100)
    print((time.monotonic() - began) * 1000)
except OSError:
    print('nobody')
`

describe.skipIf(missing !== undefined)(`a network of machines on one machine ${note}`, () => {
  let network: Network
  const servers: ServerProcess[] = []
  beforeAll(async () => {
    network = await Network.open(['one', 'two', 'three'])
    for (const name of ['two', 'three']) {
      const server = new ServerProcess(`echo on ${name}`, [...network.machine(name).through, 'python3', '-c', echo])
      servers.push(server)
      await server.untilSaid('listening')
    }
  })
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop('SIGKILL')))
    await network?.close()
  })

  /** NaN if none came. */
  async function answerMs(from: string, to: string, secondsMax = 10): Promise<number> {
    const [program = '', ...args] = [
      ...network.machine(from).through,
      'python3',
      '-c',
      ask(network.machine(to).address, secondsMax),
    ]
    return Number((await promisify(execFile)(program, args)).stdout)
  }

  test('machines reach one another; a cut parts two of them and no other, loss takes all, delay comes each way', async () => {
    expect(await answerMs('one', 'two')).not.toBeNaN()
    expect(await answerMs(observerName, 'two')).not.toBeNaN()
    await network.set({ cuts: [['two', 'one']] })
    expect(await answerMs('one', 'two', 1)).toBeNaN()
    expect(await answerMs('one', 'three')).not.toBeNaN()
    await network.set({ lossShare: 1 })
    expect(await answerMs('one', 'three', 1)).toBeNaN()
    await network.set({ delayMs: 100 })
    expect(await answerMs('one', 'two')).toBeGreaterThanOrEqual(200)
  })
})
