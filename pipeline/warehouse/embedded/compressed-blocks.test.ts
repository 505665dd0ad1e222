import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { cityHash128 } from './city-hash.ts'
import { BlockCompressor, blocksDecompressed, compressedBlock } from './compressed-blocks.ts'

const decompressed = async (bytes: Buffer, step = 7): Promise<Buffer> => {
  const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) =>
    bytes.subarray(index * step, (index + 1) * step),
  )
  return Buffer.concat(await Readable.from(blocksDecompressed(Readable.from(chunks))).toArray())
}

/** A block with `data` unchanged, under any method. */
const block = (method: number, data: Buffer, decodedBytes: number): Buffer => {
  const head = Buffer.alloc(9)
  head[0] = method
  head.writeUInt32LE(9 + data.length, 1)
  head.writeUInt32LE(decodedBytes, 5)
  const hashed = Buffer.concat([head, data])
  return Buffer.concat([cityHash128(hashed), hashed])
}

// Made by go-faster/city 1.0.1, the hash of clickhouse-go; byte i is i × 31 + ⌊i / 7⌋.
it.each([
  [0, '3df09dfc64c09a2b', '3cb540c392e51e29'],
  [1, 'a04b71ab61de6422', 'f768684937e23970'],
  [7, '2b10aba75d97da2d', 'bd3a37170971ff49'],
  [8, '32fa7d1625621aa7', 'ac5085899b451fb1'],
  [9, '53de54fca3517c13', 'a2431686acd70141'],
  [15, '505e320bb15ac894', '8ac04fb53a11225e'],
  [16, '3616e62835cbf615', 'b08b2128631f28d0'],
  [17, '48c047652be00e76', 'b22802a36105361a'],
  [31, '58f4bfc8e86bab43', '07806f7ee28f5826'],
  [32, '50f31d3793680728', 'b3671e379d648e50'],
  [33, '76786f3da23b955c', 'b44153d83450b3f5'],
  [127, '35094652bcc499ef', '6e35c007d546f8e5'],
  [128, '12db8d76aa3e848c', 'c4cebe30979b872a'],
  [143, '7c69bdd852b0f2c5', '53e52837d2e0042e'],
  [144, 'da08b3976b12f466', '84d4bad66fc12b9f'],
  [145, 'cddc670ad575ea76', 'e09255ccbc48c572'],
  [200, 'd187a099c878fe32', 'af2e6ff8157eb578'],
  [255, 'b805295cc7a5cb3d', '0869335496bba82c'],
  [1000, '2e4f063cc271e34e', '21d32723a2db141a'],
  [65536, '5c628bf302714554', '331a784989975f69'],
])('the hash of %i bytes is %s %s', (length, low, high) => {
  const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 31 + Math.floor(index / 7)) & 255))
  const hash = cityHash128(bytes)
  expect(hash.readBigUInt64LE(0).toString(16).padStart(16, '0')).toBe(low)
  expect(hash.readBigUInt64LE(8).toString(16).padStart(16, '0')).toBe(high)
})

it('blocks of every method are read, in chunks of any size', async () => {
  const text = Buffer.from('ClickHouse '.repeat(500))
  const bytes = Buffer.concat([
    block(0x02, text, text.length),
    block(0x90, zstdCompressSync(text), text.length),
    compressedBlock(text),
  ])
  for (const step of [1, 100, bytes.length])
    expect((await decompressed(bytes, step)).equals(Buffer.concat([text, text, text]))).toBe(true)
})

it('what is written chunk by chunk comes back, and an empty chunk makes no block', async () => {
  const compressor = new BlockCompressor()
  for (const chunk of ['a', '', 'b'.repeat(100_000)]) compressor.write(chunk)
  compressor.end()
  const bytes = Buffer.concat(await compressor.toArray())
  expect((await decompressed(bytes)).toString()).toBe(`a${'b'.repeat(100_000)}`)
  expect(bytes.length).toBeLessThan(600)
})

it('a block that is damaged, cut off or of an unknown method is refused', async () => {
  const good = compressedBlock(Buffer.from('x'.repeat(100)))
  for (let at = 0; at < good.length; at++) {
    const damaged = Buffer.from(good)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    await expect(decompressed(damaged), `byte ${at}`).rejects.toMatchObject({ name: 'EngineError' })
    if (at > 0) await expect(decompressed(good.subarray(0, at)), `${at} bytes`).rejects.toMatchObject({ number: 33 })
  }
  await expect(decompressed(block(0x91, Buffer.alloc(1), 1))).rejects.toMatchObject({ number: 89 })
  await expect(decompressed(block(0x02, Buffer.alloc(1), 2))).rejects.toMatchObject({ number: 271 })
  await expect(decompressed(block(0x02, Buffer.alloc(1), 2 ** 31))).rejects.toMatchObject({ number: 12 })
})
