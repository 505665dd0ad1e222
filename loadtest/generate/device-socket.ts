/**
 * A device's byte stream over TCP, TLS, WebSocket or WebSocket over TLS, by its address: mqtt:, mqtts:,
 * ws:, wss:, and amqp:, amqps:, amqp+ws:, amqp+wss:.
 *
 * WebSocket (RFC 6455): one upgrade request; then each write is one binary frame. Frames of a client must be masked, and a mask of zeros
 * leaves the bytes as they are: the target unmasks as ever, the generator pays nothing. From the target:
 *
 *   FIN·opcode | length 7 bits, or 126 + 2 bytes, or 127 + 8 bytes | payload        frames may be cut anywhere by the network
 */
import { readFileSync } from 'node:fs'
import { connect, isIP, type Socket } from 'node:net'
import { createSecureContext, type SecureContext, connect as tlsConnect } from 'node:tls'
import { isAmqp } from '#loadtest/options/load-options.ts'
import { portOf } from '#loadtest/options/target-address.ts'
import { amqpWebSocketPaths } from '#schemas/hub-topics.ts'

export interface SocketHandlers {
  /** Bytes of the stream: the first `count` of `bytes`, valid during the call only. */
  onBytes(bytes: Buffer, count: number): void
  onFault(fault: string): void
  /** Called once. */
  onClose(): void
}

export interface DeviceSocket {
  /** True once the target has closed its side, too. */
  readonly closed: boolean
  /** `written` is called when the operating system has taken the bytes, which must not be changed before. */
  write(bytes: Buffer, written?: () => void): void
  end(bytes: Buffer): void
  /** Reads no more until `resume`; what comes stays with the operating system. */
  pause(): void
  resume(): void
  destroy(): void
}

export interface SocketOptions {
  readonly url: string
  /** PEM file of the authority that the target's certificate must come from; undefined: the usual ones. */
  readonly tlsCaFile: string | undefined
  readonly isTlsUnverified: boolean
}

/** What all sockets of a process share. All read into one buffer, which is consumed before the next read. */
export class SocketFactory {
  readonly #host: string
  readonly #port: number
  /** Request for a WebSocket; undefined: bytes go straight over the connection. */
  readonly #upgrade: string | undefined
  readonly #secure: SecureContext | undefined
  readonly #isUnverified: boolean
  readonly #readBuffer: Buffer

  constructor({ url, tlsCaFile, isTlsUnverified }: SocketOptions, readBytes: number) {
    const { protocol, hostname, pathname } = new URL(url)
    this.#host = hostname.replace(/^\[|\]$/g, '')
    this.#port = portOf(url)
    const [usualPath, subprotocol] = isAmqp(url) ? [amqpWebSocketPaths[0], 'AMQPWSB10'] : ['/mqtt', 'mqtt']
    const path = pathname === '' || pathname === '/' ? usualPath : pathname
    if (/^(amqp\+)?wss?:$/.test(protocol))
      this.#upgrade = upgradeRequest(`${this.#host}:${this.#port}`, path, subprotocol)
    this.#isUnverified = isTlsUnverified
    this.#readBuffer = Buffer.allocUnsafeSlow(readBytes)
    if (/^(mqtts|amqps|(amqp\+)?wss):$/.test(protocol))
      this.#secure = createSecureContext(tlsCaFile === undefined ? {} : { ca: readFileSync(tlsCaFile) })
  }

  /** @param localAddress address to connect from; undefined: the system's choice */
  open(handlers: SocketHandlers, localAddress: string | undefined): DeviceSocket {
    if (this.#upgrade !== undefined)
      return new WebSocketClient(this.#upgrade, handlers, (inner) => this.#stream(inner, localAddress))
    return this.#stream(handlers, localAddress)
  }

  #stream(handlers: SocketHandlers, localAddress: string | undefined): Socket {
    const options = {
      host: this.#host,
      port: this.#port,
      ...(localAddress === undefined ? {} : { localAddress }),
      noDelay: true,
      onread: {
        buffer: this.#readBuffer,
        callback: (count: number, bytes: Uint8Array) => {
          handlers.onBytes(bytes as Buffer, count)
          return true
        },
      },
    }
    const socket = this.#secure
      ? tlsConnect({
          ...options,
          secureContext: this.#secure,
          rejectUnauthorized: !this.#isUnverified,
          ...(isIP(this.#host) === 0 ? { servername: this.#host } : {}),
        })
      : connect(options)
    if (this.#secure) socket.setNoDelay(true)
    socket.on('error', (error) => handlers.onFault(error.message))
    socket.on('close', () => handlers.onClose())
    socket.on('end', () => socket.destroy())
    return socket
  }
}

function upgradeRequest(host: string, path: string, subprotocol: string): string {
  const key = Buffer.from(Array.from({ length: 16 }, (_, index) => (index * 37 + 11) & 0xff)).toString('base64')
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`
}

const noMask = Buffer.alloc(4)
const headBytesMax = 16 * 1024

class WebSocketClient implements DeviceSocket {
  readonly #socket: Socket
  readonly #handlers: SocketHandlers
  #isUpgraded = false
  #waiting: (() => void)[] = []
  #head = Buffer.alloc(0)
  /** Bytes of the current frame's payload that are still to come, and whether they are of the stream. */
  #payloadLeft = 0
  #isData = false

  constructor(upgrade: string, handlers: SocketHandlers, open: (inner: SocketHandlers) => Socket) {
    this.#handlers = handlers
    this.#socket = open({
      onBytes: (bytes, count) => this.#onBytes(bytes.subarray(0, count)),
      onFault: (fault) => handlers.onFault(fault),
      onClose: () => handlers.onClose(),
    })
    this.#socket.write(upgrade)
  }

  get closed(): boolean {
    return this.#socket.closed
  }

  write(bytes: Buffer, written?: () => void): void {
    if (!this.#isUpgraded) {
      this.#waiting.push(() => this.write(bytes, written))
      return
    }
    this.#frame(0x82, bytes, written)
  }

  end(bytes: Buffer): void {
    this.write(bytes)
    if (this.#isUpgraded) this.#frame(0x88, Buffer.alloc(0))
    this.#socket.end()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #frame(head: number, payload: Buffer, written?: () => void): void {
    this.#socket.cork()
    this.#socket.write(frameHead(head, payload.length))
    this.#socket.write(payload, () => written?.())
    this.#socket.uncork()
  }

  #onBytes(bytes: Buffer): void {
    let rest = bytes
    if (!this.#isUpgraded) {
      this.#head = Buffer.concat([this.#head, bytes])
      const end = this.#head.indexOf('\r\n\r\n')
      if (end < 0) {
        if (this.#head.length > headBytesMax) this.#fail('no end of the answer to the WebSocket upgrade')
        return
      }
      const status = this.#head.toString('latin1', 0, this.#head.indexOf('\r\n'))
      if (!/^HTTP\/1\.1 101 /.test(status)) {
        this.#fail(`WebSocket refused: ${status}`)
        return
      }
      rest = this.#head.subarray(end + 4)
      this.#head = Buffer.alloc(0)
      this.#isUpgraded = true
      for (const each of this.#waiting.splice(0)) each()
    }
    this.#readFrames(rest)
  }

  #readFrames(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#payloadLeft > 0) {
        const count = Math.min(this.#payloadLeft, bytes.length - at)
        this.#payloadLeft -= count
        if (this.#isData) this.#handlers.onBytes(bytes.subarray(at, at + count), count)
        at += count
        continue
      }
      // A frame's head is at most ten bytes; one that is cut in two is put together here.
      const joined = this.#head.length > 0 ? Buffer.concat([this.#head, bytes.subarray(at)]) : bytes.subarray(at)
      const headBytes = frameHeadBytes(joined)
      if (headBytes === 0) {
        this.#head = Buffer.from(joined)
        return
      }
      at += headBytes - this.#head.length
      this.#head = Buffer.alloc(0)
      const opcode = (joined[0] ?? 0) & 0x0f
      this.#payloadLeft = payloadBytes(joined)
      this.#isData = opcode <= 2
      if (opcode === 8) {
        this.#socket.end()
        return
      }
      if (opcode === 9) this.#frame(0x8a, Buffer.alloc(0))
    }
  }

  #fail(fault: string): void {
    this.#handlers.onFault(fault)
    this.#socket.destroy()
  }
}

/** Head of a client's frame, with its mask of zeros. */
export function frameHead(first: number, length: number): Buffer {
  if (length < 126) return Buffer.concat([Buffer.from([first, 0x80 | length]), noMask])
  if (length < 65_536) return Buffer.concat([Buffer.from([first, 0x80 | 126, length >> 8, length & 0xff]), noMask])
  const head = Buffer.alloc(10)
  head[0] = first
  head[1] = 0x80 | 127
  head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, noMask])
}

/** Length of a server's frame head; 0 if it is not complete. */
function frameHeadBytes(bytes: Buffer): number {
  if (bytes.length < 2) return 0
  const short = (bytes[1] ?? 0) & 0x7f
  const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2
  return bytes.length < headBytes ? 0 : headBytes
}

function payloadBytes(bytes: Buffer): number {
  const short = (bytes[1] ?? 0) & 0x7f
  if (short === 126) return bytes.readUInt16BE(2)
  return short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
}
