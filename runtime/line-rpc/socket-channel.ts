import type { Socket } from 'node:net'
import type { Channel, ChannelListener } from './channel.ts'

export interface SocketChannelLimits {
  /** Longest line that this side takes. */
  readonly lineBytesMax: number
  /** What may wait for the other side to read it, besides one more value. */
  readonly unreadBytesMax: number
  /** The other side says something at least so often; `undefined`: whenever it likes. */
  readonly silenceMsMax?: number
}

/** One JSON value a line over a TCP, TLS or Unix socket. */
export class SocketChannel implements Channel {
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #limits: SocketChannelLimits
  readonly #silence: NodeJS.Timeout | undefined
  readonly #parts: Buffer[] = []
  #bytes = 0
  /** What leaves at the end of this turn of the event loop. */
  #lines = ''
  #listener: ChannelListener | undefined
  #isEnded = false

  constructor(socket: Socket, limits: SocketChannelLimits) {
    this.#socket = socket
    this.#limits = limits
    const { silenceMsMax } = limits
    if (silenceMsMax !== undefined)
      this.#silence = setTimeout(
        () => socket.destroy(new Error(`nothing was heard for ${silenceMsMax / 1_000} s`)),
        silenceMsMax,
      )
    socket.on('error', (error) => this.#end(error.message))
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        clearTimeout(this.#silence)
        this.#end('the connection was closed')
        resolve()
      }),
    )
  }

  get unread(): number {
    return this.#socket.writableLength + this.#lines.length
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
    this.#socket.on('data', (chunk) => {
      if (this.#isEnded) return
      this.#silence?.refresh()
      this.#read(chunk)
    })
  }

  send(value: object): void {
    if (!this.#socket.writable) return
    if (this.unread > this.#limits.unreadBytesMax) {
      this.#end(`the other side has not read ${this.unread} bytes`)
      this.#socket.destroy()
    } else this.#write(`${JSON.stringify(value)}\n`)
  }

  /** What is said in one turn of the event loop leaves in one write. */
  #write(line: string): void {
    if (this.#lines === '') setImmediate(() => this.#flush())
    this.#lines += line
  }

  #flush(): void {
    const lines = this.#lines
    this.#lines = ''
    if (lines !== '' && this.#socket.writable) this.#socket.write(lines)
  }

  /** `closed` then resolves within `silenceMsMax`. */
  close(): void {
    this.#isEnded = true
    this.#flush()
    if (this.#socket.writable) this.#socket.end()
    else this.#socket.destroy()
  }

  destroy(): void {
    this.#isEnded = true
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0 && !this.#isEnded; at = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, at))
      from = at + 1
      if (!this.#isEnded) this.#deliver(Buffer.concat(this.#parts.splice(0)).toString())
      this.#bytes = 0
    }
    if (!this.#isEnded && from < chunk.length) this.#keep(chunk.subarray(from))
  }

  #keep(part: Buffer): void {
    this.#parts.push(part)
    this.#bytes += part.length
    if (this.#bytes > this.#limits.lineBytesMax) this.#end(`a line was longer than ${this.#limits.lineBytesMax} bytes`)
  }

  #deliver(line: string): void {
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      this.#end('a line was not JSON')
      return
    }
    this.#listener?.onValue(value)
  }

  #end(reason: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#parts.length = 0
    this.#listener?.onEnd(reason)
  }
}
