import type { X509Certificate } from 'node:crypto'
import { Connection } from '#ingest/mqtt/connection.ts'
import type { EdgeContext, Transport } from '#ingest/session/edge-context.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { type ByteSocket, routeByteSocket } from '#runtime/http/socket.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { webSocketPaths } from '#schemas/hub-topics.ts'
import { limits } from '#schemas/limits.ts'
import { admitSocket } from './socket-gate.ts'

/** The hub's path, and the one that most MQTT clients take by default. */

/**
 * MQTT over WebSocket (MQTT 3.1.1 section 6): the same sessions, whose bytes come as messages.
 * @param confidential true if the router's server speaks TLS
 */
export function routeMqttWebSocket(router: HttpRouter, edge: EdgeContext, confidential: boolean): void {
  for (const pattern of webSocketPaths) {
    routeByteSocket(router, {
      pattern,
      protocol: 'mqtt',
      messageBytesMax: limits.webSocketMessageBytesMax,
      attach: (socket) => {
        if (admitSocket(edge)) return new SocketSession(edge, socket, confidential)
        socket.destroy()
        return undefined
      },
    })
  }
}

/**
 * A WebSocket is read on while its connection is paused, so that its pings are answered and its end is seen. What arrives meanwhile waits
 * here, up to a bound of its own and one of all WebSockets; the client that exceeds either is told so and ends [G-4].
 */
class SocketSession implements Transport {
  readonly #edge: EdgeContext
  readonly #socket: ByteSocket
  readonly #connection: Connection
  readonly confidential: boolean
  #paused = false
  #waiting: Buffer[] = []
  #waitingBytes = 0

  constructor(edge: EdgeContext, socket: ByteSocket, confidential: boolean) {
    this.#edge = edge
    this.#socket = socket
    this.confidential = confidential || isLoopbackAddress(socket.remoteAddress)
    this.#connection = new Connection(edge, this)
  }

  onChunk(bytes: Buffer): void {
    if (!this.#paused) {
      this.#connection.onChunk(bytes)
      return
    }
    const { webSocketWaiting } = this.#edge
    this.#waitingBytes += bytes.length
    webSocketWaiting.bytes += bytes.length
    if (this.#waitingBytes <= limits.webSocketWaitingBytesMax && webSocketWaiting.bytes <= webSocketWaiting.bytesMax)
      this.#waiting.push(Buffer.from(bytes))
    else
      this.#connection.fail(new PenstockError('INGEST_OVERLOADED', 'more was sent than can wait while the log is slow'))
  }

  onDrained(): void {
    this.#connection.onDrained()
  }

  onClosed(): void {
    this.#takeWaiting()
    this.#connection.onClosed()
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
    this.#waiting = []
    this.#waitingBytes = 0
    return waiting
  }

  certificates(): readonly X509Certificate[] {
    return this.#socket.certificates
  }
}
