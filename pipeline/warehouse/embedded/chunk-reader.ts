import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'

/** Reads a stream of chunks in pieces of the lengths that a format asks for. */
export class ChunkReader {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Buffer>) {
    this.#chunks = source[Symbol.asyncIterator]()
  }

  /** The next `length` bytes; fewer at the end of the stream only. */
  async read(length: number): Promise<Buffer> {
    assert(isCount(length), `${length} bytes can be read`)
    const parts = [this.#rest]
    let have = this.#rest.length
    while (have < length) {
      const next = await this.#chunks.next()
      if (next.done) break
      parts.push(next.value)
      have += next.value.length
    }
    const [first] = parts
    const all = parts.length === 1 && first ? first : Buffer.concat(parts)
    this.#rest = all.subarray(length)
    return all.subarray(0, length)
  }
}
