import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Receiver, Transport } from '#ingest/session/transport.ts'
import type { Clock } from '#runtime/clock.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { certificatesOf } from './tls-server.ts'

/** How long a peer may take to read the last words before the socket is torn down. */
const farewellMsMax = 2_000

/** What Node's streams call bytes; its types know encodings of texts only. */
const asBuffer = 'buffer' as BufferEncoding

/**
 * A connection over TCP or TLS.
 *
 *   write ──▶ socket ──▶ written at once, or under way ──▶ what came meanwhile, in one write ──▶ … ──▶ end
 *
 * Bytes go to the socket's own `_write`, past the queue of Node's streams, which costs more than the rest of a small write outside the
 * kernel. As that queue does, it has one write under way at a time and ends the socket after the last.
 *
 * A class, so that all transports have one shape for the compiler. An object of functions would be a shape of its own each time.
 */
export class SocketTransport implements Transport {
  readonly #clock: Clock
  readonly #socket: Socket
  /** Told when the network took what had been written. */
  receiver: Receiver | undefined = undefined
  /** Of the write under way, and of what waits behind it. */
  writeBytes = 0
  #isWriting = false
  /** The write under way was not taken at once. */
  #isLate = false
  #isEnding = false
  #waiting: Uint8Array[] | undefined = undefined
  readonly #onWritten = (error?: Error | null): void => this.#written(error)

  constructor(clock: Clock, socket: Socket) {
    this.#clock = clock
    this.#socket = socket
  }

  /** HOT: per batch and connection. */
  write(bytes: Uint8Array): void {
    if (this.#isEnding || this.#socket.destroyed) return
    this.writeBytes += bytes.length
    if (this.#isWriting) {
      this.#waiting ??= []
      this.#waiting.push(bytes)
    } else this.#begin(bytes)
  }

  #begin(bytes: Uint8Array): void {
    this.#isWriting = true
    this.#socket._write(bytes, asBuffer, this.#onWritten)
    this.#isLate = this.#isWriting
  }

  /** Called before `_write` returns where the network had room. */
  #written(error?: Error | null): void {
    this.#isWriting = false
    this.writeBytes = 0
    const waiting = this.#waiting
    this.#waiting = undefined
    if (error) {
      this.#socket.destroy(error)
      return
    }
    if (waiting !== undefined) {
      const bytes = waiting.length === 1 && waiting[0] !== undefined ? waiting[0] : Buffer.concat(waiting)
      this.writeBytes = bytes.length
      this.#begin(bytes)
      return
    }
    if (this.#isEnding) this.#socket.end()
    else if (this.#isLate) this.receiver?.onDrained()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.resume() // what still comes is discarded, so that the end is seen
    this.#isEnding = true
    if (!this.#isWriting) this.#socket.end()
    // Not the socket's own time-out, which whoever goes on sending would put off for ever.
    this.#socket.once(
      'close',
      this.#clock.after(farewellMsMax, () => this.#socket.destroy()),
    )
  }

  destroy(): void {
    this.#socket.destroy()
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? ''
  }

  get confidential(): boolean {
    return this.#socket instanceof TLSSocket || isLoopbackAddress(this.#socket.remoteAddress)
  }

  get isWebSocket(): boolean {
    return false
  }

  certificates(): readonly X509Certificate[] {
    return this.#socket instanceof TLSSocket ? certificatesOf(this.#socket) : []
  }
}
