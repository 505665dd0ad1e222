import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { sleep, systemClock } from '#runtime/clock.ts'
import { cpuSecondsOfTree, processTreeOf, residentBytesOf } from '#runtime/processes.ts'
import { PenstockError } from '#schemas/errors.ts'

/** Most characters of a server's output that are kept. */
const outputLengthMax = 200_000
/** The last of them, in an error message. */
const shownLengthMax = 20_000
const pollMs = 20
/** How long the last output of a process that ended may take to arrive here. */
const lastOutputMsMax = 1_000

/** A machine for a server. */
export interface ServerPlace {
  readonly address: string
  /** A command line that runs another one there. */
  readonly through: readonly string[]
}

export const loopbackPlace: ServerPlace = { address: '127.0.0.1', through: [] }

export interface ServerOptions {
  readonly environment?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** Shows what it writes to standard error as it comes, besides keeping it. */
  readonly showsErrors?: boolean
}

/** What ends with this process at the latest; there may be many. */
let running: Set<ChildProcess> | undefined

function whatEndsWithThis(): Set<ChildProcess> {
  if (running !== undefined) return running
  const children = new Set<ChildProcess>()
  process.once('exit', () => {
    for (const child of children) child.kill('SIGKILL')
  })
  running = children
  return children
}

/** A server started for tests, scenarios or benches: its output is kept, and it ends with this process at the latest. */
export class ServerProcess {
  readonly name: string
  /** Resolves with the exit code; `null` if a signal ended it, or it could not be started. */
  readonly exited: Promise<number | null>
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  #output = ''

  /** @param command program and arguments */
  constructor(name: string, command: readonly string[], options: ServerOptions = {}) {
    const { environment = process.env, cwd, showsErrors = false } = options
    const [program = '', ...args] = command
    this.name = name
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment, cwd })
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-outputLengthMax)
    }
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
    if (showsErrors) this.#child.stderr?.pipe(process.stderr, { end: false })
    this.#closed = once(this.#child, 'close').catch(() => undefined)
    this.exited = once(this.#child, 'exit').then(
      ([code]) => code,
      (error: unknown) => {
        keep(Buffer.from(String(error)))
        return null
      },
    )
    whatEndsWithThis().add(this.#child)
    void this.exited.then(() => whatEndsWithThis().delete(this.#child))
  }

  /** 0 if it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The newest of what it wrote, standard output and error together. */
  get output(): string {
    return this.#output
  }

  /** CPU seconds so far of it and all that it started. */
  cpuSeconds(): number {
    return cpuSecondsOfTree(this.pid)
  }

  /** Resident bytes of it and all that it started; pages that several of them map count several times. */
  residentBytes(): number {
    return processTreeOf(this.pid).reduce((sum, pid) => sum + residentBytesOf(pid), 0)
  }

  /**
   * Asks `ready` again and again until it gives true.
   * @throws LOADTEST_TARGET_UNREACHABLE with the server's output if it ended or took too long; then it still runs
   */
  async until(ready: () => boolean | Promise<boolean>, timeoutMs = 60_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    while (!(await ready())) {
      if (!this.running) {
        const code = await this.exited
        await Promise.race([this.#closed, sleep(systemClock, lastOutputMsMax)])
        throw this.#notReady(`ended with ${code} before it was ready`)
      }
      if (performance.now() > deadlineMs) throw this.#notReady(`was not ready after ${timeoutMs} ms`)
      await sleep(systemClock, pollMs)
    }
  }

  /** Resolves once it has written `text`. @throws as `until` */
  async untilSaid(text: string, timeoutMs?: number): Promise<void> {
    await this.until(() => this.#output.includes(text), timeoutMs)
  }

  /** Sends a signal and resolves with the exit code; after `timeoutMs` it is killed, which gives `null`. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', timeoutMs = 60_000): Promise<number | null> {
    if (!this.running) return this.exited
    this.#child.kill(signal)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs)
    const code = await this.exited
    clearTimeout(timer)
    return code
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  #notReady(what: string): PenstockError {
    return new PenstockError(
      'LOADTEST_TARGET_UNREACHABLE',
      `${this.name} ${what}:\n${this.#output.slice(-shownLengthMax)}`,
    )
  }
}

/** True if something accepts connections on a port. */
export function accepts(port: number, host = loopbackPlace.address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
