/**
 * N-3: the whole pipeline against the usual Node one (`peers/aedes-pipeline.ts`), both on the same Kafka and the same embedded
 * ClickHouse engine. Reach: ≥ 10 ×. Needs `--kafka host:port`.
 */

import { assertClean } from '#loadtest/ledger/reconcile.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { startUsualPipeline } from '#loadtest/peers/usual-pipeline.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { PenstockError } from '#schemas/errors.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 15 })
  const { kafka } = args
  if (kafka === undefined)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', 'give a running Kafka: --kafka host:port')
  const record = new BenchRecord('n3-peers', 'N-3: against the usual Node pipeline')
  const load = { ...loadDefaults, rate: 'saturate', seconds: args.seconds, drainMsMax: 120_000 } as const
  const runName = Date.now().toString(36)
  for (let round = 0; round < args.rounds; round++) {
    for (const [name, environment] of [
      [
        'Penstock on Kafka',
        { PENSTOCK_KAFKA_BROKERS: kafka, PENSTOCK_TOPIC_PREFIX: `bench-${runName}-${round}` },
      ] as const,
      ['Penstock embedded', {}] as const,
    ]) {
      const penstock = await startMeasured('start', { cpuList: undefined, environment })
      try {
        const result = await runLoad({
          ...load,
          url: penstock.mqttUrl,
          clickhouse: penstock.clickhouseUrl,
          run: `n3r${round}`,
        })
        record.add(`${name}, rows/s until the last is stored`, result.storedPerSecond ?? 0)
        if (result.reconciliation) assertClean(result.reconciliation)
      } finally {
        await penstock.stop()
      }
    }
    const usual = await startUsualPipeline({ cpuList: undefined, kafka })
    try {
      const target = { url: usual.mqttUrl, clickhouse: usual.clickhouseUrl, table: 'peer.telemetry' }
      const result = await runLoad({ ...load, ...target, run: `n3u${round}` })
      record.add('usual pipeline, rows/s until the last is stored', result.storedPerSecond ?? 0)
      const { lost = 0, repeated = 0 } = result.reconciliation ?? {}
      record.add('usual pipeline, messages lost', lost)
      record.add('usual pipeline, messages repeated', repeated)
    } finally {
      await usual.stop()
    }
  }
  const usual = record.median('usual pipeline, rows/s until the last is stored')
  const ratio = (name: string) => (record.median(`${name}, rows/s until the last is stored`) / usual).toFixed(1)
  record.finish(
    `**${ratio('Penstock on Kafka')} × on the same Kafka, ${ratio('Penstock embedded')} × embedded (reach 10).**`,
    '100 connections, QoS 1, 48-byte JSON, window 1,000, saturating; all on the same CPUs.',
    args,
  )
}

if (import.meta.main) await bench()
