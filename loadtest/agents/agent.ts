/** A generator agent: holds generator processes for a coordinator on another machine, one coordinator at a time. */
import type { AddressInfo, Socket } from 'node:net'
import type { GeneratorSlice } from '#loadtest/generate/generator.ts'
import { forkGenerator, type GeneratorPort } from '#loadtest/generate/generator-port.ts'
import type { GeneratorEvent } from '#loadtest/generate/generator-process.ts'
import { faultsOf, type LoadOptions, processesMax } from '#loadtest/options/load-options.ts'
import { PenstockError } from '#schemas/errors.ts'
import { AgentChannel, type CoordinatorMessage, channelLimits } from './agent-channel.ts'
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
  const channel = new AgentChannel(socket, 0, { onMessage: () => {}, onEnd: () => {} })
  channel.send({ kind: 'ended', message: 'it has a coordinator already' })
  channel.close()
}

/** Does as a coordinator says. @returns why that ended, once its generators are gone */
function serveCoordinator(socket: Socket, machine: Machine): Promise<string> {
  return new Promise((resolve) => {
    const generators = new Map<number, GeneratorPort>()
    let endReason: string | undefined
    const end = (reason: string) => {
      endReason ??= reason
      for (const generator of generators.values()) generator.kill()
      finish()
    }
    const finish = () => {
      if (endReason === undefined || generators.size > 0) return
      resolve(endReason)
      channel.send({ kind: 'ended', message: endReason })
      channel.close()
    }
    const connect = (process: number, options: LoadOptions, slice: GeneratorSlice) => {
      if (generators.has(process) || generators.size >= processesMax)
        throw new Error(`there is a generator process ${process} already, or ${processesMax} of them`)
      const tell = (event: GeneratorEvent) => {
        // A timeline does without a point; a report it cannot do without.
        if (event.kind !== 'progress' || !channel.isSlow) channel.send({ kind: 'event', process, event })
      }
      const port = forkGenerator(options.cpuList, {
        onEvent: tell,
        onEnd: ({ code, message }) => {
          tell({ kind: 'failed', code, message })
          generators.delete(process)
          finish()
        },
      })
      generators.set(process, port)
      port.send({ kind: 'connect', options, slice })
    }
    const channel = new AgentChannel(socket, channelLimits.commandBytesMax, {
      onMessage: (received) => {
        const message = coordinatorMessageOf(received)
        switch (message.kind) {
          case 'clock':
            return channel.send({ kind: 'clock', atMs: Date.now() })
          case 'release':
            return end('released')
          case 'command': {
            const { process, command } = message
            if (command.kind === 'connect') return connect(process, command.options, command.slice)
            return generators.get(process)?.send(command)
          }
        }
      },
      onEnd: end,
    })
    channel.send({ kind: 'welcome', machine })
  })
}

/** Checks what is needed here; a generator process checks its options itself and can only end by them. Throws with the reason. */
function coordinatorMessageOf(received: unknown): CoordinatorMessage {
  const message = recordOf(received)
  if (message.kind === 'clock' || message.kind === 'release') return { kind: message.kind }
  const { process } = message
  if (message.kind !== 'command' || !isCount(process)) throw new Error('a message of no known kind')
  const command = recordOf(message.command)
  switch (command.kind) {
    case 'run':
      if (typeof command.startAtMs !== 'number') throw new Error('run: no moment to start at')
      return { kind: 'command', process, command: { kind: 'run', startAtMs: command.startAtMs } }
    case 'abort':
      return { kind: 'command', process, command: { kind: 'abort' } }
    case 'connect': {
      const options = recordOf(command.options) as unknown as LoadOptions
      const faults = faultsOf(options)
      if (faults.length > 0) throw new Error(`connect: ${faults.join('; ')}`)
      const { first, step } = recordOf(command.slice)
      if (!isCount(first) || !isCount(step) || first >= step) throw new Error('connect: no slice of the devices')
      return { kind: 'command', process, command: { kind: 'connect', options, slice: { first, step } } }
    }
    default:
      throw new Error('a command of no known kind')
  }
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new Error('a message without its parts')
  return value as Readonly<Record<string, unknown>>
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
