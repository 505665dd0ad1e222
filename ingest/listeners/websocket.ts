import type { X509Certificate } from 'node:crypto'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Attach, Receiver, Transport } from '#ingest/session/transport.ts'
import { assert } from '#runtime/assert.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { type ByteSocket, routeByteSocket } from '#runtime/http/socket.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { admitSocket } from './socket-gate.ts'

/** What is spoken over WebSockets, and where. */
export interface SpokenInMessages {
  readonly paths: readonly string[]
  /** As clients ask for it (RFC 6455 section 1.9), in lower case. */
  readonly subprotocol: string
  readonly attach: Attach
}

/**
 * Protocols over WebSocket: the same connections, whose bytes come as messages. Several may be spoken on one path.
 * @param confidential true if the router's server speaks TLS
 */
export function routeWebSocket(
  router: HttpRouter,
  edge: EdgeContext,
  spoken: readonly SpokenInMessages[],
  confidential: boolean,
): void {
  for (const pattern of new Set(spoken.flatMap(({ paths }) => paths))) {
    const attaches = new Map(
      spoken.flatMap(({ paths, subprotocol, attach }) => (paths.includes(pattern) ? [[subprotocol, attach]] : [])),
    )
    routeByteSocket(router, {
      pattern,
      protocols: [...attaches.keys()],
      messageBytesMax: limits.webSocketMessageBytesMax,
      attach: (socket, protocol) => {
        const attach = attaches.get(protocol)
        if (attach !== undefined && admitSocket(edge)) return new WebSocketTransport(edge, attach, socket, confidential)
        socket.destroy()
        return undefined
      },
    })
  }
}

/**
 * A WebSocket is read on while its connection is paused, so that its pings are answered and its end is seen. What
 * arrives meanwhile waits here. There is a bound for each WebSocket and one for all of them. A client that exceeds
 * either is told so, and its connection ends [G-4].
 */
class WebSocketTransport implements Transport {
  readonly #edge: EdgeContext
  readonly #socket: ByteSocket
  readonly #receiver: Receiver
  readonly confidential: boolean
  #paused = false
  #waiting: Buffer[] = []
  #waitingBytes = 0

  constructor(edge: EdgeContext, attach: Attach, socket: ByteSocket, confidential: boolean) {
    this.#edge = edge
    this.#socket = socket
    this.confidential = confidential || isLoopbackAddress(socket.remoteAddress)
    this.#receiver = attach(this)
  }

  onChunk(bytes: Buffer): void {
    if (!this.#paused) {
      this.#receiver.onChunk(bytes)
      return
    }
    const { webSocketWaiting } = this.#edge
    this.#waitingBytes += bytes.length
    webSocketWaiting.bytes += bytes.length
    if (this.#waitingBytes <= limits.webSocketWaitingBytesMax && webSocketWaiting.bytes <= webSocketWaiting.bytesMax)
      this.#waiting.push(Buffer.from(bytes))
    else
      this.#receiver.fail(new PenstockError('INGEST_OVERLOADED', 'more was sent than can wait while the log is slow'))
  }

  onDrained(): void {
    this.#receiver.onDrained()
  }

  onClosed(): void {
    this.#takeWaiting()
    this.#receiver.onClosed()
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    // Reading may pause again half-way; the rest then waits on.
    for (const bytes of this.#takeWaiting()) this.onChunk(bytes)
  }

  end(): void {
    this.#takeWaiting()
    this.#socket.end()
  }

  destroy(): void {
    this.#takeWaiting()
    this.#socket.destroy()
  }

  get writeBytes(): number {
    return this.#socket.writeBytes
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress
  }

  /** What waited; nothing does any more. */
  #takeWaiting(): readonly Buffer[] {
    const waiting = this.#waiting
    this.#edge.webSocketWaiting.bytes -= this.#waitingBytes
    assert(this.#edge.webSocketWaiting.bytes >= 0, 'no more waits no longer than ever waited')
    this.#waiting = []
    this.#waitingBytes = 0
    return waiting
  }

  get isWebSocket(): boolean {
    return true
  }

  certificates(): readonly X509Certificate[] {
    return this.#socket.certificates
  }
}
