/**
 * N-2: the edge alone (parse, encode, durable append to the embedded log) on one core, against mosquitto without a subscriber,
 * which stores nothing. Messages for each CPU second of the target. Reach: QoS 0 ≥ 1.5 ×, QoS 1 with window 1,000 ≥ 5 ×.
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
const warmUpSeconds = 2

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 5 })
  const record = new BenchRecord('n2-edge', 'N-2: the edge alone against mosquitto')
  const starts = [
    () => startMeasured('edge', { cpuList: targetCpu }),
    () => startBroker(unboundedMosquitto, pinnedTo(targetCpu)),
  ]
  for (let round = 0; round < args.rounds; round++) {
    for (const start of starts) {
      for (const qos of [0, 1] as const) {
        const target = await start()
        try {
          const load = { ...loadDefaults, url: target.mqttUrl, qos, rate: 'saturate', drainMsMax: 120_000 } as const
          await runLoad({ ...load, run: 'warmup', seconds: warmUpSeconds, cpuList: generatorCpu })
          const before = target.cpuSeconds()
          const { counts, consumedMs, warnings } = await runLoad({
            ...load,
            run: `n2r${round}q${qos}`,
            seconds: args.seconds,
            cpuList: generatorCpu,
          })
          const cpuSeconds = target.cpuSeconds() - before
          record.add(`${target.name}, QoS ${qos}, messages a CPU second`, counts.atEnd.sent / cpuSeconds)
          record.add(`${target.name}, QoS ${qos}, messages/s`, counts.atEnd.sent / (consumedMs / 1000))
          record.add(`${target.name}, QoS ${qos}, share of a core`, cpuSeconds / (consumedMs / 1000))
          for (const warning of warnings) record.note(`${target.name}, QoS ${qos}: ${warning}.`)
        } finally {
          await target.stop()
        }
      }
    }
  }
  const ratio = (qos: number) =>
    record.median(`Penstock edge, QoS ${qos}, messages a CPU second`) /
    record.median(`mosquitto, QoS ${qos}, messages a CPU second`)
  record.finish(
    `**QoS 0: ${ratio(0).toFixed(2)} × mosquitto (reach 1.5). QoS 1: ${ratio(1).toFixed(2)} × (reach 5).**`,
    `100 connections, 48-byte JSON, window 1,000, saturating; target on CPU ${targetCpu}, generator on CPU ${generatorCpu}.`,
    args,
  )
}

if (import.meta.main) await bench()
