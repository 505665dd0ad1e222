/**
 * The generator alone: messages/s of one process on one CPU against a sink on the other that only steps over frames and
 * acknowledges. A generator must not be what a run measures; reach: ≥ 1.5 million messages/s at QoS 1, PUBACKs included.
 */

import { startBroker } from '#infra/testbed/broker.ts'
import { pinnedTo } from '#infra/testbed/target.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { sink } from '#loadtest/peers/brokers.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 5 })
  const record = new BenchRecord('generator', 'The load generator alone')
  for (let round = 0; round < args.rounds; round++) {
    for (const [connections, qos, protocol] of [
      [100, 1, 4],
      [100, 1, 5],
      [100, 0, 4],
      [1_000, 1, 4],
    ] as const) {
      const target = await startBroker(sink, pinnedTo('0'))
      try {
        const load = { ...loadDefaults, url: target.mqttUrl, rate: 'saturate', cpuList: '1' } as const
        const { counts, consumedMs, generators } = await runLoad({
          ...load,
          run: `g${round}`,
          connections,
          qos,
          protocol,
          seconds: args.seconds,
        })
        const name = `${connections} connections, QoS ${qos}, MQTT ${protocol === 5 ? '5' : '3.1.1'}`
        record.add(`${name}, messages/s`, (counts.atEnd.sent * 1000) / consumedMs)
        record.add(`${name}, generator's share of its CPU`, generators[0]?.cpuShare ?? Number.NaN)
      } finally {
        await target.stop()
      }
    }
  }
  const millions = record.median('100 connections, QoS 1, MQTT 3.1.1, messages/s') / 1e6
  record.finish(
    `**${millions.toFixed(1)} million messages/s at QoS 1 (reach 1.5).**`,
    '48-byte JSON, window 1,000, saturating; sink on CPU 0, generator on CPU 1.',
    args,
  )
}

if (import.meta.main) await bench()
