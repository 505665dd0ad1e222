/**
 * Request bodies as they come in, and the room that they share:
 *
 *   chunk ─▶ room? ─▶ kept ─▶ whole ─▶ handled ─▶ answered: given back
 *             │ none: of those that are still coming in, the one that began first gives way
 *
 * So a slow sender never keeps out a fast one. A complete body never gives way. If all others are complete, the body that came last gives
 * way itself. A body that comes in pieces has a buffer that doubles, so up to twice the room may be held.
 */

/** A body that holds room. */
export interface HeldBody {
  /** There is no room for it any more. */
  giveWay(): void
}

/** A body that is being received. */
export interface IncomingBody {
  /** Takes `chunk[start…end)`, which is valid during the call. @param isLast nothing may come with it */
  take(chunk: Buffer, start: number, end: number, isLast: boolean): void
  /** What still comes is discarded. */
  release(reason?: 'client gone'): void
}

/** What the bodies of all requests that share it may hold, until they are answered. */
export class BodyRoom {
  readonly #bytesMax: number
  #bytes = 0
  /** Those that are not whole yet, in the order in which they began. */
  readonly #arriving = new Set<HeldBody>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * @param isFirst these are the first bytes of the body
   * @returns false if `body` had to give way itself. HOT: per chunk; one addition where a body comes as one.
   */
  hold(body: HeldBody, bytes: number, isFirst: boolean, isLast: boolean): boolean {
    this.#bytes += bytes
    if (!isLast) this.#arriving.add(body)
    else if (!isFirst) this.#arriving.delete(body)
    while (this.#bytes > this.#bytesMax) {
      const [first = body] = this.#arriving
      first.giveWay()
      if (first === body) return false
    }
    return true
  }

  /** @param isWhole all of it has come, or it still holds something */
  release(body: HeldBody, bytes: number, isWhole: boolean): void {
    this.#bytes -= bytes
    if (!isWhole) this.#arriving.delete(body)
  }
}

/** The bytes of a body, which belong to the receiver, or why there are none. */
export type BodyOutcome = Buffer | 'too large' | 'no room'

export interface BodyReceiver {
  /** Once, unless the body is released before. */
  onBody(outcome: BodyOutcome): void
}

/** The body of one request. */
export class RequestBody implements IncomingBody, HeldBody {
  readonly #room: BodyRoom
  readonly #bytesMax: number
  /** The beginning of a body that comes in several chunks. One buffer that grows, so thousands of small chunks cost no more. */
  #buffer: Buffer | undefined = undefined
  #isWhole = false
  #bytes = 0
  #receiver: BodyReceiver | undefined

  constructor(room: BodyRoom, bytesMax: number, receiver: BodyReceiver) {
    this.#room = room
    this.#bytesMax = bytesMax
    this.#receiver = receiver
  }

  giveWay(): void {
    this.#end('no room')
  }

  /** The request was answered, or its client has gone. What still comes is discarded. */
  release(): void {
    this.#receiver = undefined
    this.#buffer = undefined
    this.#room.release(this, this.#bytes, this.#isWhole)
    this.#bytes = 0
  }

  /**
   * Takes `chunk[start…end)`, which is valid during the call. HOT: per chunk; copies once where a body comes as one.
   * @param isLast nothing may come with it
   */
  take(chunk: Buffer, start: number, end: number, isLast: boolean): void {
    if (this.#receiver === undefined) return
    const count = end - start
    const before = this.#bytes
    if (before + count > this.#bytesMax) {
      this.#end('too large')
      return
    }
    this.#bytes += count
    const isFirst = this.#buffer === undefined
    if (!this.#room.hold(this, count, isFirst, isLast)) return
    const buffer = this.#reserve(before + count, isLast)
    chunk.copy(buffer, before, start, end)
    if (!isLast) {
      this.#buffer = buffer
      return
    }
    this.#buffer = undefined
    this.#isWhole = true
    const receiver = this.#receiver
    this.#receiver = undefined
    receiver.onBody(buffer.length === this.#bytes ? buffer : buffer.subarray(0, this.#bytes))
  }

  /** A buffer of at least so many bytes, with what came before. One that is not the last grows by doubling. */
  #reserve(bytes: number, isLast: boolean): Buffer {
    const held = this.#buffer
    if (held === undefined) return Buffer.allocUnsafe(bytes)
    if (bytes <= held.length) return held
    const larger = Buffer.allocUnsafeSlow(isLast ? bytes : Math.min(this.#bytesMax, Math.max(bytes, 2 * held.length)))
    held.copy(larger)
    return larger
  }

  #end(outcome: BodyOutcome): void {
    const receiver = this.#receiver
    this.release()
    receiver?.onBody(outcome)
  }
}
