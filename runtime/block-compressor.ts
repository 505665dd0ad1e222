import { constants, createZstdCompress, type ZstdCompress, zstdCompressSync } from 'node:zlib'
import { assert } from '#runtime/assert.ts'

const params = { [constants.ZSTD_c_compressionLevel]: 1 }
/** Up to so many bytes are compressed in place: the way to the thread pool and back costs more than the work. */
const compressedHereBytesMax = 8 * 1024
/** As many as libuv's pool has threads. */
const contextsMax = 4
/** Outputs are parts of buffers of this size, one behind the other. */
const outputBytes = 128 * 1024

interface Job {
  readonly raw: Uint8Array
  readonly done: (frame: Buffer) => void
}

/**
 * Compresses blocks with zstandard, each into one frame that names its length. Contexts are kept. A new one for each
 * block would cost as much CPU as the block itself, mostly for fresh memory. V8 would take its megabyte for garbage: at
 * 850,000 messages/s that was a full collection every half second, each a pause of 7 to 16 ms.
 */
export class BlockCompressor {
  readonly #free: Context[] = []
  readonly #waiting: Job[] = []
  #made = 0

  /** Calls `done` at once or later; `raw` may not change before. */
  compress(raw: Uint8Array, done: (frame: Buffer) => void): void {
    if (raw.length <= compressedHereBytesMax) {
      done(zstdCompressSync(raw, { params }))
      return
    }
    const context = this.#free.pop() ?? this.#another()
    if (context === undefined) this.#waiting.push({ raw, done })
    else this.#run(context, { raw, done })
  }

  #another(): Context | undefined {
    if (this.#made === contextsMax) return undefined
    this.#made++
    return new Context()
  }

  #run(context: Context, { raw, done }: Job): void {
    context.run(raw, (frame) => {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free.push(context)
      else this.#run(context, next)
      done(frame)
    })
  }
}

/** One compression after the other. */
class Context {
  readonly #stream: ZstdCompress
  #pieces: Buffer[] = []

  constructor() {
    // With this flag each write is a frame of its own, and its length is known when it begins.
    this.#stream = createZstdCompress({ params, chunkSize: outputBytes, flush: constants.ZSTD_e_end })
    this.#stream.on('data', (piece: Buffer) => this.#pieces.push(piece))
  }

  run(raw: Uint8Array, done: (frame: Buffer) => void): void {
    assert(this.#pieces.length === 0, 'a context compresses one block after the other')
    this.#stream.write(raw, (error) => {
      if (error) throw error // no input makes zstandard fail; out of memory does, and then nothing more may be acknowledged
      const pieces = this.#pieces
      this.#pieces = []
      assert(pieces.length > 0, 'a block that was compressed has come out')
      done(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces))
    })
  }
}
