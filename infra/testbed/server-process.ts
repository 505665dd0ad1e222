import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'

/** Most characters of a server's output kept for an error message. */
const outputLengthMax = 20_000

/** A server started for tests: its output is kept, and it ends with this process at the latest. */
export class ServerProcess {
  readonly name: string
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  readonly #killOnExit: () => void
  #output = ''

  constructor(name: string, command: string, args: readonly string[], environment: NodeJS.ProcessEnv = process.env) {
    this.name = name
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment })
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-outputLengthMax)
    }
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
    this.#exit = once(this.#child, 'exit').catch((error: unknown) => keep(Buffer.from(String(error))))
    this.#killOnExit = () => this.#child.kill('SIGKILL')
    process.once('exit', this.#killOnExit)
    void this.#exit.then(() => process.removeListener('exit', this.#killOnExit))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get running(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  get output(): string {
    return this.#output
  }

  /** Asks `ready` again and again until it gives true. @throws Error with the server's output if it ended or took too long */
  async until(ready: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!(await ready())) {
      if (!this.running) throw new Error(`${this.name} ended before it was ready:\n${this.#output}`)
      if (Date.now() > deadline) throw new Error(`${this.name} was not ready after ${timeoutMs} ms:\n${this.#output}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Sends a signal and waits for the end; after `timeoutMs` it is killed. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', timeoutMs = 15_000): Promise<void> {
    if (!this.running) return
    this.#child.kill(signal)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs)
    await this.#exit
    clearTimeout(timer)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
}

/** True if something accepts connections on a loopback port. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
