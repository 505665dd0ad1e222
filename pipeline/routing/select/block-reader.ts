import { promisify } from 'node:util'
import { zstdDecompress, zstdDecompressSync } from 'node:zlib'
import { Permits } from '#runtime/permits.ts'
import { type BatchBlock, blocksIn } from '#schemas/batch-walk.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

const decompress = promisify(zstdDecompress)
/** So few bytes are decompressed at once: the way to the thread pool and back costs more than the work. */
const decompressedHereBytesMax = 16 * 1024

/**
 * Decompresses blocks of log records on the thread pool, so many at once. Share one in a process.
 * A block has `limits.blockBytesMax` at most and all of a record `limits.recordRawBytesMax`, whatever its frames say of themselves.
 */
export class BlockReader {
  readonly #permits = new Permits(limits.routedBlocksAtOnceMax)

  /** The envelopes of a record, a buffer a block, in order. @throws BATCH_CORRUPT */
  async read(value: Uint8Array, blocks: readonly BatchBlock[]): Promise<Buffer[]> {
    const plain: Buffer[] = []
    let bytesLeft = limits.recordRawBytesMax
    for (const block of blocks) {
      const envelopes = await this.#readBlock(value, block, Math.min(limits.blockBytesMax, bytesLeft))
      bytesLeft -= envelopes.length
      plain.push(envelopes)
    }
    return plain
  }

  async #readBlock(value: Uint8Array, block: BatchBlock, bytesMax: number): Promise<Buffer> {
    const frame = value.subarray(block.frameStart, block.frameEnd)
    // An output buffer that has room for all of it is the only one.
    const options = { maxOutputLength: Math.max(1, bytesMax), chunkSize: Math.max(1024, block.plainBytesMax + 1) }
    try {
      if (block.plainBytesMax <= decompressedHereBytesMax) return zstdDecompressSync(frame, options)
      return await this.#permits.with(() => decompress(frame, options))
    } catch (cause) {
      throw new PenstockError('BATCH_CORRUPT', 'a block is not zstandard data, or larger than a block may be', {
        cause,
      })
    }
  }
}

/** The blocks of a record. @throws BATCH_CORRUPT */
export function blocksOf(value: Uint8Array): BatchBlock[] {
  const blocks = blocksIn(value)
  if (typeof blocks === 'string') throw new PenstockError('BATCH_CORRUPT', blocks)
  return blocks
}
