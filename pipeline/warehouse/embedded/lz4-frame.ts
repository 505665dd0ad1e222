/**
 * LZ4's frame format, the content encoding `lz4`:
 *
 *   04 22 4d 18 · flags · size of blocks · [length, 8] · [dictionary, 4] · checksum of this, 1
 *   blocks × ( size, 4, top bit: not compressed · data · [checksum, 4] ) · 00 00 00 00 · [checksum, 4]
 *
 * Frames may follow each other. Checksums are skipped: TCP has its own, and data that do not decode are refused.
 * Source: lz4 doc/lz4_Frame_format.md.
 */
import { Transform } from 'node:stream'
import { ChunkReader } from './chunk-reader.ts'
import { EngineError } from './engine-error.ts'
import { decodeLz4Block, encodeLz4Block } from './lz4-block.ts'

const magic = 0x184d2204
/** The top bit of a block's size: the block is not compressed. */
const plainMark = 0x80000000
/** How far a block may reach back into earlier blocks. */
const windowBytes = 64 * 1024

/** Decodes frames, one chunk for each block. @throws EngineError CANNOT_DECOMPRESS */
export async function* lz4Decoded(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const reader = new ChunkReader(source)
  const read = async (length: number): Promise<Buffer> => {
    const bytes = await reader.read(length)
    return bytes.length === length ? bytes : fail('ends within a frame')
  }
  for (let head = await reader.read(4); head.length > 0; head = await reader.read(4)) {
    if (head.length < 4 || head.readUInt32LE() !== magic) fail('has no LZ4 frame')
    const [flags = 0, sizes = 0] = await read(2)
    const blockBytesMax = 1 << (8 + 2 * ((sizes >> 4) & 7))
    if (flags >> 6 !== 1 || (flags & 1) === 1 || blockBytesMax < windowBytes) fail('has an LZ4 frame of another kind')
    await read((flags & 8 ? 8 : 0) + 1)
    let window: Buffer = Buffer.alloc(0)
    for (let size = (await read(4)).readUInt32LE(); size !== 0; size = (await read(4)).readUInt32LE()) {
      const isPlain = size >= plainMark
      const length = isPlain ? size - plainMark : size
      if (length > blockBytesMax) fail('has an LZ4 block above its limit')
      const data = await read(length)
      if (flags & 16) await read(4)
      const decoded = Buffer.allocUnsafe(window.length + (isPlain ? length : blockBytesMax))
      window.copy(decoded)
      if (isPlain) data.copy(decoded, window.length)
      const end = isPlain ? decoded.length : decodeLz4Block(data, decoded, window.length)
      yield decoded.subarray(window.length, end)
      window = decoded.subarray(Math.max(0, end - windowBytes), end)
    }
    if (flags & 4) await read(4)
  }
}

function fail(what: string): never {
  throw new EngineError(271, 'CANNOT_DECOMPRESS', `The body ${what}`)
}

/** Head of a frame with independent blocks of 64 KB, without checksums. */
const encodedHead = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])
const encodedBytesMax = 64 * 1024

/** Encodes what is written to it as one frame. */
export class Lz4Encoder extends Transform {
  #isBegun = false

  override _transform(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#begin()
    for (let at = 0; at < chunk.length; at += encodedBytesMax) {
      const bytes = chunk.subarray(at, at + encodedBytesMax)
      const encoded = encodeLz4Block(bytes)
      // A block that is larger than the frame says is refused, so what does not compress stands as it is.
      const isPlain = encoded.length >= bytes.length
      const size = Buffer.allocUnsafe(4)
      size.writeUInt32LE(isPlain ? bytes.length + plainMark : encoded.length)
      this.push(size)
      this.push(isPlain ? bytes : encoded)
    }
    done()
  }

  override _flush(done: () => void): void {
    this.#begin()
    this.push(Buffer.alloc(4))
    done()
  }

  #begin(): void {
    if (!this.#isBegun) this.push(encodedHead)
    this.#isBegun = true
  }
}
