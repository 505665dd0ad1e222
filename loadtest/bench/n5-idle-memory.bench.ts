/** N-5: resident memory an idle MQTT connection, with 10,000 of them held by one edge process; mosquitto beside. Reach: ≤ 10 KB. */
import { startBroker } from '#infra/testbed/broker.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { unboundedMosquitto } from '#loadtest/peers/brokers.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { residentBytesOf } from '#runtime/processes.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

const connections = 10_000

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 10 })
  const record = new BenchRecord('n5-idle-memory', 'N-5: memory of idle connections')
  const starts = [() => startMeasured('edge', { cpuList: undefined }), () => startBroker(unboundedMosquitto)]
  for (let round = 0; round < args.rounds; round++) {
    for (const start of starts) {
      const target = await start()
      try {
        const before = residentBytesOf(target.pid)
        let after = 0
        await runLoad(
          { ...loadDefaults, url: target.mqttUrl, run: `n5r${round}`, connections, rate: 0, seconds: args.seconds },
          {
            onProgress: ({ open }) => {
              if (open === connections) after = residentBytesOf(target.pid)
            },
          },
        )
        record.add(`${target.name}, KB a connection`, (after - before) / connections / 1024)
        record.add(`${target.name}, resident MB before`, before / 2 ** 20)
        record.add(`${target.name}, resident MB with all`, after / 2 ** 20)
      } finally {
        await target.stop()
      }
    }
  }
  record.finish(
    `**${record.median('Penstock edge, KB a connection').toFixed(1)} KB an idle connection (reach ≤ 10).**`,
    `${connections.toLocaleString('en')} connections, no messages, read before they close.`,
    args,
  )
}

if (import.meta.main) await bench()
