import { describe, expect, it } from 'vitest'
import { startBroker } from '#infra/testbed/broker.ts'
import { findMosquitto } from '#infra/testbed/mosquitto.ts'
import { peerBrokers } from '#infra/testbed/peer-brokers.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { aedes, unboundedMosquitto } from '#loadtest/peers/brokers.ts'
import { runLoad } from '#loadtest/run/run-load.ts'

const fetchMsMax = 120_000
const none = async (): Promise<void> => {}
const peers = [
  { ...aedes, scheme: 'mqtt', missing: () => undefined, fetch: none },
  {
    ...unboundedMosquitto,
    scheme: 'mqtt',
    missing: () => (findMosquitto('mosquitto') ? undefined : 'no mosquitto'),
    fetch: none,
  },
  // What takes minutes to build is left to the bench.
  ...peerBrokers().filter(({ isSlowToFetch }) => !isSlowToFetch),
]

// A missing toolchain is a skip on CI, too: a bench names a peer that it could not have.
describe.each(peers)('$name', (peer) => {
  const missing = peer.missing()
  it.skipIf(missing !== undefined)(
    `acknowledges what the generator sends, and stops ${missing === undefined ? '' : `[skipped: ${missing}]`}`,
    async () => {
      await peer.fetch()
      const target = await startBroker(peer)
      try {
        const load = {
          ...loadDefaults,
          url: `${peer.scheme}://127.0.0.1:${target.port}`,
          run: 'smoke',
          connections: 10,
          rate: 2_000,
          seconds: 1,
        }
        const { counts, connections } = await runLoad(load)
        expect(counts.atEnd).toMatchObject({ sent: 2_000, settled: 2_000 })
        expect(connections).toMatchObject({ opened: 10, lost: 0 })
      } finally {
        await target.stop()
      }
      expect(() => process.kill(target.pid, 0)).toThrow()
    },
    fetchMsMax,
  )
})
