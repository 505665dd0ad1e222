/**
 * TLS that asks for a client certificate and takes any, or none. Who it speaks for is judged later: the same port
 * serves devices with tokens, and self-signed leaves are legal. The server's own certificate is renewed in place.
 *
 *   accepted ─▶ queue, a few a turn ─▶ handshake ─▶ onSocket
 *                                         │ fails, or takes too long: destroyed
 */
import type { X509Certificate } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { certificateChain } from '#runtime/certificates.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { readTlsSecrets, type TlsFiles, warnOfValidity, watchTlsFiles } from './tls-secrets.ts'

export interface TlsServerOptions {
  readonly files: TlsFiles
  /** Default: true. */
  readonly asksForCertificates?: boolean
  /** The same for all processes that share sessions: by default it differs with their command lines, and none would be resumed. */
  readonly sessionIdContext: string
  readonly clock: Clock
  readonly logger: Logger
  /** Called with each step that a client waits for: a socket, handshakes that begin, one that is done. */
  readonly onStep: () => void
  /** Handshakes that have not begun are given up. */
  readonly isClosing: () => boolean
}

/** Not listening yet. */
export interface WatchingServer {
  readonly server: Server
  /** Ends the watch of files. */
  readonly unwatch: () => void
}

/** Handshakes that do not end in this time are given up: a connection that says nothing holds nothing. */
const handshakeMsMax = 10_000
const sessionTimeout = 6 * 3600

/** @throws TLS_FILES_INVALID */
export function openTlsServer(options: TlsServerOptions, onSocket: (socket: TLSSocket) => void): WatchingServer {
  const { files, asksForCertificates = true, sessionIdContext, clock, logger, onStep, isClosing } = options
  const sessions = { sessionIdContext, sessionTimeout }
  const secrets = () => {
    const read = readTlsSecrets(files, clock.nowMs())
    warnOfValidity(files, clock.nowMs(), logger)
    return read
  }
  const tls = createTlsServer(
    {
      ...secrets(),
      ...sessions,
      requestCert: asksForCertificates,
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMsMax,
    },
    (socket) => {
      onStep()
      onSocket(socket)
    },
  )
  // A port scan, a plain-text client, or a handshake that took too long, which the library tells of but leaves open.
  tls.on('tlsClientError', (_error, socket) => socket.destroy())
  const queue = new HandshakeQueue((socket) => {
    onStep()
    if (isClosing()) socket.destroy()
    else tls.emit('connection', socket)
  })
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    onStep()
    queue.push(socket)
  })
  const unwatch = watchTlsFiles(files, () => {
    try {
      tls.setSecureContext({ ...secrets(), ...sessions })
      logger.info('certificate read again', { file: files.certFile })
    } catch (error) {
      logger.error('the changed certificate cannot be used; the former one stays', { error })
    }
  })
  return { server, unwatch }
}

/** TLS handshakes that begin in one turn of the event loop. Each takes a millisecond or two, which everybody else waits. */
const handshakesPerTurn = 8

/** Lets handshakes begin a few at a time, so that a storm of them delays established devices by little [G-4]. */
class HandshakeQueue {
  readonly #begin: (socket: Socket) => void
  #waiting: Socket[] = []

  constructor(begin: (socket: Socket) => void) {
    this.#begin = begin
  }

  push(socket: Socket): void {
    socket.on('error', ignoreError)
    this.#waiting.push(socket)
    if (this.#waiting.length === 1) setImmediate(() => this.#turn())
  }

  #turn(): void {
    for (const socket of this.#waiting.splice(0, handshakesPerTurn)) this.#begin(socket)
    if (this.#waiting.length > 0) setImmediate(() => this.#turn())
  }
}

function ignoreError(): void {}

/** The chain as the client sent it. */
export function certificatesOf(socket: TLSSocket): X509Certificate[] {
  return certificateChain(socket.getPeerX509Certificate())
}
