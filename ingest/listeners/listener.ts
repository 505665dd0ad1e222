import type { X509Certificate } from 'node:crypto'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { Connection } from '#ingest/mqtt/connection.ts'
import type { EdgeContext, Transport } from '#ingest/session/edge-context.ts'
import type { Clock } from '#runtime/clock.ts'
import { listening } from '#runtime/listening.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { readInPlace } from '#runtime/read-in-place.ts'
import { admitSocket, socketsMax } from './socket-gate.ts'
import type { TlsFiles } from './tls-secrets.ts'
import { certificatesOf, openTlsServer, type WatchingServer } from './tls-server.ts'

export interface Listener {
  readonly port: number
  /** Accepts no more; open connections go on. */
  stopAccepting(): void
}

/**
 * Listens for MQTT on TCP, or on TLS. Several processes may listen on one port; the kernel spreads connections over them.
 * @param port 0 picks a free one
 * @throws PORT_UNAVAILABLE, TLS_FILES_INVALID
 */
export async function listenMqtt(edge: EdgeContext, host: string, port: number, tls?: TlsFiles): Promise<Listener> {
  const { server, unwatch } = tls === undefined ? tcpServer(edge) : tlsServer(edge, tls)
  // Counts also handshakes that have not ended and sockets that are being closed; `admitSocket` is the finer bound.
  server.maxConnections = 2 * socketsMax(edge.connectionsMax) + 1_000
  try {
    await listening(server, 'MQTT', host, port, true)
  } catch (error) {
    unwatch()
    throw error
  }
  return {
    port: (server.address() as AddressInfo).port,
    // Ends the listening only; the edge ends open connections itself.
    stopAccepting: () => {
      server.close()
      unwatch()
    },
  }
}

function tcpServer(edge: EdgeContext): WatchingServer {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => {
    edge.batcher.stayAwake()
    if (!admitSocket(edge)) accepted.destroy()
    else attachInPlace(edge, accepted)
  })
  return { server, unwatch: () => {} }
}

function attachInPlace(edge: EdgeContext, accepted: Socket): void {
  let connection: Connection | undefined
  const socket = readInPlace(accepted, (bytes) => connection?.onChunk(bytes))
  connection = new Connection(edge, new SocketTransport(edge, socket))
  listen(connection, socket)
  socket.resume()
}

function tlsServer(edge: EdgeContext, files: TlsFiles): WatchingServer {
  const { batcher, clock, logger } = edge
  const onStep = () => batcher.stayAwake()
  const options = { files, sessionIdContext: 'penstock-mqtt', clock, logger, onStep, isClosing: () => edge.draining }
  return openTlsServer(options, (socket) => attachTls(edge, socket))
}

function attachTls(edge: EdgeContext, socket: TLSSocket): void {
  if (!admitSocket(edge)) {
    socket.destroy()
    return
  }
  const connection = new Connection(edge, new SocketTransport(edge, socket))
  socket.on('data', (chunk: Buffer) => connection.onChunk(chunk))
  listen(connection, socket)
}

function listen(connection: Connection, socket: Socket): void {
  socket.on('close', () => connection.onClosed())
  socket.on('drain', () => connection.onDrained())
  socket.on('error', ignoreError) // a `close` follows, and says enough
}

function ignoreError(): void {}

/** How long a peer may take to read the last words before the socket is torn down. */
const farewellMsMax = 2_000

/** A class, so that the sockets of all connections look alike to the compiler: an object of functions is a kind of its own each. */
class SocketTransport implements Transport {
  readonly #clock: Clock
  readonly #socket: Socket

  constructor({ clock }: EdgeContext, socket: Socket) {
    this.#clock = clock
    this.#socket = socket
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.resume() // what still comes is discarded, so that the end is seen
    this.#socket.end()
    // Not the socket's own time-out, which whoever goes on sending would put off for ever.
    this.#socket.once(
      'close',
      this.#clock.after(farewellMsMax, () => this.#socket.destroy()),
    )
  }

  destroy(): void {
    this.#socket.destroy()
  }

  get writeBytes(): number {
    return this.#socket.writableLength
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? ''
  }

  get confidential(): boolean {
    return this.#socket instanceof TLSSocket || isLoopbackAddress(this.#socket.remoteAddress)
  }

  certificates(): readonly X509Certificate[] {
    return this.#socket instanceof TLSSocket ? certificatesOf(this.#socket) : []
  }
}
