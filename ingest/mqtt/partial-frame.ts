import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** Room made at once for a frame of known length; a longer one grows as its bytes really come. */
const firstBytes = 16 * 1024
const shortestBytes = 8

/** A copy of what a chunk left over: the beginning of a frame, or what came behind a CONNECT that is being decided. */
export class PartialFrame {
  #bytes: Buffer | undefined = undefined
  length = 0

  get bytes(): Buffer {
    return this.#bytes?.subarray(0, this.length) ?? nothing
  }

  /** Keeps `chunk` from `at` on. @param expectedBytes of the whole frame, 0 if not known */
  keep(chunk: Buffer, at: number, expectedBytes: number): void {
    const rest = chunk.length - at
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(rest, Math.min(expectedBytes, firstBytes), shortestBytes))
    chunk.copy(this.#bytes, 0, at)
    this.length = rest
  }

  /** Adds `count` bytes of `chunk`. @throws INGEST_FRAME_TOO_LARGE if they are more than a packet may have */
  append(chunk: Buffer, at: number, count: number): void {
    const bytes = this.#reserve(this.length + count)
    chunk.copy(bytes, this.length, at, at + count)
    this.length += count
  }

  /** Gives what was kept, and forgets it. */
  take(): Buffer {
    const { bytes } = this
    this.forget()
    return bytes
  }

  forget(): void {
    this.#bytes = undefined
    this.length = 0
  }

  #reserve(count: number): Buffer {
    const known = this.#bytes ?? nothing
    if (count <= known.length) return known
    if (count > limits.packetBytesMax + 5)
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', 'too much sent before CONNACK')
    const larger = Buffer.allocUnsafeSlow(Math.max(count, known.length * 2))
    known.copy(larger, 0, 0, this.length)
    this.#bytes = larger
    return larger
  }
}

const nothing = Buffer.alloc(0)
