/**
 * A balancer of connections, as stands before the processes of a role: each connection goes to the next address that answers. As a process
 * of its own: `node balancer.ts 10.0.0.1:8883=10.0.0.2:8883,10.0.0.3:8883 …`.
 */
import { connect, createServer, type Socket } from 'node:net'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Balancer {
  stop(): Promise<void>
}

/** A machine that is gone says nothing: the next one is tried. */
const connectMsMax = 1_000

export async function startBalancer(at: Address, targets: readonly Address[]): Promise<Balancer> {
  const sockets = new Set<Socket>()
  const hold = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.on('close', () => sockets.delete(socket))
  }
  let turn = 0
  const server = createServer({ noDelay: true }, (client) => {
    // Without a handler it would end the process; what it means, its `close` says.
    hold(client).on('error', () => {})
    const first = turn++
    const next = (attempt: number): void => {
      const target = targets[(first + attempt) % targets.length]
      if (target === undefined || attempt === targets.length || client.destroyed) {
        client.destroy()
        return
      }
      const socket = hold(connect({ ...target, noDelay: true, timeout: connectMsMax }))
      socket.once('timeout', () => socket.destroy())
      const failed = () => next(attempt + 1)
      socket.once('close', failed).on('error', () => {})
      socket.once('connect', () => {
        socket.removeListener('close', failed).setTimeout(0)
        socket.once('close', () => client.destroy())
        client.once('close', () => socket.destroy())
        if (client.destroyed) socket.destroy()
        client.pipe(socket).pipe(client)
      })
    }
    next(0)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(at.port, at.host, resolve)
  })
  return {
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function addressFrom(text: string): Address {
  const [host = '', port] = text.split(':')
  return { host, port: Number(port) }
}

if (import.meta.main) {
  for (const line of process.argv.slice(2)) {
    const [at = '', targets = ''] = line.split('=')
    await startBalancer(addressFrom(at), targets.split(',').map(addressFrom))
  }
  process.stdout.write('balancing\n')
}
