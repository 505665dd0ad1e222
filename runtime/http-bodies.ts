/**
 * Request bodies as they come in, and the room that they share:
 *
 *   chunk ─▶ room? ─▶ kept ─▶ whole ─▶ handled ─▶ answered: given back
 *             │ none: of those that are still coming in, the one that began first gives way
 *
 * So whoever sends slowly never keeps out those who send at once. What is whole is never taken back: if there is no other, the body
 * that came last gives way itself.
 */
/** What the bodies of all requests that share it may hold, until they are answered. */
export class BodyRoom {
  readonly #bytesMax: number
  #bytes = 0
  /** Those that are not whole yet, in the order in which they began. */
  readonly #arriving = new Set<RequestBody>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * @param isFirst nothing of it came before
   * @returns false if `body` had to give way itself. HOT: per chunk; one addition where a body comes as one.
   */
  hold(body: RequestBody, bytes: number, isFirst: boolean, isLast: boolean): boolean {
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

  /** @param isWhole all of it has come */
  release(body: RequestBody, bytes: number, isWhole: boolean): void {
    this.#bytes -= bytes
    if (!isWhole) this.#arriving.delete(body)
  }
}

/** What a body came to: its bytes, which are the receiver's own, or why they are not there. */
export type BodyOutcome = Buffer | 'too large' | 'no room'

/** The body of one request. */
export class RequestBody {
  readonly #room: BodyRoom
  readonly #bytesMax: number
  /** What came so far of a body that comes in several chunks. One buffer that grows: thousands of small chunks cost no more. */
  #buffer: Buffer | undefined = undefined
  #isWhole = false
  #bytes = 0
  #done: ((outcome: BodyOutcome) => void) | undefined = undefined

  constructor(room: BodyRoom, bytesMax: number) {
    this.#room = room
    this.#bytesMax = bytesMax
  }

  /** Calls `done` once, unless it is released before. */
  read(done: (outcome: BodyOutcome) => void): void {
    this.#done = done
  }

  giveWay(): void {
    this.#end('no room')
  }

  /** The request was answered, or its client has gone: what still comes is discarded. */
  release(): void {
    this.#done = undefined
    this.#buffer = undefined
    this.#room.release(this, this.#bytes, this.#isWhole)
    this.#bytes = 0
  }

  /** @param chunk valid during the call @param isLast it may be empty then. HOT: per chunk; copies once where a body comes as one. */
  take(chunk: Buffer, isLast: boolean): void {
    if (this.#done === undefined) return
    const before = this.#bytes
    if (before + chunk.length > this.#bytesMax) {
      this.#end('too large')
      return
    }
    this.#bytes += chunk.length
    if (!this.#room.hold(this, chunk.length, this.#buffer === undefined, isLast)) return
    const isAll = isLast && this.#buffer === undefined
    if (!isAll) this.#append(chunk, before)
    if (!isLast) return
    const whole = isAll ? Buffer.from(chunk) : this.#buffer?.subarray(0, this.#bytes)
    this.#buffer = undefined
    this.#isWhole = true
    const done = this.#done
    this.#done = undefined
    done(whole ?? noBytes)
  }

  #append(chunk: Buffer, at: number): void {
    const length = at + chunk.length
    const held = this.#buffer ?? noBytes
    if (length > held.length) {
      this.#buffer = Buffer.allocUnsafeSlow(Math.min(this.#bytesMax, Math.max(length, 2 * held.length)))
      held.copy(this.#buffer, 0, 0, at)
    }
    this.#buffer?.set(chunk, at)
  }

  #end(outcome: BodyOutcome): void {
    const done = this.#done
    this.release()
    done?.(outcome)
  }
}

const noBytes = Buffer.alloc(0)
