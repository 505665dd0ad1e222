import { assert } from '../assert.ts'
import type { BodyOutcome, BodyRoom, HeldBody, IncomingBody } from './bodies.ts'

/** Why a body ends before its end. */
export type BodyFaultReason = 'too large' | 'no room' | 'client gone' | 'answered'

/** Thrown to whoever reads a body that will not come whole. */
export class BodyFault extends Error {
  readonly reason: BodyFaultReason

  constructor(reason: BodyFaultReason) {
    super(`a request body ends early: ${reason}`)
    this.name = 'BodyFault'
    this.reason = reason
  }
}

/**
 * A request body as it comes in, to be read once and by one reader. Pieces are the reader's own. Leaving the loop early discards the
 * rest. @throws BodyFault from its iterator
 */
export interface BodyStream extends AsyncIterable<Buffer> {
  /** As the request tells it; `undefined`: it does not. */
  readonly lengthBytes: number | undefined
}

/** Where a body comes from. */
export interface BodySource {
  /** The body is wanted: a client that waits to hear it begins. */
  wantBody(): void
  /** The reader does not keep up: nothing more is read from the client until `resumeBody`. */
  pauseBody(): void
  resumeBody(): void
}

/** Told once why the body ends early; its reader learns it, too. */
export interface StreamReceiver {
  onBody(outcome: Exclude<BodyOutcome, Buffer>): void
}

/**
 * Between a client that sends and a handler that reads:
 *
 *   take ─▶ waiting pieces ─▶ next         more than `aheadBytesMax` wait: the client's socket does; half of it: it goes on
 *              │ count against the room until they are read
 */
export class StreamedBody implements BodyStream, IncomingBody, HeldBody, AsyncIterator<Buffer> {
  readonly lengthBytes: number | undefined
  readonly #room: BodyRoom
  readonly #bytesMax: number
  readonly #aheadBytesMax: number
  readonly #source: BodySource
  readonly #receiver: StreamReceiver
  readonly #pieces: Buffer[] = []
  #waitingBytes = 0
  #bytes = 0
  #isWhole = false
  #isPaused = false
  /** Why nothing more comes. An error is made of it for who reads on: most bodies end with nobody to tell. */
  #ended: BodyFaultReason | undefined
  #reader:
    | { readonly resolve: (result: IteratorResult<Buffer>) => void; readonly reject: (fault: Error) => void }
    | undefined

  constructor(
    room: BodyRoom,
    {
      bytesMax,
      aheadBytesMax,
      lengthBytes,
    }: { bytesMax: number; aheadBytesMax: number; lengthBytes: number | undefined },
    source: BodySource,
    receiver: StreamReceiver,
  ) {
    this.#room = room
    this.#bytesMax = bytesMax
    this.#aheadBytesMax = aheadBytesMax
    this.lengthBytes = lengthBytes
    this.#source = source
    this.#receiver = receiver
  }

  /** Bytes that came and were not read yet. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  take(chunk: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.#ended !== undefined) return
    const count = end - start
    this.#bytes += count
    if (this.#bytes > this.#bytesMax) {
      this.#endEarly('too large')
      return
    }
    this.#isWhole = isLast
    if (count > 0 && !this.#give(Buffer.from(chunk.subarray(start, end)))) return
    if (isLast) this.#tellEnd()
    else if (this.#waitingBytes > this.#aheadBytesMax && !this.#isPaused) {
      this.#isPaused = true
      this.#source.pauseBody()
    }
  }

  giveWay(): void {
    this.#endEarly('no room')
  }

  /** The request was answered, or its client has gone: what still comes is discarded. */
  release(reason: BodyFaultReason = 'answered'): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#pieces.length = 0
    this.#room.release(this, this.#waitingBytes, false)
    this.#waitingBytes = 0
    const reader = this.#reader
    this.#reader = undefined
    reader?.reject(new BodyFault(reason))
    this.#resume()
  }

  next(): Promise<IteratorResult<Buffer>> {
    assert(this.#reader === undefined, 'a request body has one reader')
    const piece = this.#pieces.shift()
    if (piece !== undefined) {
      this.#waitingBytes -= piece.length
      this.#room.release(this, piece.length, this.#waitingBytes > 0)
      if (this.#waitingBytes <= this.#aheadBytesMax / 2) this.#resume()
      return Promise.resolve({ done: false, value: piece })
    }
    if (this.#ended !== undefined) return Promise.reject(new BodyFault(this.#ended))
    if (this.#isWhole) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
      this.#source.wantBody()
    })
  }

  return(): Promise<IteratorResult<Buffer>> {
    this.release()
    return Promise.resolve({ done: true, value: undefined })
  }

  /** @returns false if the body gave way instead */
  #give(piece: Buffer): boolean {
    const reader = this.#reader
    if (reader !== undefined) {
      this.#reader = undefined
      reader.resolve({ done: false, value: piece })
      return true
    }
    this.#pieces.push(piece)
    this.#waitingBytes += piece.length
    return this.#room.hold(this, piece.length, false, this.#isWhole)
  }

  #tellEnd(): void {
    const reader = this.#reader
    this.#reader = undefined
    reader?.resolve({ done: true, value: undefined })
  }

  #endEarly(reason: 'too large' | 'no room'): void {
    this.release(reason)
    this.#receiver.onBody(reason)
  }

  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#source.resumeBody()
  }
}
