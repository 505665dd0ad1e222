import type { Socket } from 'node:net'
import type { GeneratorListener, StartGenerator } from '#loadtest/processes/generator-port.ts'
import type { GeneratorEvent } from '#loadtest/processes/generator-process.ts'
import { systemClock } from '#runtime/clock.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import type { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import { PenstockError } from '#schemas/errors.ts'
import { agentChannel, agentContract, channelLimits, coordinatorContract } from './agent-channel.ts'
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
  readonly #channel: SocketChannel
  readonly #agent: LineRpc<typeof coordinatorContract, typeof agentContract>
  readonly #listeners = new Map<number, GeneratorListener>()
  readonly #heartbeat: NodeJS.Timeout
  readonly #welcome: Waiting<Machine>
  #isWelcome = false
  #lost: PenstockError | undefined

  private constructor(name: string, socket: Socket, welcome: Waiting<Machine>) {
    this.name = name
    this.#welcome = welcome
    this.#channel = agentChannel(socket, channelLimits.eventBytesMax)
    this.#agent = new LineRpc({
      channel: this.#channel,
      own: coordinatorContract,
      handlers: {
        questions: {},
        pushes: {
          welcome: (machine) => {
            this.#isWelcome = true
            this.#welcome.resolve(machine)
          },
          ended: (reason) => this.#fail(reason),
          event: ({ process, event }) => this.#hear(process, event),
        },
      },
      peer: agentContract,
      clock: systemClock,
      answerMsMax: channelLimits.silenceMsMax,
      onEnd: (reason) => this.#fail(this.#isWelcome ? reason : `${reason}; ${doubt}`),
      onPushFault: (name, reason) => this.#fail(`its ${name} ${reason}`),
    })
    this.#agent.listen()
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
          this.#agent.push('command', { process, command: sent })
        },
        // An agent ends all of a coordinator's at once: a run that loses one is over.
        kill: () => this.#agent.push('release', undefined),
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
    this.#agent.push('release', undefined)
    await this.#channel.closed
  }

  #hear(process: number, event: GeneratorEvent): void {
    const named = event.kind === 'failed' ? { ...event, message: `agent ${this.name}: ${event.message}` } : event
    this.#listeners.get(process)?.onEvent(named)
  }

  #askClock(): Promise<number> {
    return this.#agent.ask('clock', undefined).catch((error: Error) => {
      throw this.#lost ?? this.#failed(error.message)
    })
  }

  #fail(reason: string): void {
    this.#agent.close()
    if (this.#lost) return
    this.#lost = this.#failed(reason)
    clearInterval(this.#heartbeat)
    this.#welcome.reject(this.#lost)
    for (const each of this.#listeners.values()) each.onEnd(this.#lost)
  }

  #failed(reason: string): PenstockError {
    return new PenstockError('LOADTEST_AGENT_FAILED', `agent ${this.name}: ${reason}`)
  }
}

export function agentName({ host, port }: AgentAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
