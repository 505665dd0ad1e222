import type { X509Certificate } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Attach, Receiver, Transport } from '#ingest/session/transport.ts'
import type { Clock } from '#runtime/clock.ts'
import { listening } from '#runtime/listening.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { readInPlace, readTlsInPlace } from '#runtime/read-in-place.ts'
import { portOf } from './port-of.ts'
import { admitSocket, socketsMax } from './socket-gate.ts'
import type { TlsFiles } from './tls-secrets.ts'
import { certificatesOf, openTlsServer, type WatchingServer } from './tls-server.ts'

export interface Listener {
  readonly port: number
  /** Accepts no more; open connections go on. */
  stopAccepting(): void
}

/** What is spoken on a port. */
export interface Spoken {
  /** As the error of a port that is taken names it. */
  readonly protocol: string
  readonly attach: Attach
}

/**
 * Listens on TCP, or on TLS. Several processes may listen on one port; the kernel spreads connections over them.
 * @param port 0 picks a free one
 * @throws PORT_UNAVAILABLE, TLS_FILES_INVALID
 */
export async function listen(
  edge: EdgeContext,
  spoken: Spoken,
  host: string,
  port: number,
  tls?: TlsFiles,
): Promise<Listener> {
  const { server, unwatch } = tls === undefined ? tcpServer(edge, spoken) : tlsServer(edge, spoken, tls)
  // Counts also handshakes that have not ended and sockets that are being closed; `admitSocket` is the finer bound.
  server.maxConnections = 2 * socketsMax(edge.connectionsMax) + 1_000
  try {
    await listening(server, spoken.protocol, host, port, true)
  } catch (error) {
    unwatch()
    throw error
  }
  return {
    port: portOf(server),
    // Ends the listening only; the edge ends open connections itself.
    stopAccepting: () => {
      server.close()
      unwatch()
    },
  }
}

function tcpServer(edge: EdgeContext, { attach }: Spoken): WatchingServer {
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => {
    edge.batcher.stayAwake()
    if (!admitSocket(edge)) accepted.destroy()
    else attachInPlace(edge, attach, accepted)
  })
  return { server, unwatch: () => {} }
}

function attachInPlace(edge: EdgeContext, attach: Attach, accepted: Socket): void {
  let receiver: Receiver | undefined
  const socket = readInPlace(accepted, (bytes) => receiver?.onChunk(bytes))
  receiver = attach(new SocketTransport(edge, socket))
  tellOfEnd(receiver, socket)
  socket.resume()
}

function tlsServer(edge: EdgeContext, { protocol, attach }: Spoken, files: TlsFiles): WatchingServer {
  const { batcher, clock, logger } = edge
  const onStep = () => batcher.stayAwake()
  const sessionIdContext = `penstock-${protocol.toLowerCase()}`
  const options = { files, sessionIdContext, clock, logger, onStep, isClosing: () => edge.draining }
  return openTlsServer(options, (socket) => attachTls(edge, attach, socket))
}

function attachTls(edge: EdgeContext, attach: Attach, socket: TLSSocket): void {
  if (!admitSocket(edge)) {
    socket.destroy()
    return
  }
  const receiver = attach(new SocketTransport(edge, socket))
  tellOfEnd(receiver, socket)
  readTlsInPlace(socket, (bytes) => receiver.onChunk(bytes))
}

function tellOfEnd(receiver: Receiver, socket: Socket): void {
  socket.on('close', () => receiver.onClosed())
  socket.on('drain', () => receiver.onDrained())
  socket.on('error', ignoreError) // a `close` follows, and says enough
}

function ignoreError(): void {}

/** How long a peer may take to read the last words before the socket is torn down. */
const farewellMsMax = 2_000

/**
 * A class, so that all transports have one shape for the compiler. An object of functions would be a shape of its own
 * each time.
 */
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

  get isWebSocket(): boolean {
    return false
  }

  certificates(): readonly X509Certificate[] {
    return this.#socket instanceof TLSSocket ? certificatesOf(this.#socket) : []
  }
}
