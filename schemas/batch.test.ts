import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import avsc from 'avsc'
import { describe, expect, test } from 'vitest'
import {
  batchFromBlock,
  batchFromMessages,
  batchHeader,
  blocksOfBatch,
  type Envelope,
  envelopeBytes,
  envelopeSchema,
  envelopesOfBatch,
  isBatch,
  lengthPrefixed,
  longBytes,
  mapBytes,
  messagesOfBatch,
  syncMarker,
} from './batch.ts'
import { limits } from './limits.ts'

const envelopeType = avsc.Type.forSchema(JSON.parse(JSON.stringify(envelopeSchema)))

describe('batch, schema version 1', () => {
  test('the header bytes never change: golden', () => {
    expect(Buffer.from(batchHeader).toString('latin1')).toBe(
      'Obj\x01\x04\x16avro.schema\xce\x05' +
        '{"type":"record","name":"Envelope","namespace":"penstock.telemetry.v1","fields":[{"name":"deviceId","type":"string"},' +
        '{"name":"enqueuedAtMs","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"body","type":"bytes"},' +
        '{"name":"properties","type":{"type":"map","values":"string"}},' +
        '{"name":"systemProperties","type":{"type":"map","values":"string"}}]}' +
        '\x14avro.codec\x12zstandard\x00penstock.batch.1',
    )
  })

  test('one envelope has the bytes the specification gives: golden', () => {
    const bytes = envelopeType.toBuffer({
      deviceId: 'd1',
      enqueuedAtMs: 1_700_000_000_000,
      body: Buffer.from('hi'),
      properties: { a: 'b' },
      systemProperties: {},
    })
    expect(bytes.toString('hex')).toBe(`04${'6431'}80a0abfef962${'04'}${'6869'}02${'0261'}${'0262'}00${'00'}`)
  })

  test('telemetry.v1.avsc says what the header says', () => {
    const file = JSON.parse(readFileSync(new URL('./telemetry.v1.avsc', import.meta.url), 'utf8'))
    delete file.doc
    expect(file).toEqual(envelopeSchema)
  })

  test('hand-written longs and maps equal the Avro library over all length groups', () => {
    const long = avsc.Type.forSchema('long')
    for (let exponent = 0; exponent < 52; exponent++) {
      for (const value of [2 ** exponent - 1, 2 ** exponent, 2 ** exponent + 1]) {
        expect(Buffer.from(longBytes(value))).toEqual(long.toBuffer(value))
      }
    }
    const map = avsc.Type.forSchema({ type: 'map', values: 'string' })
    for (const entries of [{}, { k: 'v' }, { é: 'ü', b: '' }]) {
      expect(Buffer.from(mapBytes(new Map(Object.entries(entries))))).toEqual(map.toBuffer(entries))
    }
    const string = avsc.Type.forSchema('string')
    for (const text of ['', 'abc', ...[63, 64, 8_191, 8_192].map((length) => 'x'.repeat(length))])
      expect(Buffer.from(lengthPrefixed(Buffer.from(text)))).toEqual(string.toBuffer(text))
  })

  test('the Avro library reads a batch, and joined batches, as container files', async () => {
    const one = batchFromBlock(2, zstdCompressSync(Buffer.concat([envelope('a', 1), envelope('b', 2)])))
    const two = batchFromBlock(1, zstdCompressSync(envelope('c', 3)))
    const joined = Buffer.concat([one, blocksOfBatch(two)])
    const decoder = new avsc.streams.BlockDecoder({
      codecs: {
        zstandard: (data: Buffer, done: (error: null, plain: Buffer) => void) => done(null, zstdDecompressSync(data)),
      },
    })
    decoder.end(joined)
    const ids: string[] = []
    for await (const { deviceId } of decoder) ids.push(deviceId)
    expect(ids).toEqual(['a', 'b', 'c'])
    expect(envelopesOfBatch(joined).map(({ deviceId }) => deviceId)).toEqual(['a', 'b', 'c'])
  })

  test('damage anywhere is BATCH_CORRUPT or another valid batch, never a crash', () => {
    const batch = batchFromBlock(1, zstdCompressSync(envelope('a', 1)))
    expect(isBatch(batch)).toBe(true)
    for (let cut = 0; cut < batch.length; cut++) {
      expect(() => envelopesOfBatch(batch.subarray(0, cut))).toThrow(expect.objectContaining({ code: 'BATCH_CORRUPT' }))
    }
    expect(() => blocksOfBatch(Buffer.from('not avro'))).toThrow(expect.objectContaining({ code: 'BATCH_CORRUPT' }))
    expect(syncMarker.length).toBe(16)
  })
})

const corrupt = expect.objectContaining({ code: 'BATCH_CORRUPT' })

/** A batch of blocks whose counts and lengths need not be true. */
function batchOf(...blocks: readonly (readonly [count: number, size: number, bytes: Uint8Array])[]): Buffer {
  const parts = blocks.flatMap(([count, size, bytes]) => [longBytes(count), longBytes(size), bytes, syncMarker])
  return Buffer.concat([batchHeader, ...parts])
}

describe('a batch that lies about itself', () => {
  const one = zstdCompressSync(envelope('a', 1))
  const two = zstdCompressSync(Buffer.concat([envelope('b', 2), envelope('c', 3)]))
  const idsOf = (batch: Buffer) => envelopesOfBatch(batch).map(({ deviceId }) => deviceId)

  test('its blocks hold as many messages as they say, in as many bytes', () => {
    expect(idsOf(batchOf([1, one.length, one], [2, two.length, two]))).toEqual(['a', 'b', 'c'])
    for (const count of [0, 1, 3])
      expect(() => idsOf(batchOf([1, one.length, one], [count, two.length, two]))).toThrow(corrupt)
    for (const size of [0, two.length - 1, two.length + 1, two.length + syncMarker.length, 2 ** 40])
      expect(() => idsOf(batchOf([1, one.length, one], [2, size, two]))).toThrow(corrupt)
  })

  test('a block that reaches into the last marker is cut short, as one that reaches behind it', () => {
    for (const beyond of [1, syncMarker.length, syncMarker.length + 1])
      expect(() => idsOf(batchOf([1, one.length + beyond, one]))).toThrow('a block is cut short')
  })

  test('a header alone is no batch, and neither is a block that ends within a message', () => {
    expect(isBatch(batchHeader)).toBe(false)
    expect(isBatch(Buffer.concat([batchHeader, syncMarker]))).toBe(false)
    const cut = zstdCompressSync(envelope('a', 1).subarray(0, -1))
    expect(() => idsOf(batchOf([1, cut.length, cut]))).toThrow(corrupt)
  })

  test('a block larger than blocks are is not unpacked', () => {
    const bomb = zstdCompressSync(Buffer.alloc(limits.blockBytesMax + 1))
    expect(() => idsOf(batchOf([1, bomb.length, bomb]))).toThrow('larger than a block may be')
  })

  test('counts and lengths are read over all their groups', () => {
    for (const count of [63, 64, 65, 8_191, 8_192]) {
      const messages = Array.from({ length: count }, (_, i) => ({ bytes: envelope('d', i) }))
      expect(messagesOfBatch(batchFromMessages(messages)).at(-1)?.envelope.enqueuedAtMs).toBe(count - 1)
    }
    for (const bytes of [50, 100, 9_000, 300_000]) {
      // A digest does not compress.
      const body = createHash('shake256', { outputLength: bytes }).digest()
      const message = { ...envelopesOfBatch(batchOf([1, one.length, one]))[0], body } as Envelope
      expect(envelopesOfBatch(batchFromMessages([{ bytes: envelopeBytes(message) }]))[0]?.body).toEqual(body)
    }
  })

  test('lengths are positive and of at most eight bytes', () => {
    for (const length of [[0x01], [0x80], Array.from({ length: 9 }, (_, i) => (i < 8 ? 0x80 : 0))])
      expect(() =>
        envelopesOfBatch(Buffer.concat([batchHeader, Buffer.from(length), longBytes(one.length), one, syncMarker])),
      ).toThrow(corrupt)
  })
})

test('messages taken out of a batch make a batch of their own, byte for byte', () => {
  const first = { deviceId: 'a', enqueuedAtMs: 1, body: Buffer.from('1'), properties: { p: 'q' }, systemProperties: {} }
  const second = { ...first, deviceId: 'b', enqueuedAtMs: 2 ** 41 }
  const batch = batchFromMessages([first, second].map((each) => ({ bytes: envelopeBytes(each) })))
  const messages = messagesOfBatch(batch)
  expect(messages.map(({ envelope }) => envelope)).toMatchObject([first, second])
  expect(messages.map(({ bytes }) => Buffer.from(bytes))).toEqual([envelopeBytes(first), envelopeBytes(second)])
  expect(envelopesOfBatch(batchFromMessages(messages.slice(1)))).toMatchObject([second])
})

function envelope(deviceId: string, enqueuedAtMs: number): Buffer {
  return envelopeType.toBuffer({
    deviceId,
    enqueuedAtMs,
    body: Buffer.from('{}'),
    properties: {},
    systemProperties: { topic: 't' },
  })
}
