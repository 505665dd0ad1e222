import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** Room made at once for a frame of known length; a longer one grows as its bytes really come. */
const firstBytes = 16 * 1024
/** Buffers of one size that are kept for the next large frame: making and collecting them costs more than filling them. */
const keptMax = 8
const kept = new Map<number, Buffer[]>()
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
    this.#bytes = bufferOf(Math.max(rest, Math.min(expectedBytes, firstBytes), shortestBytes))
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

  /** What `take` gave is not needed any more. */
  giveBack(bytes: Buffer): void {
    const { buffer } = bytes
    const { byteLength } = buffer
    if (byteLength < firstBytes) return
    const same = kept.get(byteLength) ?? []
    if (same.length < keptMax) same.push(Buffer.from(buffer))
    kept.set(byteLength, same)
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
