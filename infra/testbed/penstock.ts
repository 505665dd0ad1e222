/**
 * Penstock as a user runs it, for tests, scenarios of faults and benches: all roles, or one. It can be stopped, killed and started again
 * on the same ports and data.
 */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep, systemClock } from '#runtime/clock.ts'
import { freePorts } from '#runtime/free-ports.ts'
import { commandLineOf, cpuSecondsOf, processTreeOf } from '#runtime/processes.ts'
import { accepts, ServerProcess } from './server-process.ts'
import type { Target } from './target.ts'

export type Role = 'edge' | 'worker' | 'router' | 'warehouse' | 'control'

/** `PENSTOCK_…` and what else is in the environment of its processes. */
export type PenstockSettings = Readonly<Record<string, string>>

export interface PenstockOptions {
  /** Left out: all roles. */
  readonly command?: 'start' | Role
  /** What stands behind the command. */
  readonly args?: readonly string[]
  /** Without PENSTOCK_DATA_DIR the data lies in a temporary folder, which goes when it stops. */
  readonly settings?: PenstockSettings
  /** A command line that runs another one, e.g. that of a `Namespace`, or `taskset`. */
  readonly through?: readonly string[]
  /** Of the tree that is started; left out: this one. */
  readonly root?: string
  /** Shows warnings and errors as they come, besides keeping them. */
  readonly showsErrors?: boolean
  /** How long its start may take; more where many start at once. */
  readonly readyMsMax?: number
}

interface Addresses {
  readonly mqttUrl: string
  readonly httpUrl: string
  readonly clickhouseUrl: string
}

const thisRoot = join(import.meta.dirname, '../..')
const pollMs = 20

/** All roles with data in a given folder, on ports that are free. */
export function startPenstock(
  dataDir: string,
  settings: PenstockSettings = {},
  through: readonly string[] = [],
): Promise<RunningPenstock> {
  return RunningPenstock.start({ settings: { PENSTOCK_DATA_DIR: dataDir, ...settings }, through })
}

/** Free ports as settings: what is started again on them is found again by its clients. */
export async function penstockPorts(): Promise<PenstockSettings> {
  const [mqtt, http, clickhouse] = await freePorts(3)
  return {
    PENSTOCK_MQTT_PORT: String(mqtt),
    PENSTOCK_HTTP_PORT: String(http),
    PENSTOCK_CLICKHOUSE_PORT: String(clickhouse),
  }
}

export class RunningPenstock implements Target {
  readonly #command: 'start' | Role
  readonly #args: readonly string[]
  readonly #settings: PenstockSettings
  readonly #through: readonly string[]
  readonly #root: string
  readonly #showsErrors: boolean
  readonly #readyMsMax: number
  /** That `stop` removes. */
  readonly #ownFolder: string | undefined
  #process: ServerProcess
  #addresses: Addresses = { mqttUrl: '', httpUrl: '', clickhouseUrl: '' }

  private constructor(options: PenstockOptions, ports: PenstockSettings) {
    const { command = 'start', args = [], settings = {}, through = [], root = thisRoot, showsErrors = false } = options
    this.#ownFolder = 'PENSTOCK_DATA_DIR' in settings ? undefined : mkdtempSync(join(tmpdir(), 'penstock-run-'))
    this.#command = command
    this.#args = args
    this.#settings = {
      ...ports,
      ...(this.#ownFolder === undefined ? {} : { PENSTOCK_DATA_DIR: this.#ownFolder }),
      ...settings,
    }
    this.#through = through
    this.#root = root
    this.#showsErrors = showsErrors
    this.#readyMsMax = options.readyMsMax ?? 120_000
    this.#process = this.#spawn({})
  }

  /** Starts it and resolves when it can take traffic. @throws LOADTEST_TARGET_UNREACHABLE with its output */
  static async start(options: PenstockOptions = {}): Promise<RunningPenstock> {
    // All roles together say what they listen on.
    const isToldPorts = (options.command ?? 'start') === 'start'
    const anyPorts = { PENSTOCK_MQTT_PORT: '0', PENSTOCK_HTTP_PORT: '0', PENSTOCK_CLICKHOUSE_PORT: '0' }
    const penstock = new RunningPenstock(options, isToldPorts ? anyPorts : await penstockPorts())
    await penstock.#untilReady()
    return penstock
  }

  get name(): string {
    return this.#command === 'start' ? 'Penstock' : `Penstock ${this.#command}`
  }

  get mqttUrl(): string {
    return this.#addresses.mqttUrl
  }

  get httpUrl(): string {
    return this.#addresses.httpUrl
  }

  get clickhouseUrl(): string {
    return this.#addresses.clickhouseUrl
  }

  get metricsUrl(): string {
    return `${this.httpUrl}/metrics`
  }

  get pid(): number {
    return this.#process.pid
  }

  get running(): boolean {
    return this.#process.running
  }

  /** What it wrote since it was last started, for messages of failed tests. */
  output(): string {
    return this.#process.output
  }

  /** Process ids of a role as they are now; none while it is being started again. */
  pidsOf(role: Role): number[] {
    if (!this.running) return []
    const command = new RegExp(`penstock\\.[jt]s ${role}( |$)`)
    return processTreeOf(this.pid).filter((pid) => command.test(commandLineOf(pid)))
  }

  /** CPU seconds so far of the processes of a role; of all without it. */
  cpuSeconds(role?: Role): number {
    if (role === undefined) return this.#process.cpuSeconds()
    return this.pidsOf(role).reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
  }

  residentBytes(): number {
    return this.#process.residentBytes()
  }

  /** Starts it again, with other settings on top for this time. @throws as the first start */
  async start(settings: PenstockSettings = {}): Promise<void> {
    this.#process = this.#spawn(settings)
    await this.#untilReady()
  }

  /**
   * One more worker on the same log and warehouse. It joins the group by itself, and is whoever's who started it to stop.
   * @param root of the tree that is started; left out: that of this
   */
  addWorker(root = this.#root): Promise<RunningPenstock> {
    return RunningPenstock.start({
      command: 'worker',
      through: this.#through,
      root,
      settings: {
        ...this.#settings,
        PENSTOCK_CLICKHOUSE_URL: this.clickhouseUrl,
        PENSTOCK_HTTP_PORT: '0',
        // It says when it delivers.
        PENSTOCK_LOG_LEVEL: 'info',
      },
    })
  }

  /** One more edge process, to which the system gives a share of the devices that connect at the MQTT port. Its other ports are its own. */
  async addEdge(root = this.#root): Promise<RunningPenstock> {
    const own = await penstockPorts()
    return await RunningPenstock.start({
      command: 'edge',
      args: ['--index', '9'],
      through: this.#through,
      root,
      settings: { ...this.#settings, ...own, PENSTOCK_MQTT_PORT: new URL(this.mqttUrl).port },
    })
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    const code = await this.#process.stop()
    await this.#removeOwnFolder()
    return code
  }

  /** kill -9; resolves once its roles are gone too, which end by themselves. Data stays. */
  async kill(): Promise<void> {
    const roles = processTreeOf(this.pid).filter((pid) => pid !== this.pid)
    await this.#process.stop('SIGKILL')
    while (roles.some((pid) => /penstock\.[jt]s /.test(commandLineOf(pid)))) await sleep(systemClock, pollMs)
  }

  #spawn(more: PenstockSettings): ServerProcess {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('PENSTOCK_'))
    const program = [...this.#through, process.execPath, join(this.#root, 'infra/penstock.js')]
    return new ServerProcess(`penstock ${this.#command}`, [...program, this.#command, ...this.#args], {
      environment: { ...Object.fromEntries(inherited), ...this.#settings, ...more },
      cwd: this.#root,
      showsErrors: this.#showsErrors,
    })
  }

  async #untilReady(): Promise<void> {
    try {
      await this.#process.until(() => this.#isReady(), this.#readyMsMax)
    } catch (error) {
      await this.#process.stop('SIGKILL')
      await this.#removeOwnFolder()
      throw error
    }
    this.#addresses = this.#command === 'start' ? addressesIn(this.output()) : addressesOf(this.#settings)
  }

  #isReady(): boolean | Promise<boolean> {
    switch (this.#command) {
      case 'start':
        // The last line of what it says once everything is ready.
        return this.output().includes('Stop:  ')
      case 'edge':
      case 'control':
        return isReadyAt(this.#settings)
      case 'warehouse':
        return accepts(Number(this.#settings.PENSTOCK_CLICKHOUSE_PORT), this.#settings.PENSTOCK_BIND)
      case 'worker':
        return this.output().includes('delivering')
      case 'router':
        return this.output().includes('routing revision=')
    }
  }

  async #removeOwnFolder(): Promise<void> {
    if (this.#ownFolder !== undefined) await rm(this.#ownFolder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const answerMsMax = 5_000

function isReadyAt({
  PENSTOCK_BIND: host = '127.0.0.1',
  PENSTOCK_HTTP_PORT: port,
}: PenstockSettings): Promise<boolean> {
  return fetch(`http://${host}:${port}/readyz`, { signal: AbortSignal.timeout(answerMsMax) }).then(
    ({ ok }) => ok,
    () => false,
  )
}

/** As `npm start` shows them. */
function addressesIn(output: string): Addresses {
  const address = (name: string): string => {
    const found = new RegExp(`${name} +(\\S+?://[^\\s/]+)`).exec(output)?.[1]
    if (found === undefined) throw new Error(`no address of ${name} in:\n${output}`)
    return found
  }
  return { mqttUrl: address('MQTT'), httpUrl: address('Health'), clickhouseUrl: address('ClickHouse') }
}

function addressesOf(settings: PenstockSettings): Addresses {
  const { PENSTOCK_MQTT_PORT: mqtt, PENSTOCK_HTTP_PORT: http, PENSTOCK_CLICKHOUSE_PORT: clickhouse } = settings
  const { PENSTOCK_BIND: host = '127.0.0.1' } = settings
  return {
    mqttUrl: `mqtt://${host}:${mqtt}`,
    httpUrl: `http://${host}:${http}`,
    clickhouseUrl: settings.PENSTOCK_CLICKHOUSE_URL ?? `http://${host}:${clickhouse}`,
  }
}
