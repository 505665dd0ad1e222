/**
 * WebSockets as byte streams: the message boundaries of RFC 6455 carry no meaning for the protocols spoken inside.
 *
 *   request ─▶ offered sub-protocol? ─▶ 101 ─▶ open ─▶ closed: by the client, for its fault, by this side, or with its connection
 *                 400, 426
 */
import { createHash, type X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { answerHead, type HttpAnswer, textAnswer } from './answer.ts'
import type { HttpRequest } from './request.ts'
import type { HttpRouter, TakenConnection, UpgradableConnection } from './serving.ts'
import { closeCodes, type FrameHandler, FrameReader, opcodes } from './websocket-frames.ts'

/** One open WebSocket. Calls after it closed do nothing. */
export interface ByteSocket {
  /** Sends one binary message. */
  write(bytes: Uint8Array): void
  /** Sends what was written, then closes in order. If that takes more than 4 s, the socket is destroyed. */
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
  /** Sub-protocols of which the client must offer one, in any case; its own spelling is echoed. Lower case. */
  readonly protocols: readonly string[]
  /** A larger message closes the socket (1009). */
  readonly messageBytesMax: number
  /** `undefined`: the socket was closed instead. */
  readonly attach: (socket: ByteSocket, protocol: string) => ByteSocketHandler | undefined
}

/** Serves `route`; a request that does not offer the sub-protocol is answered 400. */
export function routeByteSocket(router: Pick<HttpRouter, 'upgrade'>, route: ByteSocketRoute): void {
  router.upgrade({ pattern: route.pattern, upgrade: (request, connection) => upgrade(route, request, connection) })
}

function upgrade(
  route: ByteSocketRoute,
  request: HttpRequest,
  connection: UpgradableConnection,
): HttpAnswer | undefined {
  if (request.header('sec-websocket-version') !== version)
    return textAnswer(426, `this is version ${version}\n`, { 'Sec-WebSocket-Version': version, Upgrade: 'websocket' })
  const key = request.header('sec-websocket-key')
  if (!keyPattern.test(key)) return textAnswer(400, 'the key of the WebSocket is none\n')
  const offered = request
    .header('sec-websocket-protocol')
    .split(',')
    .map((protocol) => protocol.trim())
  const chosen = offered.find((protocol) => route.protocols.includes(protocol.toLowerCase()))
  if (chosen === undefined) return textAnswer(400, `offer the WebSocket sub-protocol ${route.protocols.join(' or ')}\n`)
  const accept = createHash('sha1')
    .update(key + keySuffix)
    .digest('base64')
  const headers = { Upgrade: 'websocket', 'Sec-WebSocket-Accept': accept, 'Sec-WebSocket-Protocol': chosen }
  connection.socket.write(answerHead(101, headers, undefined, 'Upgrade'))
  const socket = new FramedSocket(connection, route.messageBytesMax)
  connection.take(socket)
  socket.attach(route.attach(socket, chosen.toLowerCase()))
  return undefined
}

const version = '13'
/** 16 bytes in base64 (RFC 6455 section 4.1). */
const keyPattern = /^[A-Za-z0-9+/]{22}==$/
/** RFC 6455 section 1.3. */
const keySuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** How long a client may take to answer a close before the socket is destroyed. */
const farewellMsMax = 4_000
/** Beyond this many waiting bytes pings get no answer: only the last one matters (RFC 6455 section 5.5.3). */
const pongBytesMax = 16 * 1024
/** Messages up to this length are copied behind their head and written as one. */
const copiedBytesMax = 16 * 1024

class FramedSocket implements ByteSocket, TakenConnection, FrameHandler {
  readonly #connection: UpgradableConnection
  readonly #socket: Socket
  readonly #reader: FrameReader
  #handler: ByteSocketHandler | undefined = undefined
  #ended = false

  constructor(connection: UpgradableConnection, messageBytesMax: number) {
    this.#connection = connection
    this.#socket = connection.socket
    this.#reader = new FrameReader(messageBytesMax, this)
  }

  attach(handler: ByteSocketHandler | undefined): void {
    if (this.#ended) handler?.onClosed()
    else this.#handler = handler
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }

  get certificates(): readonly X509Certificate[] {
    return this.#connection.certificates
  }

  get writeBytes(): number {
    return this.#ended ? 0 : this.#socket.writableLength
  }

  write(bytes: Uint8Array): void {
    if (!this.#ended) this.#send(opcodes.binary, bytes)
  }

  end(): void {
    this.#close(closeCodes.normal)
  }

  destroy(): void {
    this.#leave()
    this.#socket.destroy()
  }

  onChunk(bytes: Buffer): void {
    if (!this.#ended) this.#reader.read(bytes)
  }

  onDrained(): void {
    this.#handler?.onDrained()
  }

  onClosed(): void {
    this.#leave()
  }

  onData(bytes: Buffer): boolean {
    this.#handler?.onChunk(bytes)
    return !this.#ended
  }

  onPing(bytes: Buffer): boolean {
    if (this.#socket.writableLength <= pongBytesMax) this.#send(opcodes.pong, bytes)
    return true
  }

  /** The code is echoed. */
  onClose(code: Buffer): void {
    this.#close(code.length === 2 ? code.readUInt16BE() : undefined)
  }

  onFault(code: number): void {
    this.#close(code)
  }

  /** Reports the close, and ends the connection. */
  #close(code: number | undefined): void {
    if (this.#ended) return
    const body = Buffer.alloc(code === undefined ? 0 : 2)
    if (code !== undefined) body.writeUInt16BE(code)
    this.#send(opcodes.close, body)
    this.#leave()
    const socket = this.#socket
    socket.resume() // what still comes is discarded, so that the end is seen
    socket.end()
    const timer = setTimeout(() => socket.destroy(), farewellMsMax)
    socket.once('close', () => clearTimeout(timer))
  }

  #leave(): void {
    if (this.#ended) return
    this.#ended = true
    const handler = this.#handler
    this.#handler = undefined
    handler?.onClosed()
  }

  #send(opcode: number, bytes: Uint8Array): void {
    const socket = this.#socket
    const head = frameHead(opcode, bytes.length)
    if (bytes.length <= copiedBytesMax) {
      socket.write(Buffer.concat([head, bytes]))
      return
    }
    socket.cork()
    socket.write(head)
    socket.write(bytes)
    socket.uncork()
  }
}

/** Of a whole message; a server masks nothing. */
function frameHead(opcode: number, length: number): Buffer {
  if (length < 126) return Buffer.from([0x80 | opcode, length])
  const head = Buffer.alloc(length < 65_536 ? 4 : 10)
  head[0] = 0x80 | opcode
  head[1] = length < 65_536 ? 126 : 127
  if (length < 65_536) head.writeUInt16BE(length, 2)
  else head.writeUInt32BE(length, 6)
  return head
}
