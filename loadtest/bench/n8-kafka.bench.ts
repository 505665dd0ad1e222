/** N-8: the whole pipeline on Apache Kafka against the embedded log. Reach: ≥ 0.6. Needs `--kafka host:port`, or finds none to start. */

import { assertClean } from '#loadtest/ledger/reconcile.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { PenstockError } from '#schemas/errors.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 20 })
  if (args.kafka === undefined)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', 'give a running Kafka: --kafka host:port')
  const record = new BenchRecord('n8-kafka', 'N-8: on Kafka against the embedded log')
  const runName = Date.now().toString(36)
  for (let round = 0; round < args.rounds; round++) {
    const onKafka = { PENSTOCK_KAFKA_BROKERS: args.kafka, PENSTOCK_TOPIC_PREFIX: `bench-${runName}-${round}` }
    for (const [name, environment] of [['on Kafka', onKafka] as const, ['embedded log', {}] as const]) {
      const penstock = await startMeasured('start', { cpuList: undefined, environment })
      try {
        const result = await runLoad({
          ...loadDefaults,
          url: penstock.mqttUrl,
          clickhouse: penstock.clickhouseUrl,
          run: `n8r${round}`,
          rate: 'saturate',
          seconds: args.seconds,
          drainMsMax: 120_000,
        })
        record.add(`${name}, rows/s until the last is stored`, result.storedPerSecond ?? 0)
        record.add(`${name}, acknowledged messages/s`, result.acknowledgedPerSecond)
        if (result.reconciliation) assertClean(result.reconciliation)
      } finally {
        await penstock.stop()
      }
    }
  }
  const ratio =
    record.median('on Kafka, rows/s until the last is stored') /
    record.median('embedded log, rows/s until the last is stored')
  record.finish(
    `**${ratio.toFixed(2)} of the embedded log (reach 0.6).**`,
    '100 connections, QoS 1, 48-byte JSON, window 1,000, saturating; one Kafka broker on the same machine, everything and the generator on all CPUs.',
    args,
  )
}

if (import.meta.main) await bench()
