import type { X509Certificate } from 'node:crypto'
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import { PenstockError } from '#schemas/errors.ts'
import { Connection } from './connection.ts'
import type { EdgeContext, Transport } from './edge-context.ts'

/** PEM files; read again when they change, so that a renewed certificate needs no restart. */
export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

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
  const server = tls === undefined ? tcpServer(edge) : tlsServer(edge, tls)
  await listening(server, host, port)
  return {
    port: (server.address() as AddressInfo).port,
    // Ends the listening only; the edge ends open connections itself.
    stopAccepting: () => {
      server.close()
      if (tls) unwatchFile(tls.certFile)
    },
  }
}

function tcpServer(edge: EdgeContext): Server {
  return createServer({ noDelay: true }, (socket) => attach(edge, socket, undefined))
}

/** Handshakes that do not end in this time are given up: a connection that says nothing holds nothing. */
const handshakeMsMax = 10_000
const certificateLookMs = 5_000

function tlsServer(edge: EdgeContext, files: TlsFiles): Server {
  // A client certificate is asked for and judged with the CONNECT, not in the handshake: the same port serves devices with
  // tokens, and self-signed leaves are legal.
  const server: TlsServer = createTlsServer(
    {
      ...secretsFrom(files),
      noDelay: true,
      minVersion: 'TLSv1.2',
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMsMax,
    },
    (socket) => attach(edge, socket, socket),
  )
  server.on('tlsClientError', ignoreError) // a port scan, a plain-text client: nothing of ours
  watchFile(files.certFile, { interval: certificateLookMs, persistent: false }, () => {
    try {
      server.setSecureContext({ ...secretsFrom(files), minVersion: 'TLSv1.2' })
      edge.logger.info('certificate read again', { file: files.certFile })
    } catch (error) {
      edge.logger.error('the changed certificate cannot be used; the former one stays', { error })
    }
  })
  return server
}

function secretsFrom(files: TlsFiles): { cert: Buffer; key: Buffer } {
  try {
    return { cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) }
  } catch (cause) {
    throw new PenstockError('TLS_FILES_INVALID', `certificate or key cannot be read: ${String(cause)}`, { cause })
  }
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
      return tls !== undefined || isLoopback(socket.remoteAddress)
    },
    certificates: () => (tls === undefined ? [] : certificatesOf(tls)),
  }
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.'))
}

const chainMax = 8

/** The chain as the client sent it, leaf first. */
function certificatesOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next = socket.getPeerX509Certificate()
  for (; next !== undefined && chain.length < chainMax; next = next.issuerCertificate) chain.push(next)
  return chain
}
