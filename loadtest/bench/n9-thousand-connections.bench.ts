/**
 * N-9: 1,000 connections at 50 messages/s each, QoS 1, acknowledged when durable: CPU a message of the edge against mosquitto's,
 * which stores nothing. Reach: ≤ 1.2 ×.
 */

import { startBroker } from '#infra/testbed/broker.ts'
import { pinnedTo } from '#infra/testbed/target.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { unboundedMosquitto } from '#loadtest/peers/brokers.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

const targetCpu = '0'
const generatorCpu = '1'
/** Not measured: code is compiled, files and heaps grow. */
const warmUpSeconds = 3

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 30 })
  const record = new BenchRecord('n9-thousand-connections', 'N-9: 1,000 connections at 50 messages/s each')
  const starts = [
    () => startMeasured('edge', { cpuList: targetCpu }),
    () => startBroker(unboundedMosquitto, pinnedTo(targetCpu)),
  ]
  for (let round = 0; round < args.rounds; round++) {
    for (const start of starts) {
      const target = await start()
      try {
        const load = { ...loadDefaults, url: target.mqttUrl, connections: 1_000, rate: 50_000, cpuList: generatorCpu }
        await runLoad({ ...load, run: 'warmup', seconds: warmUpSeconds })
        const before = target.cpuSeconds()
        const { counts, latency, warnings } = await runLoad({ ...load, run: `n9r${round}`, seconds: args.seconds })
        record.add(`${target.name}, µs of CPU a message`, ((target.cpuSeconds() - before) * 1e6) / counts.atEnd.settled)
        record.add(`${target.name}, acknowledged ÷ offered`, counts.atEnd.settled / counts.atEnd.offered)
        record.add(`${target.name}, PUBACK p50, ms`, latency.acknowledged.summary.p50Ms)
        record.add(`${target.name}, PUBACK p99, ms`, latency.acknowledged.summary.p99Ms)
        for (const warning of warnings) record.note(`${target.name}: ${warning}.`)
      } finally {
        await target.stop()
      }
    }
  }
  const ratio = record.median('Penstock edge, µs of CPU a message') / record.median('mosquitto, µs of CPU a message')
  record.finish(
    `**${ratio.toFixed(2)} × mosquitto's CPU a message (reach ≤ 1.2).**`,
    `48-byte JSON, 50,000 messages/s offered on a schedule; target on CPU ${targetCpu}, generator on CPU ${generatorCpu}. Connecting is in the CPU, and the second until the edge gathers.`,
    args,
  )
}

if (import.meta.main) await bench()
