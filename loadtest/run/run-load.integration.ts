import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { countOfRanges, type DeviceLedger } from '#loadtest/ledger/ledger.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { startAckSink } from '#loadtest/peers/ack-sink.ts'
import { runLoad } from './run-load.ts'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

describe('a load run', () => {
  test.each([4, 5] as const)(
    'version %i: every message of a given total is sent once and acknowledged',
    async (protocol) => {
      const sink = await sinkAt(0)
      const ledgers: DeviceLedger[] = []
      const result = await runLoad(
        { ...optionsFor(sink.port), protocol, messages: 100_003, processes: 2, rate: 'saturate' },
        { onLedgers: (all) => ledgers.push(...all) },
      )
      expect(result.counts.atEnd).toMatchObject({ sent: 100_003, settled: 100_003 })
      expect(ledgers.length).toBe(20)
      expect(ledgers.every(({ acknowledged, resent }) => acknowledged.length === 1 && resent.length === 0)).toBe(true)
      expect(result.latency.acknowledged.summary.count).toBe(100_003)
      expect(result.acknowledgedOutOfOrder + result.acknowledgedUnexpected).toBe(0)
    },
  )

  test.each([1, 7])(
    'open-loop, bursts of %i: what the schedule offers is sent, each counted from its moment',
    async (burst) => {
      const sink = await sinkAt(0)
      const result = await runLoad({ ...optionsFor(sink.port), rate: 20_000, messages: 10_007, processes: 3, burst })
      expect(result.counts.atEnd).toMatchObject({ offered: 10_007, sent: 10_007, settled: 10_007 })
      expect(result.latency.sendDelay.summary.count).toBe(10_007)
      expect(result.latency.acknowledged.summary.count).toBe(10_007)
    },
  )

  test('the first seconds of a warm-up are in the ledger, but not in the latencies', async () => {
    const sink = await sinkAt(0)
    const result = await runLoad({ ...optionsFor(sink.port), rate: 1_000, seconds: 3, warmUpSeconds: 1 })
    expect(result.counts.atEnd).toMatchObject({ sent: 3_000, settled: 3_000 })
    const { count } = result.latency.acknowledged.summary
    expect(count).toBeGreaterThan(0)
    expect(count).toBeLessThan(3_000)
    await expect(runLoad({ ...optionsFor(sink.port), seconds: 3, warmUpSeconds: 3 })).rejects.toThrow('--warm-up 3')
  })

  test('a target that dies and comes back: devices reconnect and send again what was not acknowledged', async () => {
    const sink = await sinkAt(0)
    let restarted: Promise<unknown> | undefined
    const ledgers: DeviceLedger[] = []
    const result = await runLoad(
      { ...optionsFor(sink.port), rate: 50_000, messages: 100_000 },
      {
        onProgress: ({ settled }) => {
          if (settled > 10_000) restarted ??= sink.close().then(() => sinkAt(sink.port))
        },
        onLedgers: (all) => ledgers.push(...all),
      },
    )
    await restarted
    expect(result.connections.lost).toBeGreaterThan(0)
    expect(result.counts.atEnd).toMatchObject({ sent: 100_000, settled: 100_000 })
    expect(ledgers.reduce((sum, { acknowledged }) => sum + countOfRanges(acknowledged), 0)).toBe(100_000)
  })

  test('connects keep their absolute schedule over all processes; a target that holds them back makes them late', async () => {
    const sink = await sinkAt(0)
    const options = { ...optionsFor(sink.port), rate: 0, seconds: 1, connections: 60, processes: 2 }
    const beganMs = performance.now()
    const { connections } = await runLoad({ ...options, connectRate: 40 })
    expect(performance.now() - beganMs).toBeGreaterThan((59 / 40) * 1000)
    expect(connections).toMatchObject({ opened: 60, lost: 0 })

    // It accepts nobody before 300 ms are over, so whoever comes behind the connects under way waits.
    const slow = await startSlowSink(300)
    open.push(slow)
    const held = await runLoad({ ...optionsFor(slow.port), rate: 0, seconds: 1, connections: 150, connectRate: 2_000 })
    expect(held.connections.opened).toBe(150)
    expect(held.connections.connectedLate).toBeGreaterThan(0)
    expect(held.connections.connectedLate).toBeLessThanOrEqual(50)
  })

  test('a target that is not there fails the run with its reason', async () => {
    const sink = await startAckSink(0)
    await sink.close()
    await expect(runLoad({ ...optionsFor(sink.port), connectMsMax: 300 })).rejects.toMatchObject({
      code: 'LOADTEST_TARGET_UNREACHABLE',
    })
  })
})

async function sinkAt(port: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sink = await startAckSink(port)
  open.push(sink)
  return sink
}

/** Answers each CONNECT that late. */
async function startSlowSink(delayMs: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((socket) => {
    socket.once('data', () => setTimeout(() => socket.write('\x20\x02\x00\x00', 'latin1'), delayMs))
    socket.on('end', () => socket.end())
    socket.on('error', () => socket.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return { port, close: () => new Promise((resolve) => server.close(() => resolve())) }
}

function optionsFor(port: number): LoadOptions {
  return { ...loadDefaults, url: `mqtt://127.0.0.1:${port}`, run: 'test', connections: 20, seconds: 30 }
}
