import { freePorts } from '#runtime/free-ports.ts'
import { commandLineOf, processTreeOf } from '#runtime/processes.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Site, Stage } from './scenario.ts'
import { notReady, StartedProcess } from './started-process.ts'

export type Role = 'edge' | 'worker' | 'warehouse'

type Settings = Readonly<Record<string, string>>

const readyMsMax = 120_000
const pollMs = 20

/** `penstock start` as a user runs it, whose processes a scenario stops, kills and starts again on the same ports and data. */
export class Installation {
  readonly mqttUrl: string
  readonly clickhouseUrl: string
  readonly #httpUrl: string
  readonly #settings: Settings
  #process: StartedProcess | undefined

  private constructor(settings: Settings) {
    this.#settings = settings
    this.mqttUrl = `mqtt://127.0.0.1:${settings.PENSTOCK_MQTT_PORT}`
    this.clickhouseUrl = settings.PENSTOCK_CLICKHOUSE_URL ?? `http://127.0.0.1:${settings.PENSTOCK_CLICKHOUSE_PORT}`
    this.#httpUrl = `http://127.0.0.1:${settings.PENSTOCK_HTTP_PORT}`
  }

  /** Chooses ports and starts. @throws LOADTEST_TARGET_UNREACHABLE */
  static async start(settings: Settings): Promise<Installation> {
    const [mqtt, http, clickhouse] = await freePorts(3)
    const ports = {
      PENSTOCK_MQTT_PORT: String(mqtt),
      PENSTOCK_HTTP_PORT: String(http),
      PENSTOCK_CLICKHOUSE_PORT: String(clickhouse),
    }
    const installation = new Installation({ ...ports, ...settings })
    await installation.start()
    return installation
  }

  /** Starts it (again), with other settings on top, and resolves when it can take traffic. */
  async start(settings: Settings = {}): Promise<void> {
    const started = new StartedProcess('penstock start', ['infra/penstock.ts', 'start'], {
      ...this.#settings,
      ...settings,
    })
    this.#process = started
    const deadlineMs = performance.now() + readyMsMax
    while (!(await this.#isReady())) {
      if (!started.isRunning) throw notReady(started)
      if (performance.now() > deadlineMs) {
        await started.kill()
        throw new PenstockError('LOADTEST_TARGET_UNREACHABLE', `not ready in time:\n${started.output.slice(-2_000)}`)
      }
      await sleep(pollMs)
    }
  }

  /** Where devices send to, and where rows are counted. */
  get urls(): Pick<Site, 'mqttUrl' | 'clickhouseUrl'> {
    return { mqttUrl: this.mqttUrl, clickhouseUrl: this.clickhouseUrl }
  }

  get isRunning(): boolean {
    return this.#process?.isRunning === true
  }

  get output(): string {
    return this.#process?.output ?? ''
  }

  /** Process ids of a role as they are now; none while it is being started again. */
  pidsOf(role: Role): number[] {
    if (!this.#process?.isRunning) return []
    return processTreeOf(this.#process.pid).filter((pid) => commandLineOf(pid).includes(`penstock.ts ${role} `))
  }

  /** kill -9 of one process of a role, `among` (0 to 1) says which; false if none runs. */
  kill(role: Role, among: number): boolean {
    const pids = this.pidsOf(role)
    const pid = pids[Math.floor(among * pids.length)]
    if (pid === undefined) return false
    process.kill(pid, 'SIGKILL')
    return true
  }

  /** kill -9 of the supervisor; resolves once its roles are gone too, which end by themselves. */
  async killSupervisor(): Promise<void> {
    const started = this.#process
    if (!started) return
    const roles = processTreeOf(started.pid).filter((pid) => pid !== started.pid)
    await started.kill()
    while (roles.some((pid) => commandLineOf(pid).includes('penstock.ts '))) await sleep(pollMs)
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    return (await this.#process?.stop()) ?? null
  }

  #isReady(): Promise<boolean> {
    return fetch(`${this.#httpUrl}/readyz`, { signal: AbortSignal.timeout(5_000) }).then(
      ({ ok }) => ok,
      () => false,
    )
  }
}

/** An installation of a scenario's own, which ends with its stage; `settings` come on top of the stage's. */
export async function openInstallation(stage: Stage, settings: Settings = {}): Promise<Installation> {
  const installation = await Installation.start({ ...stage.settings, ...settings })
  stage.own(() => installation.stop())
  return installation
}

/** The embedded engine as a ClickHouse server of its own. */
export async function startWarehouse(settings: Settings): Promise<StartedProcess> {
  const warehouse = new StartedProcess('penstock warehouse', ['infra/penstock.ts', 'warehouse'], {
    ...settings,
    PENSTOCK_LOG_LEVEL: 'info',
  })
  await warehouse.untilSaid('listening')
  return warehouse
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
