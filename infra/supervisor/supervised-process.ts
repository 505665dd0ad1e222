import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type FromRole, fatalExitCode, type RoleName, type ToRole } from '#infra/roles/role-process.ts'
import type { Logger } from '#runtime/logger.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { environmentOf } from './role-environment.ts'

export interface SupervisedOptions {
  readonly role: RoleName
  readonly index: number
  /** Settings for the process, on top of the supervisor's own environment. */
  readonly environment: Readonly<Record<string, string>>
  readonly logger: Logger
  /** What a role says besides how it is. */
  readonly onMessage: (message: FromRole) => void
  readonly onRestart: () => void
  /** The process is ready, for the first time or again. */
  readonly onReady: () => void
  /** The process met a fault that starting again cannot mend. */
  readonly onFatal: () => void
  /** Called instead of starting the process again, whatever it ended of; `undefined`: it is started again. */
  readonly onEnded?: (() => void) | undefined
}

const restartDelayMsMin = 100
const restartDelayMsMax = 5_000
/** A process that lived this long is believed healthy: the next restart is quick again. */
const healthyMs = 10_000
const stopMsMax = 20_000

const script = fileURLToPath(new URL('../penstock.ts', import.meta.url))

/**
 * One role process, started again when it dies.
 *
 *   starting ── ready ──▶ ready ── exit ──▶ (delay, doubling) ──▶ starting …
 *       └────────── exit with fatalExitCode ──▶ onFatal
 */
export class SupervisedProcess {
  readonly role: RoleName
  readonly index: number
  samples: readonly MetricSample[] = []
  ports: Readonly<Record<string, number>> = {}
  ready = false
  readonly #options: SupervisedOptions
  #environment: Readonly<Record<string, string>>
  #child: ChildProcess | undefined
  #stopping = false
  #restartDelayMs = restartDelayMsMin
  #restartTimer: NodeJS.Timeout | undefined
  #readyWaiters: (() => void)[] = []

  constructor(options: SupervisedOptions) {
    this.#options = options
    this.role = options.role
    this.index = options.index
    this.#environment = options.environment
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts the process; resolves when it is ready for the first time. */
  start(): Promise<void> {
    this.#spawn()
    return new Promise((resolve) => this.#readyWaiters.push(resolve))
  }

  tell(message: ToRole): void {
    if (this.#child?.connected) this.#child.send(message, () => {})
  }

  /** Asks the process to drain and resolves when it is gone; one that does not end in time is killed. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restartTimer)
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      const kill = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
      child.once('exit', () => {
        clearTimeout(kill)
        resolve()
      })
      this.tell({ kind: 'stop' })
    })
  }

  #spawn(): void {
    const startedAtMs = Date.now()
    const child = fork(script, [this.role, `--index=${this.index}`], {
      env: environmentOf(this.role, { ...process.env, ...this.#environment }),
      execArgv: [],
    })
    this.#child = child
    child.on('message', (message) => this.#hear(message as FromRole))
    child.on('exit', (code, signal) => {
      this.ready = false
      this.samples = []
      if (this.#stopping) return
      if (this.#options.onEnded) return this.#options.onEnded()
      if (code === fatalExitCode) {
        this.#options.onFatal()
        return
      }
      if (Date.now() - startedAtMs > healthyMs) this.#restartDelayMs = restartDelayMsMin
      this.#options.logger.warn('process ended and is started again', {
        role: this.role,
        index: this.index,
        code: code ?? undefined,
        signal: signal ?? undefined,
        delayMs: this.#restartDelayMs,
      })
      this.#options.onRestart()
      this.#restartTimer = setTimeout(() => this.#spawn(), this.#restartDelayMs)
      this.#restartDelayMs = Math.min(this.#restartDelayMs * 2, restartDelayMsMax)
    })
  }

  #hear(message: FromRole): void {
    switch (message.kind) {
      case 'ready':
        this.ready = true
        this.ports = message.ports
        // A port that was picked free stays the same over restarts, so that clients find it again.
        this.#environment = { ...this.#environment, ...portSettings(this.ports) }
        this.#options.onReady()
        for (const resolve of this.#readyWaiters.splice(0)) resolve()
        return
      case 'samples':
        this.samples = message.samples
        return
      default:
        this.#options.onMessage(message)
    }
  }
}

/** Settings that give a process the ports it reported. */
export function portSettings(ports: Readonly<Record<string, number>>): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const [name, port] of Object.entries(ports)) settings[`PENSTOCK_${name.toUpperCase()}_PORT`] = String(port)
  return settings
}
