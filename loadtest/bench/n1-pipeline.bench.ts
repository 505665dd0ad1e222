/**
 * N-1: device socket → queryable row with everything and the generator on 2 CPUs, against what the ClickHouse engine alone inserts
 * into the same table on one CPU. Reach: ≥ 0.7.
 */

import { assertClean } from '#loadtest/ledger/reconcile.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { measureEngineAlone } from '../peers/engine-alone.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

const bothCpus = '0,1'
const engineCpu = '0'
const roles = ['edge', 'worker', 'warehouse'] as const

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 20 })
  const record = new BenchRecord('n1-pipeline', 'N-1: from the device’s socket to the queryable row')
  for (let round = 0; round < args.rounds; round++) {
    const engine = await startMeasured('warehouse', { cpuList: engineCpu })
    try {
      const alone = await measureEngineAlone({
        clickhouse: engine.clickhouseUrl,
        pid: engine.pid,
        seconds: Math.min(args.seconds, 10),
        rowsPerInsert: 262_144,
      })
      record.add('engine alone, rows/s', alone.rowsPerSecond)
      record.add('engine alone, rows a CPU second', alone.rowsPerCpuSecond)
    } finally {
      await engine.stop()
    }
    const penstock = await startMeasured('start', { cpuList: bothCpus })
    try {
      const cpuOfRoles = () => roles.map((role) => penstock.cpuSeconds(role))
      const before = cpuOfRoles()
      // Taken when the last row came: the checker's own queries are not the pipeline's cost.
      let [after, rowsSeen] = [before, 0]
      const onRows = (rows: number) => {
        if (rows > rowsSeen) after = cpuOfRoles()
        rowsSeen = Math.max(rows, rowsSeen)
      }
      const load = {
        ...loadDefaults,
        url: penstock.mqttUrl,
        clickhouse: penstock.clickhouseUrl,
        rate: 'saturate',
      } as const
      const result = await runLoad(
        { ...load, run: `n1r${round}`, seconds: args.seconds, drainMsMax: 120_000, cpuList: bothCpus },
        { onRows },
      )
      const millions = result.counts.atEnd.settled / 1e6
      record.add('pipeline, acknowledged messages/s', result.acknowledgedPerSecond)
      record.add('pipeline, rows/s until the last is stored', result.storedPerSecond ?? 0)
      record.add('pipeline, PUBACK p99, ms', result.latency.acknowledged.summary.p99Ms)
      for (const [index, role] of roles.entries())
        record.add(`${role}, CPU seconds a million messages`, ((after[index] ?? 0) - (before[index] ?? 0)) / millions)
      const generatorSeconds = result.generators.reduce(
        (sum, { cpuShare }) => sum + cpuShare * (result.sendMs / 1000),
        0,
      )
      record.add('generator, CPU seconds a million messages', generatorSeconds / millions)
      if (result.reconciliation) assertClean(result.reconciliation)
    } finally {
      await penstock.stop()
    }
  }
  const ratio = record.median('pipeline, rows/s until the last is stored') / record.median('engine alone, rows/s')
  record.finish(
    `**${ratio.toFixed(2)} of what the engine alone inserts (reach 0.7). Every run reconciled: nothing lost, repeated or out of order.**`,
    `100 connections, QoS 1, 48-byte JSON, window 1,000, saturating; Penstock and generator on CPUs ${bothCpus}, the engine alone on CPU ${engineCpu}.`,
    args,
  )
}

if (import.meta.main) await bench()
