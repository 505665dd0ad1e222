import type { X509Certificate } from 'node:crypto'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { Connection } from './connection.ts'
import type { EdgeContext, Transport } from './edge-context.ts'
import { admitSocket, socketsMax } from './socket-gate.ts'
import { readTlsSecrets, type TlsFiles, watchTlsFiles } from './tls-secrets.ts'

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
    await listening(server, host, port)
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

interface WatchingServer {
  readonly server: Server
  readonly unwatch: () => void
}

function tcpServer(edge: EdgeContext): WatchingServer {
  return { server: createServer({ noDelay: true }, (socket) => attach(edge, socket, undefined)), unwatch: () => {} }
}

/** Handshakes that do not end in this time are given up: a connection that says nothing holds nothing. */
const handshakeMsMax = 10_000

/** The same for all edge processes: by default it differs with their command lines, and no session would be resumed elsewhere. */
const sessions = { sessionIdContext: 'penstock-mqtt', sessionTimeout: 6 * 3600 }

function tlsServer(edge: EdgeContext, files: TlsFiles): WatchingServer {
  const secrets = readTlsSecrets(files, edge.clock.nowMs())
  // A client certificate is asked for and judged with the CONNECT, not in the handshake: the same port serves devices with
  // tokens, and self-signed leaves are legal.
  const server: TlsServer = createTlsServer(
    {
      ...secrets,
      ...sessions,
      noDelay: true,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMsMax,
    },
    (socket) => attach(edge, socket, socket),
  )
  // A port scan, a plain-text client, or a handshake that took too long, which the library tells of but leaves open.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  const unwatch = watchTlsFiles(files, () => {
    try {
      server.setSecureContext({ ...readTlsSecrets(files, edge.clock.nowMs()), ...sessions })
      edge.logger.info('certificate read again', { file: files.certFile })
    } catch (error) {
      edge.logger.error('the changed certificate cannot be used; the former one stays', { error })
    }
  })
  return { server, unwatch }
}

/** Other systems cannot balance a shared port; one process serves it there. */
const reusePort = process.platform === 'linux'

const backlog = 4096

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new PenstockError('PORT_UNAVAILABLE', `cannot listen for MQTT on ${host}:${port}: ${cause.code}`, { cause }),
      )
    })
    server.listen({ host, port, backlog, reusePort }, resolve)
  })
}

function attach(edge: EdgeContext, socket: Socket, tls: TLSSocket | undefined): void {
  if (!admitSocket(edge)) {
    socket.destroy()
    return
  }
  const connection = new Connection(edge, transportOf(socket, tls))
  socket.on('data', (chunk: Buffer) => connection.onChunk(chunk))
  socket.on('close', () => connection.onClosed())
  socket.on('drain', () => connection.onDrained())
  socket.on('error', ignoreError) // a `close` follows, and says enough
}

function ignoreError(): void {}

/** How long a peer may take to read the last words before the socket is torn down. */
const farewellMsMax = 2_000

function transportOf(socket: Socket, tls: TLSSocket | undefined): Transport {
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
    get confidential() {
      return tls !== undefined || isLoopbackAddress(socket.remoteAddress)
    },
    certificates: () => (tls === undefined ? [] : certificatesOf(tls)),
  }
}

const chainMax = 8

/** The chain as the client sent it, leaf first. */
function certificatesOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next = socket.getPeerX509Certificate()
  for (; next !== undefined && chain.length < chainMax; next = next.issuerCertificate) chain.push(next)
  return chain
}
