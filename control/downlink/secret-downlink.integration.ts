import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import type { LinkVersion } from '#runtime/line-rpc/link-version.ts'
import { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import { listening } from '#runtime/listening.ts'
import { silentLogger } from '#runtime/logger.ts'
import { downlinkConformance } from './downlink.conformance.ts'
import { downlinkContract, downlinkHandlers } from './downlink-contract.ts'
import type { EdgeAddress, EdgeAddresses } from './edge-addresses.ts'
import { EdgeDialer } from './edge-dialer.ts'
import { EdgeFinder } from './edge-finder.ts'
import { listenForControl } from './edge-listener.ts'
import { FakeEdge } from './fake-edge-fixture.ts'
import { downlinkChannelLimits, noContract } from './link-limits.ts'
import { listenBySecret } from './shared-secret.ts'

/** A store that is only memory. */
class MemoryAddresses implements EdgeAddresses {
  readonly rows = new Map<string, EdgeAddress>()
  readonly #listeners = new Set<(address: EdgeAddress) => void>()
  readonly #secret: Buffer

  constructor(secret = randomBytes(32)) {
    this.#secret = secret
  }

  async secret(): Promise<Buffer> {
    return this.#secret
  }
  async publish(address: EdgeAddress): Promise<void> {
    this.rows.set(address.edgeId, address)
    for (const listener of this.#listeners) listener(address)
  }
  async all(): Promise<readonly EdgeAddress[]> {
    return [...this.rows.values()]
  }
  onPublished(listener: (address: EdgeAddress) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

const host = '127.0.0.1'
const unchanging = { onInvalidate: () => () => {} }
const listen = async (edgeId: string, edge: FakeEdge, secret: Buffer) =>
  listenForControl(edgeId, edge, secret, { host, port: 0 }, systemClock, silentLogger)

downlinkConformance('connections between machines', async (finder) => {
  const addresses = new MemoryAddresses()
  const dialer = await EdgeDialer.open(addresses, unchanging, finder, systemClock, silentLogger)
  const ends = new Set<() => Promise<void>>()
  return {
    link: async (edgeId, edge) => {
      const listener = await listen(edgeId, edge, await addresses.secret())
      await addresses.publish({ edgeId, host, port: listener.port })
      const end = () => {
        ends.delete(end)
        return listener.close()
      }
      ends.add(end)
      return end
    },
    close: async () => {
      await dialer.close()
      for (const end of ends) await end()
    },
  }
})

test('who does not know the secret is neither asked nor heard, and an edge at an address of another is not taken for it', async () => {
  const addresses = new MemoryAddresses()
  const finder = new EdgeFinder(systemClock)
  const dialer = await EdgeDialer.open(addresses, unchanging, finder, systemClock, silentLogger)
  const stranger = await listen('edge-0', new FakeEdge('d1'), randomBytes(32))
  const other = await listen('edge-1', new FakeEdge('d1'), await addresses.secret())
  const right = await listen('edge-2', new FakeEdge('d1'), await addresses.secret())
  try {
    await addresses.publish({ edgeId: 'edge-0', host, port: stranger.port })
    await addresses.publish({ edgeId: 'edge-0b', host, port: other.port })
    await addresses.publish({ edgeId: 'edge-2', host, port: right.port })
    await expect.poll(() => finder.links.map(({ edgeId }) => edgeId)).toEqual(['edge-2'])
    const plain = connect(right.port, host)
    plain.write('{"n":1,"q":"edge"}\n')
    const answered: Buffer[] = []
    plain.on('data', (chunk) => answered.push(chunk))
    await once(plain, 'close')
    expect(Buffer.concat(answered).includes('edge-2')).toBe(false)
  } finally {
    await dialer.close()
    await finder.close()
    await Promise.all([stranger.close(), other.close(), right.close()])
  }
})

test('an edge of another version is asked nothing; that is said once, by name and with what to do, until it is another one', async () => {
  const addresses = new MemoryAddresses()
  const finder = new EdgeFinder(systemClock)
  const told: unknown[] = []
  const logger = { ...silentLogger, error: (_: string, fields?: Record<string, unknown>) => void told.push(fields) }
  const edge = await edgeOfVersion({ spoken: 9, oldest: 8 }, await addresses.secret())
  await addresses.publish({ edgeId: 'edge-0', host, port: edge.port })
  const dialer = await EdgeDialer.open(addresses, unchanging, finder, systemClock, logger)
  try {
    await expect.poll(() => edge.connections()).toBeGreaterThan(2)
    expect(finder.links).toEqual([])
    expect(told).toMatchObject([{ edgeId: 'edge-0', error: { code: 'LINK_VERSION_REFUSED' } }])
    expect(told).toMatchObject([{ error: { message: expect.stringContaining('upgrade this process') } }])
    edge.speak({ spoken: 1, oldest: 1 })
    await expect.poll(() => finder.links.map(({ edgeId }) => edgeId)).toEqual(['edge-0'])
    expect(told).toHaveLength(1)
  } finally {
    await dialer.close()
    await finder.close()
    await edge.close()
  }
})

/** As `listenForControl`, of an edge that speaks these versions of the link. */
async function edgeOfVersion(first: LinkVersion, secret: Buffer) {
  let version = first
  let connections = 0
  const server = listenBySecret(secret, (socket) => {
    connections++
    const channel = new SocketChannel(socket, downlinkChannelLimits)
    new LineRpc({
      channel,
      own: downlinkContract,
      handlers: downlinkHandlers('edge-0', new FakeEdge('d1')),
      peer: noContract,
      clock: systemClock,
      version,
      answerMsMax: 2_000,
      onEnd: () => channel.destroy(),
      onPushFault: () => {},
    }).listen()
  })
  await listening(server, 'the downlink', host, 0, false)
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    speak: (next: LinkVersion) => {
      version = next
    },
    close: async () => void (await once(server.close(), 'close')),
  }
}
