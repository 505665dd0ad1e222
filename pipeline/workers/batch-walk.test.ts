import { zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { batchFromBlock, batchHeader, blocksOfBatch } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { walkBatch } from './batch-walk.ts'

const block = (count: number, bytes: number) => batchFromBlock(count, zstdCompressSync(Buffer.alloc(bytes, 7)))

test('rows and uncompressed bytes of all blocks are added up, whatever width the frame writes its size in', () => {
  for (const bytes of [1, 255, 256, 65_791, 65_792, limits.blockBytesMax]) {
    expect(walkBatch(block(3, bytes))).toEqual({ kind: 'batch', rowCount: 3, bodyBytesMax: bytes })
    const joined = Buffer.concat([block(3, bytes), blocksOfBatch(block(200, 10))])
    expect(walkBatch(joined)).toEqual({ kind: 'batch', rowCount: 203, bodyBytesMax: bytes + 10 })
  }
})

test('a block that would unpack beyond its limit is corrupt, so it never reaches the warehouse [G-4]', () => {
  expect(walkBatch(block(1, limits.blockBytesMax + 1))).toMatchObject({ kind: 'corrupt' })
})

test('a batch cut at any byte is corrupt, unless cut between blocks', () => {
  const first = block(1, 50)
  const batch = Buffer.concat([first, blocksOfBatch(block(2, 60))])
  for (let cut = 0; cut < batch.length; cut++)
    expect(walkBatch(batch.subarray(0, cut)).kind, `cut at ${cut}`).toBe(cut === first.length ? 'batch' : 'corrupt')
  expect(walkBatch(batchHeader).kind).toBe('corrupt')
})

test('damaged bytes never throw and never count more rows than blocks can say', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
  const random = seededRandom(seed)
  const batch = Buffer.concat([block(1, 50), blocksOfBatch(block(2, 60))])
  for (let run = 0; run < 20_000; run++) {
    const damaged = Buffer.from(batch)
    for (let flips = random.integer(1, 3); flips > 0; flips--)
      damaged[random.integer(0, damaged.length - 1)] = random.integer(0, 255)
    const walk = walkBatch(damaged)
    if (walk.kind === 'batch') expect(walk.bodyBytesMax, `SEED=${seed}`).toBeLessThanOrEqual(2 * limits.blockBytesMax)
  }
})
