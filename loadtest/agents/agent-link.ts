import type { Socket } from 'node:net'
import type { GeneratorListener, StartGenerator } from '#loadtest/generate/generator-port.ts'
import { PenstockError } from '#schemas/errors.ts'
import { AgentChannel, type AgentMessage, channelLimits } from './agent-channel.ts'
import { type AgentAddress, connectToAgent } from './agent-socket.ts'
import { type ClockReading, readClock } from './clocks.ts'
import type { Machine } from './machine.ts'

interface Waiting<T> {
  resolve(value: T): void
  reject(error: PenstockError): void
}

/** What to think of when a connection fails before the agent has said a word. */
const doubt = 'is an agent there, with the same --agent-secret-file or none?'

/** An agent as its coordinator sees it. When it is lost, all its generators are, and every question to it. */
export class AgentLink {
  /** `host:port`, as it is named in results. */
  readonly name: string
  readonly #channel: AgentChannel
  readonly #listeners = new Map<number, GeneratorListener>()
  /** Questions for its time are answered in their order. */
  readonly #clockWaits: Waiting<number>[] = []
  readonly #heartbeat: NodeJS.Timeout
  readonly #welcome: Waiting<Machine>
  #isWelcome = false
  #lost: PenstockError | undefined

  private constructor(name: string, socket: Socket, welcome: Waiting<Machine>) {
    this.name = name
    this.#welcome = welcome
    this.#channel = new AgentChannel(socket, channelLimits.eventBytesMax, {
      onMessage: (message) => this.#hear(message as AgentMessage),
      onEnd: (reason) => this.#fail(this.#isWelcome ? reason : `${reason}; ${doubt}`),
    })
    this.#heartbeat = setInterval(() => this.#askClock().catch(() => {}), channelLimits.heartbeatMs)
  }

  /** @throws LOADTEST_AGENT_FAILED */
  static async open(address: AgentAddress): Promise<{ readonly link: AgentLink; readonly machine: Machine }> {
    const name = agentName(address)
    const socket = await connectToAgent(address).catch((cause: Error) => {
      throw new PenstockError('LOADTEST_AGENT_FAILED', `agent ${name}: ${cause.message.trim()}; ${doubt}`, { cause })
    })
    return new Promise((resolve, reject) => {
      const link = new AgentLink(name, socket, { resolve: (machine) => resolve({ link, machine }), reject })
    })
  }

  /** The way to a generator process on the agent; `process` is unique in the run. */
  generator(process: number): StartGenerator {
    return (listener) => {
      this.#listeners.set(process, listener)
      if (this.#lost) listener.onEnd(this.#lost)
      return {
        send: (command) => {
          // Generators don't ask ClickHouse, and its address may hold a password.
          const sent =
            command.kind === 'connect'
              ? { ...command, options: { ...command.options, clickhouse: undefined } }
              : command
          this.#channel.send({ kind: 'command', process, command: sent })
        },
        // An agent ends all of a coordinator's at once: a run that loses one is over.
        kill: () => this.#channel.send({ kind: 'release' }),
      }
    }
  }

  /** @throws LOADTEST_AGENT_FAILED */
  readClock(): Promise<ClockReading> {
    const own = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }
    return readClock(() => this.#askClock(), own)
  }

  /** Has the agent end its generators, and resolves once it is free for others, or does not answer. */
  async close(): Promise<void> {
    clearInterval(this.#heartbeat)
    this.#channel.send({ kind: 'release' })
    await this.#channel.closed
  }

  #hear(message: AgentMessage): void {
    switch (message.kind) {
      case 'welcome':
        this.#isWelcome = true
        this.#welcome.resolve(message.machine)
        return
      case 'ended':
        this.#fail(message.message)
        return
      case 'clock':
        this.#clockWaits.shift()?.resolve(message.atMs)
        return
      case 'event': {
        const { process, event } = message
        const named = event.kind === 'failed' ? { ...event, message: `agent ${this.name}: ${event.message}` } : event
        this.#listeners.get(process)?.onEvent(named)
        return
      }
    }
  }

  #askClock(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#lost) return reject(this.#lost)
      this.#clockWaits.push({ resolve, reject })
      this.#channel.send({ kind: 'clock' })
    })
  }

  #fail(reason: string): void {
    this.#channel.close()
    if (this.#lost) return
    const lost = new PenstockError('LOADTEST_AGENT_FAILED', `agent ${this.name}: ${reason}`)
    this.#lost = lost
    clearInterval(this.#heartbeat)
    this.#welcome.reject(lost)
    for (const each of this.#clockWaits.splice(0)) each.reject(lost)
    for (const each of this.#listeners.values()) each.onEnd(lost)
  }
}

export function agentName({ host, port }: AgentAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
