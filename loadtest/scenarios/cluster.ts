/** Roles apart, each a process of its own and perhaps on a machine of its own, with Kafka, PostgreSQL and a warehouse that others started. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { type RestAccess, RestClient } from '#control/client/client.ts'
import { type PenstockSettings, type Role, RunningPenstock } from '#infra/testbed/penstock.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { aNumber, listOf, recordOf } from '#runtime/json-check.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { Stage } from './scenario.ts'

/** A process that has its name, its ports and its data for as long as the scenario lasts, whatever version it runs in. */
export interface ClusterProcess {
  readonly name: string
  readonly role: Role
  /** Its own, on top of the cluster's. */
  readonly settings: PenstockSettings
  /** A command line that runs another one on its machine. */
  readonly through?: readonly string[]
}

const thisRoot = join(import.meta.dirname, '../..')
const pollMs = 500
/** Many processes start at once, perhaps on few CPUs. */
const readyMsMax = 600_000
const startsMax = 10
const routedMsMax = 300_000
/** Longer than an insert of unknown outcome is waited for. */
const endpointsMsMax = 240_000

export class Cluster {
  readonly #stage: Stage
  readonly #settings: PenstockSettings
  readonly #running = new Map<string, RunningPenstock>()

  /** @param settings of all processes: where they find one another */
  constructor(stage: Stage, settings: PenstockSettings) {
    this.#stage = stage
    // Workers and routers say when they are ready.
    this.#settings = { ...stage.settings, PENSTOCK_LOG_LEVEL: 'info', ...settings }
    stage.own(() => this.#stopAll())
  }

  /**
   * Starts it, in the version whose tree lies at `root`. One that ends since something is away is started again, as by whoever supervises it.
   * @throws LOADTEST_TARGET_UNREACHABLE with what it said
   */
  async start(process: ClusterProcess, root = thisRoot): Promise<void> {
    const { name, role, settings, through = [] } = process
    const options = {
      command: role,
      args: role === 'edge' ? ['--index', '0'] : [],
      settings: { ...this.#settings, PENSTOCK_DATA_DIR: join(this.#stage.dataDir, name), ...settings },
      through,
      root,
      readyMsMax,
    }
    for (let attempt = 1; ; attempt++) {
      try {
        this.#running.set(name, await RunningPenstock.start(options))
        return
      } catch (error) {
        const isAway = isPenstockError(error) && /code=\w+_UNAVAILABLE\b/.test(error.message)
        if (!isAway || attempt === startsMax) throw error
      }
    }
  }

  /** Ends it in order. */
  async stop(name: string): Promise<void> {
    await this.#of(name).stop()
    this.#running.delete(name)
  }

  /** kill -9. */
  async kill(name: string): Promise<void> {
    await this.#of(name).kill()
    this.#running.delete(name)
  }

  pidOf(name: string): number {
    return this.#of(name).pid
  }

  /** What it said since it was started. */
  outputOf(name: string): string {
    return this.#of(name).output()
  }

  /** Sends all telemetry to a table of the warehouse, too, and resolves once routers deliver there. */
  async route(access: RestAccess): Promise<void> {
    const client = new RestClient(access)
    const endpoint = { name: 'routed', kind: 'clickhouse', database: 'own', table: 'routed' }
    const route = { name: 'all', condition: 'true', endpointNames: ['routed'] }
    await client.call('PUT', '/routing', { routes: [route], endpoints: [endpoint] }, { 'If-Match': '*' })
    const isRouted = async (): Promise<boolean> => {
      const { endpoints } = await client.json(routersCheck, 'GET', '/routing/endpoints')
      return endpoints.some(({ routers }) => routers > 0)
    }
    if (!(await within(routedMsMax, isRouted)))
      throw new PenstockError('LOADTEST_TARGET_UNREACHABLE', 'no router takes the endpoint up')
  }

  /** What `penstock verify` finds wrong with the endpoint of `route`; undefined once it holds every message once. */
  async endpointFault(through: readonly string[] = []): Promise<string | undefined> {
    let said = ''
    const isWhole = async (): Promise<boolean> => {
      const { code, output } = await this.#command(through, 'verify', '--endpoints')
      said = output
      return code === 0
    }
    return (await within(endpointsMsMax, isWhole)) ? undefined : `the endpoint of the route: ${said}`
  }

  #command(through: readonly string[], ...args: readonly string[]): Promise<{ code: number; output: string }> {
    const [program = '', ...rest] = [...through, process.execPath, join(thisRoot, 'infra/penstock.js'), ...args]
    const settings = { ...this.#settings, PENSTOCK_LOG_LEVEL: 'error' }
    return new Promise((resolve) => {
      execFile(program, rest, { env: { ...process.env, ...settings } }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` }),
      )
    })
  }

  #of(name: string): RunningPenstock {
    const running = this.#running.get(name)
    if (running === undefined) throw new Error(`${name} does not run`)
    return running
  }

  /** Edges first, as in order. */
  async #stopAll(): Promise<void> {
    const names = [...this.#running.keys()].reverse()
    for (const name of names) await this.stop(name)
  }
}

const routersCheck = recordOf({ endpoints: listOf(recordOf({ routers: aNumber })) })

/** Asks again and again; false if it is not so in time. */
async function within(msMax: number, isSo: () => Promise<boolean>): Promise<boolean> {
  const endMs = performance.now() + msMax
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > endMs) return false
    await sleep(systemClock, pollMs)
  }
  return true
}
