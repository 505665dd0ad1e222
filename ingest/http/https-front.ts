/**
 * HTTPS that knows client certificates. uWebSockets.js asks for none, so TLS ends here, and what a connection says goes on to it over a
 * local socket:
 *
 *   device ══ TLS ══▶ node:tls ── handshake done ──▶ one local connection, opened with the peer's header ──▶ uWebSockets.js
 *                                                                                          request ─▶ peer ─▶ certificates
 *
 *   either side ends        what it said before is passed on, then the other side is ended
 *   either side is slow     the other one is not read from
 *   the device reads nothing for `stalledMsMax`: destroyed; what is behind cannot be heard to end while it is not read from
 *
 * Silence after the handshake, half requests and idle connections are the HTTP server's business as on its other ports.
 */
import type { X509Certificate } from 'node:crypto'
import { rmSync } from 'node:fs'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { socketsMax } from '#ingest/mqtt/socket-gate.ts'
import type { TlsFiles } from '#ingest/mqtt/tls-secrets.ts'
import { certificatesOf, listening, openTlsServer } from '#ingest/mqtt/tls-server.ts'
import { type Clock, sleep, systemClock } from '#runtime/clock.ts'
import type { HttpListening } from '#runtime/http.ts'
import { type HttpPeer, HttpPeers } from '#runtime/http-peers.ts'
import type { Logger } from '#runtime/logger.ts'
import { makePrivateFolder } from '#runtime/private-files.ts'

export interface HttpsFrontOptions {
  readonly host: string
  /** 0 picks a free one. Several processes may listen on one port. */
  readonly port: number
  readonly files: TlsFiles
  /**
   * Of this process alone, of at most 88 bytes; made if it is missing, closed to other users, and removed at the end. What a process
   * that was killed left in it is replaced.
   */
  readonly folder: string
  /** Of the edge; bounds the sockets held here as it does those of MQTT over TLS. */
  readonly connectionsMax: number
  readonly logger: Logger
  readonly clock?: Clock
}

export interface HttpsFront {
  readonly port: number
  /** Accepts no more, lets open requests end as the server behind does, then ends every connection. */
  close(): Promise<void>
}

/** How long a peer may take to read the last words before the socket is torn down. */
const farewellMsMax = 2_000

/** A device that takes no byte for so long is gone: TCP itself would ask on for a quarter of an hour. */
const stalledMsMax = 60_000

/**
 * @param openBehind opens the server that serves what is passed on
 * @throws PORT_UNAVAILABLE, TLS_FILES_INVALID, and what `openBehind` throws
 */
export async function openHttpsFront(
  options: HttpsFrontOptions,
  openBehind: (socketFile: string, peers: HttpPeers) => Promise<HttpListening>,
): Promise<HttpsFront> {
  const { host, files, folder, logger, clock = systemClock } = options
  const peers = new HttpPeers()
  const accepted = new Set<Socket>()
  let closing = false
  makePrivateFolder(folder)
  const socketFile = join(folder, 'front.sock')
  const tlsOptions = { files, sessionIdContext: 'penstock-https', clock, logger, isClosing: () => closing }
  let behind: HttpListening | undefined
  let unwatch = () => {}
  try {
    const tls = openTlsServer(tlsOptions, (device) => new Passage(device, socketFile, peers, clock))
    unwatch = tls.unwatch
    const { server } = tls
    server.maxConnections = 2 * socketsMax(options.connectionsMax) + 1_000
    server.on('connection', (socket: Socket) => {
      accepted.add(socket)
      socket.once('close', () => accepted.delete(socket))
    })
    behind = await openBehind(socketFile, peers)
    await listening(server, 'HTTPS', host, options.port)
    const { close } = behind
    return {
      port: (server.address() as AddressInfo).port,
      close: async () => {
        closing = true
        const ended = new AbortController()
        server.close(() => ended.abort())
        unwatch()
        await close()
        await sleep(clock, farewellMsMax, ended.signal)
        for (const socket of accepted) socket.destroy()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    unwatch()
    await behind?.close(0)
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** One connection of a device, and the local one that serves it. */
class Passage implements HttpPeer {
  readonly remoteAddress: string
  readonly #device: TLSSocket
  readonly #clock: Clock
  #inner: Socket | undefined = undefined
  #certificates: readonly X509Certificate[] | undefined = undefined

  constructor(device: TLSSocket, socketFile: string, peers: HttpPeers, clock: Clock) {
    this.remoteAddress = device.remoteAddress ?? ''
    this.#device = device
    this.#clock = clock
    const { header, forget } = peers.add(this)
    device.on('error', ignoreError) // a `close` follows, and says enough
    device.on('timeout', () => device.destroy())
    device.on('close', () => {
      forget()
      this.#inner?.destroy()
    })
    this.#connect(socketFile, header)
  }

  get certificates(): readonly X509Certificate[] {
    this.#certificates ??= certificatesOf(this.#device)
    return this.#certificates
  }

  /** What the device says on is discarded; the server behind ends its side, once it has answered. */
  end(): void {
    const inner = this.#inner
    if (inner === undefined) return
    this.#device.unpipe(inner)
    this.#device.resume()
    inner.end()
  }

  #connect(socketFile: string, header: Buffer): void {
    const device = this.#device
    if (device.destroyed) return
    let isBusy = false
    const inner = connect(socketFile)
    this.#inner = inner
    inner.on('connect', () => {
      inner.write(header)
      device.pipe(inner).pipe(device)
    })
    inner.on('error', (error: NodeJS.ErrnoException) => {
      // More have come in this turn of the event loop than the server behind has places for those it has not taken yet.
      isBusy = error.code === 'EAGAIN'
    })
    // A pipe pauses its source while its target is slow.
    inner.on('pause', () => device.setTimeout(stalledMsMax))
    inner.on('resume', () => device.setTimeout(0))
    inner.on('close', () => {
      if (isBusy) setImmediate(() => this.#connect(socketFile, header))
      else this.#farewell()
    })
  }

  /** The last words go out as long as the device takes them; then it may end its side, whatever it still says is discarded. */
  #farewell(): void {
    const device = this.#device
    if (device.destroyed) return
    device.pause()
    device.setTimeout(farewellMsMax)
    device.end(() => {
      device.resume()
      const cancel = this.#clock.after(farewellMsMax, () => device.destroy())
      device.once('close', cancel)
    })
  }
}

function ignoreError(): void {}
