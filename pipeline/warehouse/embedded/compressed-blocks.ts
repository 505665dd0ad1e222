/**
 * ClickHouse's own compression over HTTP (`compress=1` of answers, `decompress=1` of bodies):
 *
 *   blocks × ( CityHash128 of all that follows, 16 · method, 1 · bytes from the method on, 4 · bytes once decoded, 4 · data )
 *
 * Methods: 02 none, 82 LZ4, 90 zstandard. Source: ClickHouse src/Compression/CompressedReadBufferBase.cpp.
 * Hashing takes a second for every 30 MB of compressed bytes; the content encodings of HTTP cost less.
 */
import { Transform } from 'node:stream'
import { zstdDecompressSync } from 'node:zlib'
import { assert } from '#runtime/assert.ts'
import { ChunkReader } from './chunk-reader.ts'
import { cityHash128 } from './city-hash.ts'
import { EngineError } from './engine-error.ts'
import { decodeLz4Block, encodeLz4Block } from './lz4-block.ts'

const none = 0x02
const lz4 = 0x82
const zstd = 0x90
const hashBytes = 16
const headBytes = 9

/** ClickHouse's own blocks have a megabyte. A client may make one block of each of its batches. */
const blockBytesMax = 256 * 1024 * 1024

/** Turns each chunk into a block. */
export class BlockCompressor extends Transform {
  override _transform(chunk: Buffer, _encoding: string, done: () => void): void {
    if (chunk.length > 0) this.push(compressedBlock(chunk))
    done()
  }
}

/** `bytes` as one block. */
export function compressedBlock(bytes: Buffer): Buffer {
  assert(bytes.length <= blockBytesMax, `a block of ${bytes.length} bytes is one that is read again`)
  const data = encodeLz4Block(bytes)
  const head = Buffer.allocUnsafe(headBytes)
  head.writeUInt8(lz4, 0)
  head.writeUInt32LE(headBytes + data.length, 1)
  head.writeUInt32LE(bytes.length, 5)
  const hashed = Buffer.concat([head, data])
  return Buffer.concat([cityHash128(hashed), hashed])
}

/** Decodes a stream of blocks, one chunk for each block. @throws EngineError */
export async function* blocksDecompressed(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  const reader = new ChunkReader(source)
  for (;;) {
    const head = await reader.read(hashBytes + headBytes)
    if (head.length === 0) return
    if (head.length < hashBytes + headBytes) throw cutOff()
    const method = head.readUInt8(hashBytes)
    const dataBytes = head.readUInt32LE(hashBytes + 1) - headBytes
    const decodedBytes = head.readUInt32LE(hashBytes + 5)
    if (dataBytes < 0 || dataBytes > blockBytesMax || decodedBytes > blockBytesMax)
      throw new EngineError(12, 'TOO_LARGE_SIZE_COMPRESSED', `A compressed block is above ${blockBytesMax} bytes`)
    const data = await reader.read(dataBytes)
    if (data.length < dataBytes) throw cutOff()
    if (!cityHash128(Buffer.concat([head.subarray(hashBytes), data])).equals(head.subarray(0, hashBytes)))
      throw new EngineError(40, 'CHECKSUM_DOESNT_MATCH', 'Checksum of a compressed block does not match its data')
    const decoded = decodedBlock(method, data, decodedBytes)
    if (decoded.length !== decodedBytes)
      throw new EngineError(271, 'CANNOT_DECOMPRESS', 'A compressed block holds another length than it says')
    yield decoded
  }
}

function decodedBlock(method: number, data: Buffer, decodedBytes: number): Buffer {
  switch (method) {
    case none:
      return data
    case lz4: {
      const decoded = Buffer.allocUnsafe(decodedBytes)
      return decoded.subarray(0, decodeLz4Block(data, decoded, 0))
    }
    case zstd:
      return zstdDecompressSync(data, { maxOutputLength: Math.max(1, decodedBytes) })
    default:
      throw new EngineError(89, 'UNKNOWN_COMPRESSION_METHOD', `Unknown compression method ${method} of a block`)
  }
}

function cutOff(): EngineError {
  return new EngineError(33, 'CANNOT_READ_ALL_DATA', 'The body ends within a compressed block')
}
