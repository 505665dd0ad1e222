/**
 * N-6: at half of saturation, PUBACK p99 and socket → queryable row p99, both from the moment a message was to be sent.
 * Saturation is measured first, in the same installation. Reach: ≤ 50 ms and ≤ 1 s.
 */

import { assertClean } from '#loadtest/ledger/reconcile.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

/** 100 devices that share half a million messages a second send some at a time, as they do when they saturate. */
const burst = 50
/** Not in the latencies: the generator's code is compiled. */
const warmUpSeconds = 3

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 20 })
  const record = new BenchRecord('n6-latency', 'N-6: latency at half of saturation')
  for (let round = 0; round < args.rounds; round++) {
    const penstock = await startMeasured('start', { cpuList: undefined })
    try {
      const common = {
        ...loadDefaults,
        url: penstock.mqttUrl,
        clickhouse: penstock.clickhouseUrl,
        seconds: args.seconds,
      }
      const saturated = await runLoad({ ...common, run: `n6s${round}`, rate: 'saturate', drainMsMax: 120_000 })
      record.add('saturation, rows/s', saturated.storedPerSecond ?? 0)
      const rate = Math.round((saturated.storedPerSecond ?? 0) / 2)
      const half = await runLoad({
        ...common,
        run: `n6h${round}`,
        rate,
        burst,
        warmUpSeconds,
        seconds: args.seconds + warmUpSeconds,
      })
      record.add('offered messages/s', rate)
      record.add('PUBACK p50, ms', half.latency.acknowledged.summary.p50Ms)
      record.add('PUBACK p99, ms', half.latency.acknowledged.summary.p99Ms)
      record.add('queryable row p50, ms', half.latency.visible?.summary.p50Ms ?? Number.NaN)
      record.add('queryable row p99, ms', half.latency.visible?.summary.p99Ms ?? Number.NaN)
      record.add('sent late p99, ms', half.latency.sendDelay.summary.p99Ms)
      const generatorShare = half.generators[0]?.cpuShare ?? Number.NaN
      record.add('generator, share of a core', generatorShare)
      // The same work in every round: how fast the machine was just then.
      record.add('generator, µs of CPU a message', (generatorShare * 1e6) / rate)
      for (const warning of half.warnings) record.note(`At half of saturation: ${warning}.`)
      if (half.reconciliation) assertClean(half.reconciliation)
    } finally {
      await penstock.stop()
    }
  }
  const [puback, visible] = [record.median('PUBACK p99, ms'), record.median('queryable row p99, ms')]
  record.finish(
    `**PUBACK p99 ${puback.toFixed(1)} ms (reach 50), queryable row p99 ${visible.toFixed(0)} ms (reach 1,000).**`,
    `100 connections, QoS 1, 48-byte JSON, devices send ${burst} at a time; everything and the generator on all CPUs. Rows are looked for about every 100 ms. The first ${warmUpSeconds} s are not counted.`,
    args,
  )
}

if (import.meta.main) await bench()
