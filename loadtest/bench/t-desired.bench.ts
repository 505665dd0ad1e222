/**
 * T-3: a service changes a desired property over REST → the device has the PUBLISH, at half of what the installation takes. How much that
 * is, is measured first, in the same installation. Reach: p50 ≤ 5 ms, p99 ≤ 30 ms.
 */
import { postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { RegisteredPenstock } from './registered-penstock.ts'

const connections = 1_000
/** More than any installation takes: each device's changes are made one after the other, so that the service waits instead. */
const saturatingRate = 20_000
/** Not in the latencies: code is compiled. */
const warmUpSeconds = 2
const connectRate = 500

type Add = (figure: string, value: number) => void

async function measure(penstock: RegisteredPenstock, round: number, seconds: number, add: Add): Promise<void> {
  const load = { kind: 'desired', connections, connectRate } as const
  const whole = await penstock.load({ ...load, run: `t3s${round}`, rate: saturatingRate, seconds, drainMsMax: 120_000 })
  const [exchange] = whole.result.exchanges
  const taken = ((exchange?.counts.answered ?? 0) * 1_000) / whole.result.consumedMs
  add('taken at most, changes/s', taken)
  const rate = Math.max(1, Math.round(taken / 2))
  const half = await penstock.load({
    ...load,
    run: `t3h${round}`,
    rate,
    warmUpSeconds,
    seconds: seconds + warmUpSeconds,
  })
  const [{ answered, arrived } = {}] = half.result.exchanges
  add('offered changes/s', rate)
  add('REST → device p50, ms', arrived?.summary.p50Ms ?? Number.NaN)
  add('REST → device p99, ms', arrived?.summary.p99Ms ?? Number.NaN)
  add('REST → answer p50, ms', answered?.summary.p50Ms ?? Number.NaN)
  add('REST → answer p99, ms', answered?.summary.p99Ms ?? Number.NaN)
  add('changes/s a core', half.perCore)
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 10 })
  const record = new BenchRecord('t-desired', 'T-3: desired properties, until the device has them')
  const stores = postgresMissing() === undefined ? (['PostgreSQL', 'embedded'] as const) : (['embedded'] as const)
  for (let round = 0; round < args.rounds; round++)
    for (const store of stores) {
      const server = store === 'PostgreSQL' ? await startPostgres({ isDurable: true }) : undefined
      const environment = server === undefined ? {} : { PENSTOCK_POSTGRES_URL: server.url }
      const penstock = await RegisteredPenstock.start(environment, () => server?.cpuSeconds() ?? 0)
      try {
        await measure(penstock, round, args.seconds, (figure, value) => record.add(`${store}: ${figure}`, value))
      } finally {
        await penstock.stop()
        await server?.stop()
      }
    }
  const verdicts = stores.map((store) => {
    const [p50, p99] = ['p50', 'p99'].map((figure) => record.median(`${store}: REST → device ${figure}, ms`))
    const answer = record.median(`${store}: REST → answer p99, ms`)
    return `${store} p50 ${p50?.toFixed(1)} ms (reach 5), p99 ${p99?.toFixed(1)} ms (reach 30), ${((p99 ?? 0) / answer).toFixed(2)} × the p99 of the service's own answer`
  })
  record.finish(
    `**T-3: ${verdicts.join('; ')}.**`,
    `${connections.toLocaleString('en')} devices, half of what was taken at most; everything and the generator on all CPUs. The first ${warmUpSeconds} s are not counted.`,
    args,
  )
}

if (import.meta.main) await bench()
