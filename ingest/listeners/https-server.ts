/**
 * HTTPS: what a connection says after its TLS handshake goes to an HTTP service of the process, with what its client showed.
 *
 *   device ══ TLS ══▶ handshake, a few a turn ─▶ HTTP service ─▶ request ─▶ certificates
 *
 * Silence after the handshake, half requests and idle connections are the service's business, as on its other ports.
 */
import type { Socket } from 'node:net'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { HttpService } from '#runtime/http/http.ts'
import { listening } from '#runtime/listening.ts'
import type { Logger } from '#runtime/logger.ts'
import { portOf } from './port-of.ts'
import { socketsMax } from './socket-gate.ts'
import type { TlsFiles } from './tls-secrets.ts'
import { certificatesOf, openTlsServer } from './tls-server.ts'

export interface HttpsServerOptions {
  readonly host: string
  /** 0 picks a free one. Several processes may listen on one port. */
  readonly port: number
  /** Read again when they change. */
  readonly files: TlsFiles
  /** Whether clients are asked for a certificate; any is taken, and none, since who it speaks for is judged with each request. */
  readonly asksForCertificates: boolean
  /** Of the edge; bounds the sockets held here, with those in their handshake, as it does those of MQTT over TLS. */
  readonly connectionsMax: number
  readonly logger: Logger
  /** Called with each step of a handshake; requests are the service's business. */
  readonly onStep?: () => void
  readonly clock?: Clock
}

export interface HttpsServer {
  readonly port: number
  /** Accepts no more, closes the service, then ends every connection. */
  close(): Promise<void>
}

/** @throws PORT_UNAVAILABLE, TLS_FILES_INVALID */
export async function openHttpsServer(options: HttpsServerOptions, service: HttpService): Promise<HttpsServer> {
  const { host, port, files, asksForCertificates, logger, clock = systemClock } = options
  const accepted = new Set<Socket>()
  let closing = false
  const tlsOptions = {
    files,
    asksForCertificates,
    sessionIdContext: 'penstock-https',
    clock,
    logger,
    onStep: options.onStep ?? (() => {}),
    isClosing: () => closing,
  }
  const { server, unwatch } = openTlsServer(tlsOptions, (socket) =>
    service.accept(socket, asksForCertificates ? () => certificatesOf(socket) : undefined),
  )
  server.maxConnections = 2 * socketsMax(options.connectionsMax) + 1_000
  server.on('connection', (socket: Socket) => {
    accepted.add(socket)
    socket.once('close', () => accepted.delete(socket))
  })
  try {
    await listening(server, 'HTTPS', host, port, true)
  } catch (error) {
    unwatch()
    throw error
  }
  return {
    port: portOf(server),
    close: async () => {
      closing = true
      server.close()
      unwatch()
      await service.close()
      for (const socket of accepted) socket.destroy()
    },
  }
}
