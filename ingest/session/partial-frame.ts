import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'

/**
 * Length of the whole frame that begins at `start`; 0 while that has not arrived. What it depends on is in `state`, so that nothing is
 * made for each call. Throws what ends the connection.
 */
export type MeasureFrame<State> = (bytes: Buffer, start: number, end: number, state: State) => number

/** Room made at once for a frame of known length; a longer one grows as its bytes really come. */
const firstBytes = 16 * 1024
/** Buffers of one size that are kept for the next large frame: making and collecting them costs more than filling them. */
const keptMax = 8
const kept = new Map<number, Buffer[]>()
const shortestBytes = 8

/** A copy of what a chunk left over: the beginning of a frame, or what came behind credentials that are being decided on. */
export class PartialFrame {
  readonly #bytesMax: number
  #bytes: Buffer | undefined = undefined
  length = 0
  /** Of the whole frame; 0 while that is not known. */
  #frameBytes = 0

  /** @param bytesMax that it holds: a largest frame, or as much while a client is decided on */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** True if it holds one frame, to its end. */
  get isWhole(): boolean {
    return this.length > 0 && this.length === this.#frameBytes
  }

  /** Keeps `chunk` from `at` on. @param frameBytes of the whole frame, 0 if not known */
  keep(chunk: Buffer, at: number, frameBytes: number): void {
    const rest = chunk.length - at
    assert(this.length === 0 && rest > 0, 'what is kept begins anew')
    this.#bytes = bufferOf(Math.max(rest, Math.min(frameBytes, firstBytes), shortestBytes))
    chunk.copy(this.#bytes, 0, at)
    this.length = rest
    this.#frameBytes = frameBytes
  }

  /**
   * Takes from the beginning of `chunk` what the frame lacks. @returns how many bytes that were
   * @throws what `measure` throws
   */
  complete<State>(chunk: Buffer, measure: MeasureFrame<State>, state: State): number {
    let at = 0
    while (at < chunk.length && !this.isWhole) {
      // While the length is not known yet, one byte more may tell it.
      const missing = this.#frameBytes === 0 ? 1 : this.#frameBytes - this.length
      const count = Math.min(missing, chunk.length - at)
      this.append(chunk, at, count)
      at += count
      assert(this.#frameBytes === 0 || this.length <= this.#frameBytes, 'no more is kept than the frame has')
      if (this.#frameBytes === 0) this.#frameBytes = measure(this.#bytes ?? nothing, 0, this.length, state)
    }
    return at
  }

  /** Adds `count` bytes of `chunk`. @throws INGEST_FRAME_TOO_LARGE if they are more than it may hold */
  append(chunk: Buffer, at: number, count: number): void {
    assert(count > 0 && at + count <= chunk.length, 'bytes that are kept lie in the chunk')
    const bytes = this.#reserve(this.length + count)
    chunk.copy(bytes, this.length, at, at + count)
    this.length += count
  }

  /** Gives what was kept, and forgets it. */
  take(): Buffer {
    const bytes = (this.#bytes ?? nothing).subarray(0, this.length)
    this.forget()
    return bytes
  }

  /** What `take` gave is not needed any more. */
  giveBack(bytes: Buffer): void {
    const { buffer } = bytes
    const { byteLength } = buffer
    if (byteLength < firstBytes) return
    const same = kept.get(byteLength) ?? []
    const isKept = same.some((other) => other.buffer === buffer)
    assert(!isKept, 'a buffer comes back once: two connections would write over one another [G-6]')
    if (same.length < keptMax) same.push(Buffer.from(buffer))
    kept.set(byteLength, same)
  }

  forget(): void {
    this.#bytes = undefined
    this.length = 0
    this.#frameBytes = 0
  }

  #reserve(count: number): Buffer {
    const known = this.#bytes ?? nothing
    if (count <= known.length) return known
    if (count > this.#bytesMax)
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', 'too much was sent before it was decided who sends')
    const larger = bufferOf(Math.max(count, known.length * 2))
    known.copy(larger, 0, 0, this.length)
    this.giveBack(known)
    this.#bytes = larger
    return larger
  }
}

/** Above a few bytes a power of two, so that it can be kept. */
function bufferOf(bytes: number): Buffer {
  if (bytes < firstBytes) return Buffer.allocUnsafeSlow(bytes)
  const capacity = 2 ** Math.ceil(Math.log2(bytes))
  return kept.get(capacity)?.pop() ?? Buffer.allocUnsafeSlow(capacity)
}

const nothing = Buffer.alloc(0)
