import type { Socket } from 'node:net'
import type { RequestHead } from './head.ts'

/** How the client knows where a body ends. */
export type BodyFraming =
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** By the end of the connection, as in HTTP/1.0. */
  | { readonly kind: 'close' }

export function framingOf({ isHttp10 }: RequestHead, lengthBytes: number | undefined): BodyFraming {
  if (lengthBytes !== undefined) return { kind: 'length', bytes: lengthBytes }
  return { kind: isHttp10 ? 'close' : 'chunked' }
}

/** Lets go of a body that will not be sent. What made it learns so by its iterator, or by being destroyed if it is a Node stream. */
export function discardStream(stream: AsyncIterable<Uint8Array> | undefined): void {
  if (stream === undefined) return
  if ('destroy' in stream && typeof stream.destroy === 'function') stream.destroy()
  else
    void stream[Symbol.asyncIterator]()
      .return?.()
      .catch(() => {})
}

/** What is read of an answer beside its body; where that throws, nobody will read the body. */
export function readBeside<T>(stream: AsyncIterable<Uint8Array>, read: () => T): T {
  try {
    return read()
  } catch (error) {
    discardStream(stream)
    throw error
  }
}

/**
 * Sends a body piece by piece, as its client takes it: the next piece is asked for once the socket has taken this one. Never more than
 * one piece is held beside what waits in the socket.
 */
export class StreamedAnswer {
  readonly #socket: Socket
  readonly #framing: BodyFraming
  readonly #silenceMsMax: number
  readonly #iterator: AsyncIterator<Uint8Array>
  readonly #stream: AsyncIterable<Uint8Array>
  #sentBytes = 0
  #isAborted = false
  #onDrained: (() => void) | undefined = undefined

  constructor(socket: Socket, framing: BodyFraming, stream: AsyncIterable<Uint8Array>, silenceMsMax: number) {
    this.#socket = socket
    this.#framing = framing
    this.#silenceMsMax = silenceMsMax
    this.#stream = stream
    this.#iterator = stream[Symbol.asyncIterator]()
  }

  /**
   * Resolves once all of it was handed to the socket, or it was aborted.
   * @throws what the body threw, or that it had another length than was told
   */
  async send(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#iterator.next()
      if (this.#isAborted) return
      if (done === true) break
      if (value.length === 0) continue
      this.#sentBytes += value.length
      if (this.#isTooLong()) {
        this.#letGo()
        throw new Error('an answer is longer than it told')
      }
      if (!this.#write(value)) await this.#drained()
      if (this.#isAborted) return
    }
    const framing = this.#framing
    if (framing.kind === 'length' && this.#sentBytes < framing.bytes)
      throw new Error('an answer is shorter than it told')
    if (framing.kind === 'chunked') this.#socket.write('0\r\n\r\n')
  }

  /** Whether the client takes nothing for now. */
  get isBlocked(): boolean {
    return this.#onDrained !== undefined
  }

  onDrained(): void {
    const tell = this.#onDrained
    this.#onDrained = undefined
    tell?.()
  }

  /** Nothing more is sent; the body is let go of. */
  abort(): void {
    if (this.#isAborted) return
    this.#isAborted = true
    this.#letGo()
    this.onDrained()
  }

  /** A client that takes nothing meanwhile is told of by the socket's time-out, which its `drain` ends. */
  #drained(): Promise<void> {
    this.#socket.setTimeout(this.#silenceMsMax)
    return new Promise((resolve) => {
      this.#onDrained = resolve
    })
  }

  #letGo(): void {
    const stream = this.#stream
    if ('destroy' in stream && typeof stream.destroy === 'function') stream.destroy()
    else void this.#iterator.return?.().catch(() => {})
  }

  #isTooLong(): boolean {
    return this.#framing.kind === 'length' && this.#sentBytes > this.#framing.bytes
  }

  /** @returns false if the socket holds more than it should */
  #write(piece: Uint8Array): boolean {
    const socket = this.#socket
    if (this.#framing.kind !== 'chunked') return socket.write(piece)
    socket.cork()
    socket.write(`${piece.length.toString(16)}\r\n`)
    socket.write(piece)
    const isTaken = socket.write('\r\n')
    socket.uncork()
    return isTaken
  }
}
