import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { PenstockError } from '#schemas/errors.ts'

export const repositoryFolder = join(import.meta.dirname, '../..')

/** Most characters of a process's output that are kept. */
const outputLengthMax = 200_000

/** A process of this project that a scenario started, and so may stop and kill. It ends with this process at the latest. */
export class StartedProcess {
  readonly name: string
  readonly exited: Promise<number | null>
  readonly #child: ChildProcess
  #output = ''
  #waiters: (() => void)[] = []

  /** @param args of Node; the first is a script below the repository's folder */
  constructor(name: string, args: readonly string[], settings: Readonly<Record<string, string>>) {
    this.name = name
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith('PENSTOCK_'))
    this.#child = spawn(process.execPath, args, {
      cwd: repositoryFolder,
      env: { ...Object.fromEntries(inherited), ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const hear = (bytes: Buffer) => {
      this.#output = (this.#output + bytes.toString()).slice(-outputLengthMax)
      for (const look of this.#waiters) look()
    }
    this.#child.stdout?.on('data', hear)
    this.#child.stderr?.on('data', hear)
    const killOnExit = () => this.#child.kill('SIGKILL')
    process.once('exit', killOnExit)
    this.exited = new Promise((resolve) => {
      this.#child.once('exit', (code) => {
        process.removeListener('exit', killOnExit)
        resolve(code)
      })
      this.#child.once('error', () => resolve(null))
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** The newest of what it wrote, for messages. */
  get output(): string {
    return this.#output
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Resolves once it has written `text`. @throws LOADTEST_TARGET_UNREACHABLE if it ends before */
  async untilSaid(text: string): Promise<void> {
    const said = new Promise<boolean>((resolve) => {
      const look = () => this.#output.includes(text) && resolve(true)
      this.#waiters.push(look)
      look()
    })
    const isSaid = await Promise.race([said, this.exited.then(() => false)])
    this.#waiters = []
    if (!isSaid) throw notReady(this)
  }

  /** SIGTERM; resolves with the exit code. @param killMs how long it may drain before it is killed, which gives `null` */
  async stop(killMs = 60_000): Promise<number | null> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), killMs)
    this.#child.kill('SIGTERM')
    const code = await this.exited
    clearTimeout(timer)
    return code
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exited
  }
}

export function notReady({ name, output }: StartedProcess): PenstockError {
  return new PenstockError('LOADTEST_TARGET_UNREACHABLE', `${name} ended at its start:\n${output.slice(-2_000)}`)
}
