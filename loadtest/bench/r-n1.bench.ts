/**
 * N-1 beside routes: device socket → queryable row with everything on 2 CPUs, without routes, with a route by a property to a second table, and
 * with one by the body. Reach: with the property at least 0.85 of without routes. What the second table gets is counted.
 */
import { assertClean } from '#loadtest/ledger/reconcile.ts'
import { queryRows } from '#loadtest/observe/query-rows.ts'
import { deviceIdOf, loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { routedPropertyBag, startRouted, until } from './routed-penstock.ts'

const bothCpus = '0,1'
const drainMsMax = 600_000
const rate = 'rows/s until the last is stored'

interface Variant {
  readonly name: string
  readonly condition: (run: string) => string | undefined
  /** Of rows of the default table, those that the second one must have. */
  readonly selected: (run: string) => string
}

const variants: readonly Variant[] = [
  { name: 'no routes', condition: () => undefined, selected: () => 'false' },
  {
    name: '1 property route, 1 % selected',
    condition: (run) => `device = '${deviceIdOf(run, 7)}'`,
    selected: (run) => `device_id = '${deviceIdOf(run, 7)}'`,
  },
  {
    name: '1 body route, half selected',
    condition: () => '$body.seq % 2 = 0',
    selected: () => "JSONExtractUInt(body, 'seq') % 2 = 0",
  },
]

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 20 })
  const record = new BenchRecord('r-n1', 'N-1 beside routes')
  for (let round = 0; round < args.rounds; round++)
    // In turn, and each round begins with another one.
    for (let turn = 0; turn < variants.length; turn++) {
      const variant = variants[(round + turn) % variants.length]
      if (variant) await measure(variant, `rn1r${round}v${turn}`, args.seconds, record)
    }
  const ratioOf = (index: number) =>
    record.median(`${variants[index]?.name}: ${rate}`) / record.median(`${variants[0]?.name}: ${rate}`)
  record.finish(
    `**${ratioOf(1).toFixed(2)} of N-1 without routes by a property (reach 0.85), ${ratioOf(2).toFixed(2)} by the body. The second table had all that was selected.**`,
    `100 connections, QoS 1, 48-byte JSON, one property a message and its content type, window 1,000, saturating; Penstock and generator on CPUs ${bothCpus}.`,
    args,
  )
}

async function measure({ name, condition, selected }: Variant, run: string, seconds: number, record: BenchRecord) {
  const routed = await startRouted(bothCpus)
  try {
    const { penstock } = routed
    const text = condition(run)
    if (text !== undefined)
      await routed.route({
        routes: [{ name: 'second', condition: text, endpointNames: ['second'] }],
        endpoints: [{ name: 'second', kind: 'clickhouse', database: 'own', table: 'second' }],
      })
    const target = { url: penstock.mqttUrl, clickhouse: penstock.clickhouseUrl }
    const sent = { rate: 'saturate', propertyBag: routedPropertyBag, cpuList: bothCpus } as const
    const result = await runLoad({ ...loadDefaults, ...target, ...sent, run, seconds, drainMsMax: 120_000 })
    record.add(`${name}: ${rate}`, result.storedPerSecond ?? 0)
    record.add(`${name}: PUBACK p99, ms`, result.latency.acknowledged.summary.p99Ms)
    if (result.reconciliation) assertClean(result.reconciliation)
    if (text === undefined) return
    const begunMs = performance.now()
    const count = async (statement: string) => Number((await queryRows(penstock.clickhouseUrl, statement, {}))[0]?.[0])
    const wanted = await count(`SELECT count() FROM penstock.telemetry WHERE ${selected(run)}`)
    await until(async () => (await count('SELECT count() FROM own.second')) >= wanted, drainMsMax)
    const distinct = await count('SELECT uniqExact(device_id, body) FROM own.second')
    if (distinct !== wanted || (await count('SELECT count() FROM own.second')) !== wanted)
      throw new Error(`of ${wanted} selected messages the second table has ${distinct}`)
    record.add(`${name}: seconds until the second table has all`, (performance.now() - begunMs) / 1000)
  } finally {
    await routed.stop()
  }
}

if (import.meta.main) await bench()
