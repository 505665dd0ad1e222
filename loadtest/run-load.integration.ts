import { afterEach, describe, expect, test } from 'vitest'
import { startAckSink } from './bench/ack-sink.ts'
import { countOfRanges, type DeviceLedger } from './ledger.ts'
import { type LoadOptions, loadDefaults } from './options.ts'
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

function optionsFor(port: number): LoadOptions {
  return { ...loadDefaults, url: `mqtt://127.0.0.1:${port}`, run: 'test', connections: 20, seconds: 30 }
}
