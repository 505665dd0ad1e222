import { randomBytes } from 'node:crypto'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { BlockCompressor } from './block-compressor.ts'

function compressed(compressor: BlockCompressor, raw: Uint8Array): Promise<Buffer> {
  return new Promise((resolve) => compressor.compress(raw, resolve))
}

test('each of many blocks at once becomes one frame of its own bytes, whatever its size', async () => {
  const compressor = new BlockCompressor()
  // Random bytes do not shrink: the largest fill several buffers of output.
  const blocks = [1, 8_192, 8_193, 60_000, 131_072, 700_000].flatMap((size) => [
    randomBytes(size),
    Buffer.alloc(size, 'telemetry '),
  ])
  for (let round = 0; round < 3; round++) {
    const frames = await Promise.all(blocks.map((block) => compressed(compressor, block)))
    for (const [index, frame] of frames.entries())
      expect(zstdDecompressSync(frame).equals(blocks[index] ?? Buffer.alloc(0))).toBe(true)
  }
})

test('a frame names its length, which readers need to make room for it', async () => {
  const block = Buffer.alloc(100_000, 'telemetry ')
  const params = { 100: 1 }
  // Equal to what one call makes that is told the length beforehand.
  expect(await compressed(new BlockCompressor(), block)).toEqual(
    zstdCompressSync(block, { params, pledgedSrcSize: 100_000 }),
  )
})
