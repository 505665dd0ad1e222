/**
 * `node control/jobs.bench.ts [devices] [postgres|embedded] [devices a second]`: jobs over all of many devices (100,000 by default), as fast as the
 * store lets where nothing else is asked for: twin updates, methods that are answered at once, one whose process ends in the middle and
 * begins anew, one that is cancelled in the middle, and forgetting them. Prints a JSON line for each; results are appended to
 * docs/benchmarks/jobs.md by hand with their machine.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { Pace } from '#runtime/pace.ts'
import { statusBytesOf } from '#runtime/proc.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { DeviceJobType, Job } from './jobs/jobs.ts'
import { runJobs } from './jobs/run-jobs.ts'
import type { Methods } from './methods/methods.ts'
import { type Registry, registryOver } from './open-registry.ts'
import { idAt, importDevices, seconds } from './registry.bench.ts'
import { openDatabase } from './store/open-database.ts'

const lookMs = 100
const twinsLookedAt = 1_000

const contents: Readonly<Record<DeviceJobType, string>> = {
  scheduleUpdateTwin: '{"etag":"*","tags":{"floor":2},"properties":{"desired":{"on":true,"level":5}}}',
  scheduleDeviceMethod: '{"methodName":"reboot","payload":{"in":5}}',
}

const answering: Methods = { call: async () => ({ kind: 'answered', status: 200, payload: '{"done":true}' }) }

class Bench {
  readonly #registry: Registry
  readonly #devices: number
  readonly #perSecond: number
  #twinJobs = 0

  constructor(registry: Registry, devices: number, perSecond: number) {
    this.#registry = registry
    this.#devices = devices
    this.#perSecond = perSecond
  }

  /** When all devices were found, and how fast each quarter of them was done: what grows with their number would show. */
  async whole(type: DeviceJobType): Promise<void> {
    const end = this.#run()
    const id = await this.#create(type)
    const memory = new Memory()
    const moments = [momentNow()]
    const reached = async (holds: (job: Job) => boolean): Promise<void> => {
      await this.#until(id, holds, memory)
      moments.push(momentNow())
    }
    await reached(({ statistics }) => statistics.pending < statistics.devices)
    for (const part of [1, 2, 3, 4])
      await reached(({ statistics }) => statistics.succeeded >= (part / 4) * this.#devices)
    await this.#until(id, ({ endedAtMs }) => endedAtMs !== undefined)
    await end()
    const rates = (of: keyof Moment): number[] =>
      moments.slice(1).map((moment, index) => {
        const count = index === 0 ? this.#devices : this.#devices / 4
        return Math.round(count / (moment[of] - (moments[index]?.[of] ?? 0)))
      })
    const [[found, ...done], [foundByCpu, ...doneByCpu]] = [rates('seconds'), rates('cpuSeconds')]
    this.#print(type, {
      ...{ foundPerSecond: found, donePerSecondByQuarter: done },
      ...{ foundPerCpuSecond: foundByCpu, donePerCpuSecondByQuarter: doneByCpu },
      ...memory.figures(),
    })
    await this.#checkTwins(type)
  }

  /** Page by page, as a job does it. */
  async finding(condition: string): Promise<void> {
    const page = limits.registryPageMax
    const taken = await seconds(async () => {
      let ids: readonly string[] = ['']
      do ids = await this.#registry.queries.devicesWhere(condition, ids.at(-1) ?? '', page)
      while (ids.length === page)
    })
    this.#print(`finding the devices of ${condition}`, { perSecond: Math.round(this.#devices / taken) })
  }

  async restarted(): Promise<void> {
    const end = this.#run()
    const id = await this.#create('scheduleUpdateTwin')
    await this.#until(id, ({ statistics }) => statistics.succeeded >= this.#devices / 2)
    const stopSeconds = await seconds(end)
    const { succeeded } = (await this.#registry.jobs.get(id)).statistics
    const endAgain = this.#run()
    const onSeconds = await seconds(() => this.#until(id, ({ statistics }) => statistics.succeeded > succeeded))
    await this.#until(id, ({ endedAtMs }) => endedAtMs !== undefined)
    await endAgain()
    const { statistics } = await this.#registry.jobs.get(id)
    this.#print('restart in the middle', { stopSeconds, onSeconds, statistics })
    await this.#checkTwins('scheduleUpdateTwin')
  }

  async cancelled(): Promise<void> {
    const end = this.#run()
    const id = await this.#create('scheduleUpdateTwin')
    await this.#until(id, ({ statistics }) => statistics.succeeded >= this.#devices / 4)
    let atCancel = 0
    const cancelSeconds = await seconds(async () => {
      atCancel = (await this.#registry.jobs.cancel(id)).statistics.succeeded
    })
    await wait(1_000)
    const { succeeded } = (await this.#registry.jobs.get(id)).statistics
    await end()
    this.#print('cancel in the middle', { cancelSeconds, doneAtCancel: atCancel, doneLater: succeeded - atCancel })
  }

  async forgotten(age: () => Promise<unknown>): Promise<void> {
    await age()
    const memory = new Memory()
    const taken = await seconds(async () => {
      while (await this.#registry.jobs.sweep()) memory.look()
    })
    this.#print('forgetting all of them', { seconds: Math.round(taken), ...memory.figures() })
  }

  #run(): () => Promise<void> {
    const { jobs: work, twins, queries } = this.#registry
    const pace = new Pace(this.#perSecond, systemClock)
    const metrics = new Metrics(metricsTable)
    const transfer = async (): Promise<void> => {}
    const parts = { work, twins, transfer, methods: answering, devicesWhere: queries.devicesWhere, pace, metrics }
    return runJobs({ ...parts, clock: systemClock, logger: silentLogger })
  }

  async #create(type: DeviceJobType): Promise<string> {
    if (type === 'scheduleUpdateTwin') this.#twinJobs++
    const job = { type, condition: '*', content: contents[type], startAtMs: undefined, executionSeconds: 86_400 }
    return (await this.#registry.jobs.create({ ...job, id: `${type}-${this.#twinJobs}` })).id
  }

  async #until(id: string, holds: (job: Job) => boolean, memory?: Memory): Promise<void> {
    while (!holds(await this.#registry.jobs.get(id))) {
      memory?.look()
      await wait(lookMs)
    }
  }

  /** Each job changed each twin once. */
  async #checkTwins(type: DeviceJobType): Promise<void> {
    if (type !== 'scheduleUpdateTwin') return
    for (let look = 0; look < twinsLookedAt; look++) {
      const deviceId = idAt(Math.floor((look * this.#devices) / twinsLookedAt))
      const { desiredVersion } = await this.#registry.deviceTwins.read({ deviceId, moduleId: undefined })
      if (desiredVersion !== this.#twinJobs + 1) throw new Error(`${deviceId} is at version ${desiredVersion}`)
    }
  }

  #print(step: string, figures: object): void {
    process.stdout.write(`${JSON.stringify({ step, ...figures })}\n`)
  }
}

interface Moment {
  readonly seconds: number
  /** Of this process, which holds the embedded store too: it says the same on a machine with other work. */
  readonly cpuSeconds: number
}

function momentNow(): Moment {
  const { user, system } = process.cpuUsage()
  return { seconds: systemClock.monotonicMs() / 1_000, cpuSeconds: (user + system) / 1e6 }
}

/** Of this process, as `Moment`. */
class Memory {
  readonly #before = Memory.#now()
  #most = this.#before

  look(): void {
    this.#most = Math.max(this.#most, Memory.#now())
  }

  figures(): object {
    return { megabytesBefore: this.#before, megabytesMost: this.#most }
  }

  static #now(): number {
    return Math.round(statusBytesOf(process.pid, 'RssAnon') / 2 ** 20)
  }
}

async function main(devices: number, kind: string, perSecond: number): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-jobs-bench-'))
  const server = kind === 'postgres' ? await startPostgres({ isDurable: true }) : undefined
  const place = server ? { postgresUrl: server.url, dataDir: undefined } : { postgresUrl: undefined, dataDir }
  const database = await openDatabase({ ...place, connectionsMax: 4, logger: silentLogger })
  const registry = await registryOver(database, systemClock, silentLogger)
  try {
    await importDevices(registry, devices)
    const bench = new Bench(registry, devices, perSecond)
    process.stdout.write(`${JSON.stringify({ store: kind, devices, perSecond })}\n`)
    await bench.whole('scheduleUpdateTwin')
    for (const condition of ['*', 'tags.floor = 2', 'tags.floor = 7']) await bench.finding(condition)
    await bench.whole('scheduleDeviceMethod')
    await bench.restarted()
    await bench.cancelled()
    await bench.forgotten(() => database.query(`UPDATE penstock.jobs SET ended_at = now() - interval '31 days'`))
  } finally {
    await registry.close()
    await server?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

await main(Number(process.argv[2] ?? 100_000), process.argv[3] ?? 'postgres', Number(process.argv[4] ?? 100_000))
