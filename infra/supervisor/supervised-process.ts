import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type RoleName, roleContract, supervisorContract } from '#infra/roles/role-contract.ts'
import { awayExitCode, fatalExitCode } from '#infra/roles/role-process.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Handlers, Pushed, PushName } from '#runtime/line-rpc/contract.ts'
import { IpcChannel } from '#runtime/line-rpc/ipc-channel.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import type { Logger } from '#runtime/logger.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'
import { environmentOf } from './role-environment.ts'

export interface SupervisedOptions {
  readonly role: RoleName
  readonly index: number
  /** Settings for the process, on top of the supervisor's own environment. */
  readonly environment: Readonly<Record<string, string>>
  readonly logger: Logger
  /** What a role asks, and tells besides how it is. */
  readonly handlers: RoleHandlers
  readonly onRestart: () => void
  /** The process is ready, for the first time or again. */
  readonly onReady: () => void
  /** The process met a fault that starting again cannot mend, or that ends it again and again. */
  readonly onFatal: () => void
  /** Called instead of starting the process again, whatever it ended of; `undefined`: it is started again. */
  readonly onEnded?: (() => void) | undefined
}

type SupervisorHandlers = Handlers<typeof supervisorContract>

/** How a role is (`alive`, `ready`, `samples`) is heard here. */
export interface RoleHandlers {
  readonly questions: SupervisorHandlers['questions']
  readonly pushes: Omit<SupervisorHandlers['pushes'], 'alive' | 'ready' | 'samples'>
}

/** The supervisor asks its roles nothing; a question has to have a bound. */
const answerMsMax = 2_000

const restartBackOff: BackOff = { firstMs: 100, factor: 2, maxMs: 5_000, jitter: 0 }
/** A process that lived this long after it was ready is believed healthy: the next restart is quick again. */
const healthyMs = 10_000
const stopMsMax = 20_000
/** So many lives that a fault of its own ended before it was healthy, and none that was healthy before: it cannot run here. */
const faultyLivesMax = 5
/** By which a process ends that did something wrong; others are sent by somebody, or by the system when memory is short. */
const ownSignals: readonly (NodeJS.Signals | null)[] = [
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGILL',
  'SIGSEGV',
  'SIGSYS',
  'SIGTRAP',
]

const script = fileURLToPath(new URL('../penstock.ts', import.meta.url))
const stripsOnce = new URL('../strip-once.js', import.meta.url).href

/**
 * One role process, started again when it dies.
 *
 *   starting ── ready ──▶ ready ── exit ──▶ (delay, doubling) ──▶ starting …
 *       └── exit with fatalExitCode, or by fault, for the fifth time, before it was ever healthy ──▶ onFatal
 */
export class SupervisedProcess {
  readonly role: RoleName
  readonly index: number
  samples: readonly MetricSample[] = []
  ports: Readonly<Record<string, number>> = {}
  ready = false
  /** UTC milliseconds: when the process that runs, or ran last, was started. */
  startedAtMs = 0
  /** When it last said something, or was started, by the monotonic clock; undefined while it does not run. */
  heardAtMs: number | undefined
  readonly #options: SupervisedOptions
  #environment: Readonly<Record<string, string>>
  #child: ChildProcess | undefined
  #role: LineRpc<typeof supervisorContract, typeof roleContract> | undefined
  #stopping = false
  readonly #restarts = new Pauses(restartBackOff)
  #restartTimer: NodeJS.Timeout | undefined
  #readyAtMs: number | undefined
  #faultyLives = 0
  #wasHealthy = false
  #readyWaiters: (() => void)[] = []

  constructor(options: SupervisedOptions) {
    this.#options = options
    this.role = options.role
    this.index = options.index
    this.#environment = options.environment
  }

  get name(): string {
    return `${this.role}-${this.index}`
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts the process; resolves when it is ready for the first time. Does neither once it was told to stop. */
  start(): Promise<void> {
    if (!this.#stopping) this.#spawn()
    return new Promise((resolve) => this.#readyWaiters.push(resolve))
  }

  tell<Name extends PushName<typeof roleContract>>(name: Name, told: Pushed<typeof roleContract, Name>): void {
    this.#role?.push(name, told)
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
      this.tell('stop', undefined)
    })
  }

  /** Ends it at once; it is started again. */
  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  #spawn(): void {
    this.heardAtMs = systemClock.monotonicMs()
    this.startedAtMs = systemClock.nowMs()
    const child = fork(script, [this.role, `--index=${this.index}`], {
      env: environmentOf(this.role, { ...process.env, ...this.#environment }),
      execArgv: ['--import', stripsOnce],
    })
    this.#child = child
    this.#role = this.#linkTo(child)
    child.on('exit', (code, signal) => this.#ended(code, signal))
    child.on('error', (error) => {
      // Where the system has no room for another process there is none that could exit.
      if (child.pid !== undefined) return
      this.#options.logger.warn('a process could not be started', { process: this.name, error })
      this.#ended(null, null)
    })
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    this.ready = false
    this.samples = []
    this.heardAtMs = undefined
    if (this.#stopping) return
    if (this.#options.onEnded) {
      this.#options.onEnded()
      return
    }
    if (code === fatalExitCode) {
      this.#options.onFatal()
      return
    }
    const isHealthy = this.#readyAtMs !== undefined && systemClock.monotonicMs() - this.#readyAtMs > healthyMs
    this.#readyAtMs = undefined
    if (isHealthy) {
      this.#restarts.reset()
      this.#wasHealthy = true
    } else if (this.#isOwnFault(code, signal)) this.#faultyLives++
    const end = { role: this.role, index: this.index, code: code ?? undefined, signal: signal ?? undefined }
    if (this.#faultyLives >= faultyLivesMax && !this.#wasHealthy) {
      this.#options.logger.error('process ended again and again; why is said above', end)
      this.#options.onFatal()
      return
    }
    const delayMs = this.#restarts.nextMs()
    this.#options.logger.warn('process ended and is started again', { ...end, delayMs })
    this.#options.onRestart()
    this.#restartTimer = setTimeout(() => this.#spawn(), delayMs)
  }

  /** The engine needs nobody; what the others need may be away for as long as it likes. */
  #isOwnFault(code: number | null, signal: NodeJS.Signals | null): boolean {
    if (code === null) return ownSignals.includes(signal)
    return code !== awayExitCode || this.role === 'warehouse'
  }

  #linkTo(child: ChildProcess): LineRpc<typeof supervisorContract, typeof roleContract> {
    const { handlers, logger } = this.#options
    const link = new LineRpc({
      channel: new IpcChannel(child, () => {
        this.heardAtMs = systemClock.monotonicMs()
      }),
      own: supervisorContract,
      handlers: {
        questions: handlers.questions,
        pushes: {
          ...handlers.pushes,
          alive: () => {},
          ready: (ports) => this.#becameReady(ports),
          samples: (samples) => {
            this.samples = samples
          },
        },
      },
      peer: roleContract,
      clock: systemClock,
      answerMsMax,
      onEnd: () => {},
      onPushFault: (push, reason) =>
        logger.warn('what a process told cannot be read', { process: this.name, push, reason }),
      onQuestionFault: (question, error) =>
        logger.warn('a question of a process failed', { process: this.name, question, error }),
    })
    link.listen()
    return link
  }

  #becameReady(ports: Readonly<Record<string, number>>): void {
    this.ready = true
    this.#readyAtMs = systemClock.monotonicMs()
    this.ports = ports
    // A port that was picked free stays the same over restarts, so that clients find it again.
    this.#environment = { ...this.#environment, ...portSettings(ports) }
    this.#options.onReady()
    for (const resolve of this.#readyWaiters.splice(0)) resolve()
  }
}

/** Settings that give a process the ports it reported. */
export function portSettings(ports: Readonly<Record<string, number>>): Record<string, string> {
  const settings: Record<string, string> = {}
  for (const [name, port] of Object.entries(ports)) settings[`PENSTOCK_${name.toUpperCase()}_PORT`] = String(port)
  return settings
}
