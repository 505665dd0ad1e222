/**
 * WebSockets as byte streams: the message boundaries of RFC 6455 carry no meaning for the protocols spoken inside.
 */

import type { us_socket_context_t, WebSocket } from 'uWebSockets.js'
import type { X509Certificate } from 'node:crypto'
import type { HttpRouter } from './http.ts'
import type { HttpPeer } from './http-peers.ts'

/** One open WebSocket. Calls after it closed do nothing. */
export interface ByteSocket {
  /** Sends one binary message. */
  write(bytes: Uint8Array): void
  /** Sends what was written, then closes in order. What is left after 4 s the library tears down, whatever still comes. */
  end(): void
  destroy(): void
  /** Bytes written and not yet taken by the network. */
  readonly writeBytes: number
  readonly remoteAddress: string
  /** As of a request. */
  readonly certificates: readonly X509Certificate[]
}

export interface ByteSocketHandler {
  /** Valid during the call only. */
  onChunk(bytes: Buffer): void
  onDrained(): void
  /** Once, however it closed. */
  onClosed(): void
}

export interface ByteSocketRoute {
  readonly pattern: string
  /** Sub-protocol that the client must offer, in any case; its own spelling is echoed. */
  readonly protocol: string
  /** A larger message closes the socket (1009). */
  readonly messageBytesMax: number
  /** `undefined`: the socket was closed instead. */
  readonly attach: (socket: ByteSocket) => ByteSocketHandler | undefined
}

/** Status code of RFC 6455 section 7.4.1. */
const unsupportedData = 1003

interface SocketState {
  readonly peer: HttpPeer | undefined
  handler: ByteSocketHandler | undefined
}

/** Serves `route`; a request that does not offer the sub-protocol is answered 400. */
export function routeByteSocket(
  { app, callers, peers, upgraded }: Omit<HttpRouter, 'route'>,
  route: ByteSocketRoute,
): void {
  app.ws<SocketState>(route.pattern, {
    maxPayloadLength: route.messageBytesMax,
    // Its own time-outs are the spoken protocol's business.
    idleTimeout: 0,
    sendPingsAutomatically: false,
    maxBackpressure: 0,
    upgrade(response, request, context: us_socket_context_t) {
      const peer = peers?.of(response)
      if (peers !== undefined && peer === undefined) {
        response.close()
        return
      }
      const [host, origin] = [request.getHeader('host'), request.getHeader('origin')]
      const fault = callers?.fault(host, origin, request.getHeader('sec-fetch-site'))
      if (fault !== undefined) {
        response.writeStatus('403 Forbidden').end(`${fault}\n`)
        return
      }
      const offered = request
        .getHeader('sec-websocket-protocol')
        .split(',')
        .map((protocol) => protocol.trim())
      const chosen = offered.find((protocol) => protocol.toLowerCase() === route.protocol)
      if (chosen === undefined) {
        response.writeStatus('400 Bad Request').end(`offer the WebSocket sub-protocol ${route.protocol}\n`)
        return
      }
      response.upgrade<SocketState>(
        { peer, handler: undefined },
        request.getHeader('sec-websocket-key'),
        chosen,
        request.getHeader('sec-websocket-extensions'),
        context,
      )
    },
    open(native) {
      upgraded()
      const state = native.getUserData()
      state.handler = route.attach(new NativeByteSocket(native, state.peer))
    },
    message(native, message, isBinary) {
      // The protocols spoken inside are binary [MQTT-6.0.0-1].
      if (isBinary) native.getUserData().handler?.onChunk(Buffer.from(message))
      else native.end(unsupportedData, 'binary messages only')
    },
    drain(native) {
      native.getUserData().handler?.onDrained()
    },
    close(native) {
      const state = native.getUserData()
      const { handler } = state
      state.handler = undefined
      handler?.onClosed()
    },
  })
}

class NativeByteSocket implements ByteSocket {
  readonly remoteAddress: string
  readonly #peer: HttpPeer | undefined
  readonly #native: WebSocket<SocketState>
  #ended = false

  constructor(native: WebSocket<SocketState>, peer: HttpPeer | undefined) {
    this.#native = native
    this.remoteAddress = peer?.remoteAddress ?? Buffer.from(native.getRemoteAddressAsText()).toString('latin1')
    this.#peer = peer
  }

  get certificates(): readonly X509Certificate[] {
    return this.#peer?.certificates ?? []
  }

  write(bytes: Uint8Array): void {
    this.#whileOpen(() => this.#native.send(bytes, true))
  }

  end(): void {
    this.#whileOpen(() => this.#native.end(1000))
    this.#ended = true
  }

  destroy(): void {
    this.#whileOpen(() => this.#native.close())
    this.#ended = true
  }

  get writeBytes(): number {
    let bytes = 0
    this.#whileOpen(() => {
      bytes = this.#native.getBufferedAmount()
    })
    return bytes
  }

  /** The native object throws once its socket has closed, which it tells in no other way. */
  #whileOpen(action: () => void): void {
    if (this.#ended) return
    try {
      action()
    } catch {
      this.#ended = true
    }
  }
}
