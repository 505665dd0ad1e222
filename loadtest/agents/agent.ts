/** A generator agent: holds generator processes for a coordinator on another machine, one coordinator at a time. */
import type { AddressInfo, Socket } from 'node:net'
import { processesMax } from '#loadtest/options/load-options.ts'
import { forkGenerator, type GeneratorPort } from '#loadtest/processes/generator-port.ts'
import type { GeneratorCommand, GeneratorEvent } from '#loadtest/processes/generator-process.ts'
import { systemClock } from '#runtime/clock.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import type { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import { PenstockError } from '#schemas/errors.ts'
import { agentChannel, agentContract, channelLimits, coordinatorContract } from './agent-channel.ts'
import { type AgentAddress, agentServer } from './agent-socket.ts'
import { type Machine, machineOf } from './machine.ts'

export interface RunningAgent {
  readonly port: number
  /** Ends its generators, and the run of its coordinator. */
  close(): Promise<void>
}

/** Connections at once, refused ones and handshakes under way included. */
const connectionsMax = 16

/**
 * @param say is told who comes and goes, a line each
 * @throws PORT_UNAVAILABLE
 */
export function startAgent(address: AgentAddress, say: (line: string) => void): Promise<RunningAgent> {
  const machine = machineOf()
  const sockets = new Set<Socket>()
  let session: Promise<void> | undefined
  const server = agentServer(address, (socket) => {
    const from = `coordinator ${socket.remoteAddress}:${socket.remotePort}`
    if (session !== undefined) return refuse(socket)
    say(`${from} connected`)
    session = serveCoordinator(socket, machine).then((reason) => {
      session = undefined
      say(`${from} is gone, and with it its generators: ${reason}`)
    })
  })
  server.maxConnections = connectionsMax
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('tlsClientError', ({ message }, { remoteAddress }) =>
    say(`refused ${remoteAddress}, which does not hold this agent's secret: ${message.trim()}`),
  )
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const where = `${address.host}:${address.port}`
      reject(new PenstockError('PORT_UNAVAILABLE', `cannot listen on ${where}: ${cause.message}`, { cause }))
    })
    server.listen(address.port, address.host, () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        close: async () => {
          const closed = new Promise((done) => server.close(done))
          for (const socket of sockets) socket.destroy()
          await session
          await closed
        },
      }),
    )
  })
}

function refuse(socket: Socket): void {
  const channel = agentChannel(socket, 0)
  channel.listen({ onValue: () => {}, onEnd: () => {} })
  channel.send({ p: 'ended', v: 'it has a coordinator already' })
  channel.close()
}

/** Does as a coordinator says. @returns why that ended, once its generators are gone */
function serveCoordinator(socket: Socket, machine: Machine): Promise<string> {
  return new Promise((resolve) => new CoordinatorSession(socket, machine, resolve))
}

/** One coordinator and the generators that it had started. */
class CoordinatorSession {
  readonly #generators = new Map<number, GeneratorPort>()
  readonly #channel: SocketChannel
  readonly #coordinator: LineRpc<typeof agentContract, typeof coordinatorContract>
  readonly #onGone: (reason: string) => void
  #endReason: string | undefined

  constructor(socket: Socket, machine: Machine, onGone: (reason: string) => void) {
    this.#onGone = onGone
    this.#channel = agentChannel(socket, channelLimits.commandBytesMax)
    this.#coordinator = new LineRpc({
      channel: this.#channel,
      own: agentContract,
      handlers: {
        questions: { clock: () => Date.now() },
        pushes: {
          command: ({ process, command }) => this.#obey(process, command),
          release: () => this.#end('released'),
        },
      },
      peer: coordinatorContract,
      clock: systemClock,
      answerMsMax: channelLimits.silenceMsMax,
      onEnd: (reason) => this.#end(reason),
      onPushFault: (name, reason) => this.#end(`${name} ${reason}`),
    })
    this.#coordinator.listen()
    this.#coordinator.push('welcome', machine)
  }

  #obey(process: number, command: GeneratorCommand): void {
    if (command.kind === 'connect') this.#connect(process, command)
    else this.#generators.get(process)?.send(command)
  }

  #connect(process: number, command: Extract<GeneratorCommand, { readonly kind: 'connect' }>): void {
    const generators = this.#generators
    if (generators.has(process) || generators.size >= processesMax)
      throw new Error(`starts generator process ${process}, which is there already, or more than ${processesMax}`)
    const generator = forkGenerator(command.options.cpuList, {
      onEvent: (event) => this.#tell(process, event),
      onEnd: ({ code, message }) => {
        this.#tell(process, { kind: 'failed', code, message })
        generators.delete(process)
        this.#finish()
      },
    })
    generators.set(process, generator)
    generator.send(command)
  }

  #tell(process: number, event: GeneratorEvent): void {
    // A timeline does without a point; a report it cannot do without.
    if (event.kind === 'progress' && this.#channel.unread > channelLimits.progressBytesMax) return
    this.#coordinator.push('event', { process, event })
  }

  #end(reason: string): void {
    this.#endReason ??= reason
    for (const generator of this.#generators.values()) generator.kill()
    this.#finish()
  }

  #finish(): void {
    const reason = this.#endReason
    if (reason === undefined || this.#generators.size > 0) return
    this.#onGone(reason)
    this.#coordinator.push('ended', reason)
    this.#coordinator.close()
  }
}
