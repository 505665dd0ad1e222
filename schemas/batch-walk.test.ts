import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { batchFromBlock, batchHeader, blocksOfBatch, longBytes, syncMarker } from './batch.ts'
import { blocksIn, walkBatch } from './batch-walk.ts'
import { limits } from './limits.ts'

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

test('a block says how many messages it has, one at least', () => {
  expect(walkBatch(block(1, 50)).kind).toBe('batch')
  expect(walkBatch(block(0, 50))).toMatchObject({ kind: 'corrupt', text: expect.stringContaining('count and length') })
})

test('each block ends with the whole marker, also one that another follows', () => {
  const first = block(1, 50)
  const batch = Buffer.concat([first, blocksOfBatch(block(2, 60))])
  for (let index = 0; index < syncMarker.length; index++) {
    const damaged = Buffer.from(batch)
    damaged[first.length - syncMarker.length + index]! ^= 1
    expect(walkBatch(damaged), `byte ${index}`).toMatchObject({
      kind: 'corrupt',
      text: expect.stringContaining('marker'),
    })
  }
})

test('a length that reaches into the last marker or behind it is corrupt', () => {
  const frame = zstdCompressSync(Buffer.alloc(50, 7))
  const of = (size: number) => Buffer.concat([batchHeader, longBytes(1), longBytes(size), frame, syncMarker])
  expect(walkBatch(of(frame.length)).kind).toBe('batch')
  for (const beyond of [-1, 1, syncMarker.length - 1, syncMarker.length, syncMarker.length + 1, 2 ** 30])
    expect(walkBatch(of(frame.length + beyond)).kind, `${beyond}`).toBe('corrupt')
})

test('a frame is told by its magic number and is longer than that', () => {
  const of = (frame: Uint8Array) => walkBatch(batchFromBlock(1, frame))
  const frame = zstdCompressSync(Buffer.alloc(1, 7))
  for (let index = 0; index < 4; index++) {
    const damaged = Buffer.from(frame)
    damaged[index]! ^= 1
    expect(of(damaged)).toMatchObject({ kind: 'corrupt', text: expect.stringContaining('not a zstandard frame') })
  }
  for (const length of [0, 4, 5]) expect(of(frame.subarray(0, length)).kind).toBe('corrupt')
})

// RFC 8878 section 3.1.1.1: descriptor, window, dictionary id, then the size in so many bytes.
test.each([
  ['no size', [0x00, 0x58], limits.blockBytesMax],
  ['no size, a dictionary', [0x01, 0x58, 9], limits.blockBytesMax],
  ['one byte, one segment', [0x20, 200], 200],
  ['one byte, one segment, a dictionary of 1 byte', [0x21, 9, 200], 200],
  ['one byte, one segment, a dictionary of 2 bytes', [0x22, 9, 9, 200], 200],
  ['one byte, one segment, a dictionary of 4 bytes', [0x23, 9, 9, 9, 9, 200], 200],
  ['two bytes, which begin at 256', [0x40, 0x58, 1, 2], 0x0201 + 256],
  ['two bytes, one segment', [0x60, 1, 2], 0x0201 + 256],
  ['four bytes', [0x80, 0x58, 1, 2, 3, 0], 0x030201],
  ['four bytes, one segment, a dictionary', [0xa1, 9, 1, 2, 3, 0], 0x030201],
  ['eight bytes', [0xc0, 0x58, 1, 2, 3, 0, 0, 0, 0, 0], 0x030201],
])('a frame says what it holds: %s', (_name, header, bodyBytesMax) => {
  const frame = (bytes: readonly number[]) => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...bytes])
  const [sizeMax, of] = [limits.blockBytesMax, (bytes: readonly number[]) => walkBatch(batchFromBlock(1, frame(bytes)))]
  expect(of([...header, 0, 0, 0])).toEqual(
    bodyBytesMax <= sizeMax
      ? { kind: 'batch', rowCount: 1, bodyBytesMax }
      : { kind: 'corrupt', text: expect.stringContaining('larger than a block may be') },
  )
  // Cut within the header there is no size to be believed.
  if (bodyBytesMax !== sizeMax) expect(of(header.slice(0, -1)).kind).toBe('corrupt')
})

test('whatever one byte becomes, nothing is thrown and no more bytes are expected than blocks may have', () => {
  const batch = Buffer.concat([block(1, 50), blocksOfBatch(block(2, 60))])
  const damaged = Buffer.from(batch)
  for (let at = batchHeader.length; at < batch.length; at++) {
    for (let byte = 0; byte < 256; byte++) {
      damaged[at] = byte
      const walk = walkBatch(damaged)
      if (walk.kind === 'batch' && walk.bodyBytesMax > 2 * limits.blockBytesMax)
        expect.fail(`byte ${at} as ${byte}: ${walk.bodyBytesMax}`)
    }
    damaged[at] = batch[at] ?? 0
  }
})

test('blocks are found where they lie', () => {
  const [first, second] = [block(1, 50), block(2, 60)]
  const batch = Buffer.concat([first, blocksOfBatch(second)])
  const blocks = blocksIn(batch)
  if (typeof blocks === 'string') return expect.fail(blocks)
  expect(blocks.map(({ messageCount, plainBytesMax }) => [messageCount, plainBytesMax])).toEqual([
    [1, 50],
    [2, 60],
  ])
  expect(blocks.map(({ start, end }) => [start, end])).toEqual([
    [batchHeader.length, first.length],
    [first.length, batch.length],
  ])
  for (const { frameStart, frameEnd, plainBytesMax } of blocks)
    expect(zstdDecompressSync(batch.subarray(frameStart, frameEnd))).toEqual(Buffer.alloc(plainBytesMax, 7))
})
