import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { PenstockError } from '#schemas/errors.ts'
import { Connection } from './connection.ts'
import type { EdgeContext, Transport } from './edge-context.ts'

export interface TcpListener {
  readonly port: number
  /** Accepts no more; open connections go on. */
  stopAccepting(): Promise<void>
}

/**
 * Listens for MQTT on TCP. Several processes may listen on one port; the kernel spreads connections over them.
 * @param port 0 picks a free one
 * @throws PORT_UNAVAILABLE
 */
export async function listenTcp(edge: EdgeContext, host: string, port: number): Promise<TcpListener> {
  const server = createServer({ noDelay: true }, (socket) => attach(edge, socket))
  await listening(server, host, port)
  return {
    port: (server.address() as AddressInfo).port,
    // `close` also waits for open connections, which the edge ends itself; here only the listening ends.
    stopAccepting: async () => {
      server.close()
    },
  }
}

/** Windows and macOS cannot balance a shared port; one process serves it there. */
const reusePort = process.platform === 'linux'

const backlog = 4096

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new PenstockError('PORT_UNAVAILABLE', `cannot listen for MQTT on ${host}:${port}: ${cause.code}`, { cause }),
      )
    })
    server.listen({ host, port, backlog, reusePort: reusePort && port !== 0 }, resolve)
  })
}

function attach(edge: EdgeContext, socket: Socket): void {
  const connection = new Connection(edge, transportOf(socket))
  socket.on('data', (chunk: Buffer) => connection.onChunk(chunk))
  socket.on('close', () => connection.onClosed())
  socket.on('drain', () => connection.onDrained())
  socket.on('error', ignoreError) // a `close` follows, and says enough
}

function ignoreError(): void {}

/** How long a peer may take to read the last words before the socket is torn down. */
const farewellMsMax = 2_000

function transportOf(socket: Socket): Transport {
  return {
    write: (bytes) => {
      socket.write(bytes)
    },
    pause: () => {
      socket.pause()
    },
    resume: () => {
      socket.resume()
    },
    end: () => {
      socket.resume() // what still comes is discarded, so that the end is seen
      socket.end()
      socket.setTimeout(farewellMsMax, () => socket.destroy())
    },
    destroy: () => {
      socket.destroy()
    },
    get writeBytes() {
      return socket.writableLength
    },
    get remoteAddress() {
      return socket.remoteAddress ?? ''
    },
  }
}
