/**
 * N-1 with pinned fields: device socket → queryable row with everything on 2 CPUs, without models, with three pinned fields, and with their
 * charts besides; against what the engine alone inserts without any. Reach: 0.75 and 0.65 of the engine alone. Rows are compared with bodies.
 */
import { changesFor } from '#control/models/model-changes.ts'
import { assertClean } from '#loadtest/ledger/reconcile.ts'
import { queryRows } from '#loadtest/observe/query-rows.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { ModelTable } from '#schemas/models/model.ts'
import { measureEngineAlone } from '../peers/engine-alone.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

const bothCpus = '0,1'
const engineCpu = '0'
const alone = 'engine alone, rows/s'
const rate = 'rows/s until the last is stored'
const roles = ['edge', 'worker', 'warehouse'] as const

/** What load tests send. */
const model: ModelTable = {
  name: 'load',
  guard: { kind: 'every' },
  fields: [
    { name: 'seq', path: ['seq'], type: 'long', isList: false },
    { name: 'at', path: ['at'], type: 'long', isList: false },
    { name: 'v', path: ['v'], type: 'string', isList: false },
  ],
  pins: ['seq', 'at', 'v'],
  hasCharts: false,
}

const variants: readonly (readonly [name: string, models: readonly ModelTable[]])[] = [
  ['no models', []],
  ['three pinned fields', [model]],
  ['three pinned fields and charts', [{ ...model, hasCharts: true }]],
]

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 20 })
  const record = new BenchRecord('pinned', 'N-1 with pinned fields')
  for (let round = 0; round < args.rounds; round++) {
    await measureEngine(Math.min(args.seconds, 10), record)
    // In turn, and each round begins with another one.
    for (let turn = 0; turn < variants.length; turn++) {
      const [name, models] = variants[(round + turn) % variants.length] ?? ['', []]
      await measure(name, models, `pr${round}v${turn}`, args.seconds, record)
    }
  }
  const [plain = 0, pinned = 0, charted = 0] = variants.map(([name]) => record.median(`${name}: ${rate}`))
  const engine = record.median(alone)
  record.finish(
    `**Of the engine alone: ${(plain / engine).toFixed(2)} without models, ${(pinned / engine).toFixed(2)} with three pinned fields (reach 0.75), ` +
      `${(charted / engine).toFixed(2)} with their charts (reach 0.65). Of N-1 without models: ${(pinned / plain).toFixed(2)} and ${(charted / plain).toFixed(2)}. ` +
      'Every pinned column had what its body says.**',
    `100 connections, QoS 1, 48-byte JSON, two whole numbers and a text of it pinned, window 1,000, saturating; Penstock and generator on CPUs ${bothCpus}, the engine alone on CPU ${engineCpu}.`,
    args,
  )
}

async function measureEngine(seconds: number, record: BenchRecord): Promise<void> {
  const engine = await startMeasured('warehouse', { cpuList: engineCpu })
  try {
    const options = { clickhouse: engine.clickhouseUrl, pid: engine.pid, seconds, rowsPerInsert: 262_144 }
    record.add(alone, (await measureEngineAlone(options)).rowsPerSecond)
  } finally {
    await engine.stop()
  }
}

async function measure(
  name: string,
  models: readonly ModelTable[],
  run: string,
  seconds: number,
  record: BenchRecord,
): Promise<void> {
  const penstock = await startMeasured('start', { cpuList: bothCpus })
  try {
    await pin(penstock.clickhouseUrl, models)
    const before = roles.map((role) => penstock.cpuSeconds(role))
    const target = { url: penstock.mqttUrl, clickhouse: penstock.clickhouseUrl }
    const sent = { rate: 'saturate', cpuList: bothCpus, drainMsMax: 120_000 } as const
    const result = await runLoad({ ...loadDefaults, ...target, ...sent, run, seconds })
    record.add(`${name}: ${rate}`, result.storedPerSecond ?? 0)
    record.add(`${name}: PUBACK p99, ms`, result.latency.acknowledged.summary.p99Ms)
    const millions = result.counts.atEnd.settled / 1e6
    for (const [index, role] of roles.entries())
      record.add(
        `${name}: ${role}, CPU seconds a million messages`,
        (penstock.cpuSeconds(role) - (before[index] ?? 0)) / millions,
      )
    if (result.reconciliation) assertClean(result.reconciliation)
    if (models.length > 0) await assertRight(penstock.clickhouseUrl)
  } finally {
    await penstock.stop()
  }
}

/** Without the control role, whose store would take part in the measurement. */
async function pin(url: string, models: readonly ModelTable[]): Promise<void> {
  const warehouse = openWarehouse({ url, user: 'default', password: '', requestMsMax: 60_000 })
  const nothing = { columns: new Map(), tables: new Map(), projections: [] }
  for (const statement of changesFor(models, nothing, { replicated: false, ttlDays: 0 }).statements)
    await warehouse.command(statement)
  await warehouse.close()
}

async function assertRight(url: string): Promise<void> {
  const differing =
    "countIf(load_seq IS DISTINCT FROM JSONExtractInt(body, 'seq') OR load_at IS DISTINCT FROM JSONExtractInt(body, 'at') " +
    "OR load_v IS DISTINCT FROM JSONExtractString(body, 'v'))"
  const [row] = await queryRows(url, `SELECT ${differing} FROM penstock.telemetry`, {})
  if (Number(row?.[0]) !== 0) throw new Error(`${row?.[0]} rows have not in their columns what their bodies say`)
}

if (import.meta.main) await bench()
