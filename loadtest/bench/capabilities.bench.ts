/**
 * What each capability adds to an installation, and whether all of them together cost the sum of what each adds: a run that no part saw.
 *
 *   at rest ─▶ each part alone ─▶ its cores − those at rest   ┐
 *                                                             ├─ planned: at rest + the sum of what each adds
 *   at rest ─▶ all parts at once ─▶ measured                  ┘
 *
 * Rates are those of a schedule, so that parts and whole do the same work. CPU is of all processes of the installation, and of its store.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RestClient } from '#control/client/client.ts'
import { postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { deviceIdOf } from '#loadtest/options/load-options.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { freePort } from '#runtime/free-ports.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { type RegisteredLoad, RegisteredPenstock } from './registered-penstock.ts'
import { selfSigned } from './self-signed.ts'

interface Part extends Pick<RegisteredLoad, 'kind' | 'connections'> {
  readonly name: string
  readonly rate: number
  readonly isAmqp?: boolean
  /** A route takes one of its devices to a second table. */
  readonly isRouted?: boolean
}

const mqtt: Part = { name: 'telemetry over MQTT', kind: 'telemetry', connections: 500, rate: 5_000 }
const routed: Part = { ...mqtt, name: 'telemetry over MQTT and a route by a property', isRouted: true }
const others: readonly Part[] = [
  { name: 'telemetry over AMQPS', kind: 'telemetry', connections: 200, rate: 2_000, isAmqp: true },
  { name: 'reported properties', kind: 'reported', connections: 200, rate: 400 },
  { name: 'desired properties', kind: 'desired', connections: 200, rate: 100 },
  { name: 'commands', kind: 'commands', connections: 200, rate: 100 },
  { name: 'direct methods', kind: 'methods', connections: 200, rate: 50 },
]
/** Numbers of devices of one part. */
const devicesApart = 1_000
const warmUpSeconds = 3
const restMs = 5_000
const connectRate = 500
const connectMsMax = 60_000

/** One installation, with a certificate for AMQPS. */
class Installation {
  readonly #penstock: RegisteredPenstock
  readonly #amqpsUrl: string
  readonly #storeCpuSeconds: () => number
  #runs = 0
  /** The least share of what was due that was also done, of all runs so far. */
  doneShare = 1

  constructor(penstock: RegisteredPenstock, amqpsUrl: string, storeCpuSeconds: () => number) {
    this.#penstock = penstock
    this.#amqpsUrl = amqpsUrl
    this.#storeCpuSeconds = storeCpuSeconds
  }

  /** Cores that are busy while nobody does anything. */
  async atRest(): Promise<number> {
    const [before, beganMs] = [this.#cpuSeconds(), performance.now()]
    await sleep(systemClock, restMs)
    return ((this.#cpuSeconds() - before) * 1_000) / (performance.now() - beganMs)
  }

  /** Cores that are busy while these parts go side by side, behind the warm-up. */
  async under(given: readonly Part[], seconds: number): Promise<number> {
    const run = `parts${this.#runs++}`
    let begunMs: number | undefined
    await this.#route(given.flatMap(({ isRouted }, index) => (isRouted ? [deviceIdOf(run, index * devicesApart)] : [])))
    const looks: { readonly atMs: number; readonly cpuSeconds: number; readonly settled: number }[] = []
    await this.#penstock.loads(
      given.map((part, index) => this.#loadOf(part, { run, firstDevice: index * devicesApart, seconds })),
      ({ sent, settled }) => {
        const atMs = performance.now()
        if (sent > 0) begunMs ??= atMs
        const wentMs = atMs - (begunMs ?? atMs)
        if (wentMs >= warmUpSeconds * 1_000 && wentMs < (warmUpSeconds + seconds) * 1_000)
          looks.push({ atMs, cpuSeconds: this.#cpuSeconds(), settled })
      },
    )
    const [first, last] = [looks[0], looks.at(-1)]
    if (first === undefined || last === undefined || first === last) return Number.NaN
    const wentSeconds = (last.atMs - first.atMs) / 1_000
    const due = given.reduce((sum, { rate }) => sum + rate, 0) * wentSeconds
    this.doneShare = Math.min(this.doneShare, (last.settled - first.settled) / due)
    return (last.cpuSeconds - first.cpuSeconds) / wentSeconds
  }

  #loadOf(part: Part, given: Pick<RegisteredLoad, 'run' | 'firstDevice' | 'seconds'>): RegisteredLoad {
    const { name, kind, connections, rate, isAmqp } = part
    return {
      ...given,
      workload: name,
      kind,
      connections,
      rate,
      seconds: given.seconds + warmUpSeconds,
      connectRate,
      connectMsMax,
      propertyBag: kind === 'telemetry' ? 'device={device}' : '',
      ...(isAmqp && { url: this.#amqpsUrl, isTlsUnverified: true }),
    }
  }

  async #route(deviceIds: readonly string[]): Promise<void> {
    const condition = deviceIds.map((deviceId) => `device = '${deviceId}'`).join(' OR ')
    const document = {
      endpoints: [{ name: 'few', kind: 'clickhouse', table: 'few' }],
      routes: deviceIds.length === 0 ? [] : [{ name: 'few', condition, endpointNames: ['few'] }],
    }
    await new RestClient(this.#penstock.access).call('PUT', '/routing', document, { 'If-Match': '*' })
  }

  #cpuSeconds(): number {
    return this.#penstock.target.cpuSeconds() + this.#storeCpuSeconds()
  }
}

async function measure(installation: Installation, seconds: number, add: (figure: string, value: number) => void) {
  const rest = await installation.atRest()
  add('at rest', rest)
  const alone = async (part: Part): Promise<number> => {
    const cores = await installation.under([part], seconds)
    add(part.name, cores - rest)
    return cores - rest
  }
  await alone(mqtt)
  let planned = rest
  for (const part of [routed, ...others]) planned += await alone(part)
  const measured = await installation.under([routed, ...others], seconds)
  add('all at once, planned', planned)
  add('all at once, measured', measured)
  add('planned ÷ measured', planned / measured)
  add('done ÷ due, at the worst', installation.doneShare)
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 10 })
  const record = new BenchRecord('capabilities', 'What capabilities add, and whether it adds up')
  const stores = postgresMissing() === undefined ? (['PostgreSQL', 'embedded'] as const) : (['embedded'] as const)
  for (let round = 0; round < args.rounds; round++)
    for (const store of stores) {
      const server = store === 'PostgreSQL' ? await startPostgres({ isDurable: true }) : undefined
      const folder = mkdtempSync(join(tmpdir(), 'penstock-capabilities-'))
      const { certFile, keyFile } = selfSigned(folder)
      const amqpsPort = await freePort()
      const storeCpuSeconds = () => server?.cpuSeconds() ?? 0
      const environment = {
        PENSTOCK_TLS_CERT: certFile,
        PENSTOCK_TLS_KEY: keyFile,
        PENSTOCK_MQTTS_PORT: '0',
        PENSTOCK_HTTPS_PORT: '0',
        PENSTOCK_AMQPS_PORT: String(amqpsPort),
        ...(server && { PENSTOCK_POSTGRES_URL: server.url }),
      }
      const penstock = await RegisteredPenstock.start(environment, storeCpuSeconds)
      try {
        const installation = new Installation(penstock, `amqps://127.0.0.1:${amqpsPort}`, storeCpuSeconds)
        await measure(installation, args.seconds, (figure, value) => record.add(`${store}: ${figure}`, value))
      } finally {
        await penstock.stop()
        await server?.stop()
        rmSync(folder, { recursive: true, force: true })
      }
    }
  const verdicts = stores.map((store) => `${store} ${record.median(`${store}: planned ÷ measured`).toFixed(2)}`)
  const rates = [mqtt, ...others].map(({ name, rate, connections }) => `${name} ${rate}/s of ${connections} devices`)
  record.finish(
    `**Planned ÷ measured: ${verdicts.join(', ')}.**`,
    `Cores busy, at rest and beyond that. ${rates.join(', ')}; everything and the generators on all CPUs.`,
    args,
  )
}

if (import.meta.main) await bench()
