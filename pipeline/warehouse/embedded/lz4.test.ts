import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { decodeLz4Block, encodeLz4Block } from './lz4-block.ts'
import { Lz4Encoder, lz4Decoded } from './lz4-frame.ts'

const seed = Number(process.env.SEED ?? Date.now() % 100_000)
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const text = 'aaaaaaaaaaaaaaaaaaaaaaaabcdefghij'.repeat(3)
/** `text` as the reference implementation, lz4 1.9.4, encodes it. */
const block = '1f 61 0100 04 9f 6263646566676869 6a 2000 04 0f 2100 13 50 666768696a'

describe('a block', () => {
  it('of the reference implementation is decoded, and never beyond its target', () => {
    const target = Buffer.alloc(text.length)
    expect(decodeLz4Block(hex(block), target, 0)).toBe(text.length)
    expect(target.toString()).toBe(text)
    expect(() => decodeLz4Block(hex(block), target.subarray(1), 0)).toThrow('LZ4')
  })

  it.each([
    ['cut in its literals', '50 6162'],
    ['cut in a distance', '10 61 01'],
    ['cut in a length', 'f0'],
    ['without last literals', '10 61 0100'],
    ['that reaches behind its beginning', '10 61 0200 00'],
    ['that reaches nowhere', '10 61 0000 00'],
    ['of nothing', ''],
  ])('%s is refused', (_name, bytes) => {
    expect(() => decodeLz4Block(hex(bytes), Buffer.alloc(100), 0)).toThrow('LZ4')
  })

  it('of any bytes comes back as they were', () => {
    let state = seed
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return Math.floor((state / 2 ** 31) * below)
    }
    for (let length = 0; length < 400; length++) {
      // From a single letter, which compresses well, to any byte, which does not.
      const letters = 1 + random(length % 4 === 0 ? 256 : 4)
      const source = Buffer.from(Array.from({ length: length * (1 + random(9)) }, () => random(letters)))
      const target = Buffer.alloc(source.length)
      expect(decodeLz4Block(encodeLz4Block(source), target, 0), `SEED=${seed}`).toBe(source.length)
      expect(target.equals(source), `SEED=${seed}`).toBe(true)
    }
  })

  it('of a repeating text is much shorter than it', () => {
    expect(encodeLz4Block(Buffer.from(text.repeat(1_000))).length).toBeLessThan(600)
  })
})

describe('a frame', () => {
  const decoded = async (bytes: Buffer, step = bytes.length): Promise<string> => {
    const chunks = Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) =>
      bytes.subarray(index * step, (index + 1) * step),
    )
    return Buffer.concat(await Readable.from(lz4Decoded(Readable.from(chunks))).toArray()).toString()
  }
  const frames = {
    'with the length of its content': `04224d18 68 40 6300000000000000 38 1c000000 ${block} 00000000`,
    'with checksums': `04224d18 7c 40 6300000000000000 d6 1c000000 ${block} 099e9cd0 00000000 f46aeabc`,
  }

  it.each(Object.entries(frames))('%s is decoded, in chunks of any size', async (_name, bytes) => {
    for (const step of [1, 3, 1_000]) expect(await decoded(hex(bytes), step)).toBe(text)
  })

  it('may follow another, be empty, hold plain blocks, and reach back into the block before', async () => {
    const empty = '04224d18 60 40 82 00000000'
    const plain = '04224d18 60 40 82 02000080 6869 00000000'
    const linked = '04224d18 40 40 00 09000000 80 6162636465666768 09000000 04 0800 50 767778797a 00000000'
    expect(await decoded(hex(empty + plain + linked))).toBe('hiabcdefghabcdefghvwxyz')
  })

  it('of what does not compress has no block above its limit, which every decoder refuses', async () => {
    const random = seededRandom(1)
    const source = Buffer.from(Array.from({ length: 200_000 }, () => random.integer(0, 255)))
    const encoder = new Lz4Encoder()
    encoder.end(source)
    const decodedBytes = await Readable.from(
      lz4Decoded(Readable.from([Buffer.concat(await encoder.toArray())])),
    ).toArray()
    expect(Buffer.concat(decodedBytes).equals(source)).toBe(true)
  })

  it('of any length comes back as it was', async () => {
    for (const length of [0, 1, 65_536, 200_000]) {
      const encoder = new Lz4Encoder()
      encoder.end('ab'.repeat(length))
      expect(await decoded(Buffer.concat(await encoder.toArray()))).toBe('ab'.repeat(length))
    }
  })

  it('that is cut anywhere, or none, is refused', async () => {
    const bytes = hex(frames['with checksums'])
    for (let length = 1; length < bytes.length; length++)
      await expect(decoded(bytes.subarray(0, length)), `${length}`).rejects.toMatchObject({ number: 271 })
    await expect(decoded(Buffer.from('INSERT INTO'))).rejects.toMatchObject({ number: 271 })
  })
})
