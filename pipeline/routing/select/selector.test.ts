import { randomBytes } from 'node:crypto'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { BlockCompressor } from '#runtime/block-compressor.ts'
import {
  batchFromBlock,
  batchHeader,
  blocksOfBatch,
  type Envelope,
  envelopeBytes,
  envelopesOfBatch,
  longBytes,
} from '#schemas/batch.ts'
import { type BatchBlock, blocksIn } from '#schemas/batch-walk.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { batchOfBlocks, json, message, routeSetOf } from './batches-fixture.ts'
import { BlockReader } from './block-reader.ts'
import { Enricher } from './enrichment.ts'
import { batchOf, SelectedEncoder } from './selected-bytes.ts'
import { selectedMessages } from './selected-messages.ts'
import { Selector } from './selector.ts'

const reader = new BlockReader()
const compressor = new BlockCompressor()
const encoder = new SelectedEncoder({ compressor })

/** One endpoint a condition, in their order. */
function selectorOf(conditions: readonly string[], decodedEndpoints: readonly string[] = []): Selector {
  const routes = conditions.map((condition, index) => ({
    name: `r${index}`,
    source: 'DeviceMessages' as const,
    condition,
    endpointNames: [`e${index}`],
    isEnabled: true,
  }))
  const routeSet = routeSetOf({ routes }, { decodedEndpoints: new Set(decodedEndpoints) })
  return new Selector({ routeSet, reader, hubName: 'hub' })
}

async function selectedOf(conditions: readonly string[], envelopes: readonly Envelope[]): Promise<number[][]> {
  const selection = await selectorOf(
    conditions,
    conditions.map((_, index) => `e${index}`),
  ).select(batchOfBlocks([envelopes]), 'telemetry')
  return conditions.map((_, index) => Array.from(selectedMessages(selection, index), ({ index }) => index))
}

async function corruption(value: Uint8Array): Promise<string> {
  try {
    await selectorOf(['$body.t > 1']).select(value, 'telemetry')
    return 'taken'
  } catch (error) {
    if (isPenstockError(error) && error.code === 'BATCH_CORRUPT') return error.message
    throw error
  }
}

describe('selection', () => {
  test('device and time are asked of each message, though its properties are those of the one before', async () => {
    const first = message()
    const messages = [first, { ...first, deviceId: 'press-2' }, { ...first, enqueuedAtMs: first.enqueuedAtMs + 1 }]
    expect(
      await selectedOf(["$connectionDeviceId = 'press-2'", "$enqueuedTime > '2026-09-21T14:13:20.0000000Z'"], messages),
    ).toEqual([[1], [2]])
  })

  test('properties that differ in their case, in one byte, or only in which map they are in, are told apart', async () => {
    const messages = [
      message({ properties: { level: 'a' } }),
      message({ properties: { LEVEL: 'a' } }),
      message({ properties: { level: 'b' } }),
      message({ properties: { level: '' } }),
      message({ systemProperties: { $level: 'a' } }),
      message(),
    ]
    expect(
      await selectedOf(["level = 'a'", "level = ''", 'NOT is_defined(level)', "{$level} = 'a'"], messages),
    ).toEqual([[0, 1], [3], [4, 5], [4]])
  })

  test('names of properties have no case, from A to Z and beyond ASCII', async () => {
    const names = ['azAZ', 'AZaz', 'GRÖSSE', '\u212a', 'K', '@z', '`z', 'grösse']
    const messages = names.map((name) => message({ properties: { [name]: 'x' } }))
    expect(await selectedOf(["azaz = 'x'", "größe = 'x' OR grösse = 'x'", "k = 'x'", "`z = 'x'"], messages)).toEqual([
      [0, 1],
      [2, 7],
      [3, 4],
      [6],
    ])
  })

  test('of properties that never repeat the wanted ones are told apart, also the longest', async () => {
    const long = 'x'.repeat(2 * limits.routedSuffixBytesMax)
    const messages = ['a', 'b', 'a', long, `${long}y`, 'a'].map((level, index) =>
      message({ properties: { level, at: String(index), padding: randomBytes(8).toString('hex') } }),
    )
    expect(await selectedOf(["level = 'a'", `length(level) = ${long.length}`], messages)).toEqual([[0, 2, 5], [3]])
  })

  test('more endpoints than a word has bits are told apart', async () => {
    const conditions = Array.from({ length: 70 }, (_, index) => `n = '${index}'`)
    const messages = conditions.map((_, index) => message({ properties: { n: String(index) } }))
    expect(await selectedOf(conditions, messages)).toEqual(conditions.map((_, index) => [index]))
  })

  test('a body is read by its encoding', async () => {
    const text = '{"t":"lä😀"}'
    const utf32 = Buffer.from(new Uint32Array(Array.from(text, (letter) => letter.codePointAt(0) ?? 0)).buffer)
    const bodies: [Buffer, string][] = [
      [Buffer.from(text), 'utf-8'],
      [Buffer.from(text, 'utf16le'), 'UTF-16'],
      [utf32, 'utf-32'],
      [Buffer.concat([Buffer.from('\ufeff', 'utf16le'), Buffer.from(text, 'utf16le')]), 'utf-16'],
      [Buffer.concat([Buffer.from([0xff, 0xfe, 0, 0]), utf32]), 'utf-32'],
      [Buffer.from(text, 'utf16le').subarray(1), 'utf-16'],
      [utf32.subarray(0, -1), 'utf-32'],
      [Buffer.from('{"t":"\ud800"}', 'utf16le'), 'utf-16'],
      [Buffer.from(`{"t":"${'l'}\xe4"}`, 'latin1'), 'utf-8'],
      [Buffer.from(text), 'utf-16'],
    ]
    const messages = bodies.map(([body, contentEncoding]) =>
      message({ body, systemProperties: { ...json, contentEncoding } }),
    )
    expect(await selectedOf(["$body.t = 'lä😀'", 'is_defined($body.t)'], messages)).toEqual([
      [0, 1, 2, 3, 4],
      [0, 1, 2, 3, 4],
    ])
  })

  test('a body above the limit is not read', async () => {
    const bodyOf = (length: number) => Buffer.from(`{"t":1${' '.repeat(length - 7)}}`)
    const messages = [limits.bodyBytesMax, limits.bodyBytesMax + 1].map((length) =>
      message({ body: bodyOf(length), systemProperties: json }),
    )
    const value = Buffer.concat([batchHeader, ...messages.map((one) => blocksOfBatch(batchOfBlocks([[one]])))])
    const selection = await selectorOf(['$body.t = 1']).select(value, 'telemetry')
    expect(Array.from(selectedMessages(selection, 0), ({ index }) => index)).toEqual([0])
  })
})

describe('what no edge writes is refused', () => {
  const plain = envelopeBytes(message())

  test('a block that counts another number of messages than it has', async () => {
    for (const count of [1, 3, 4, 2 ** 30]) {
      const batch = batchFromBlock(count, zstdCompressSync(Buffer.concat([plain, plain])))
      expect(await corruption(batch)).toContain(`the ${count} messages`)
    }
    expect(await corruption(batchFromBlock(2, zstdCompressSync(Buffer.concat([plain, plain]))))).toBe('taken')
  })

  test('a block that unpacks to more than it says or may [G-4]', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
    expect(await corruption(batchFromBlock(1, bomb))).toContain('larger than a block may be')
    // A frame that does not say its size: its descriptor is made so that the size is not there.
    const silent = Buffer.concat([
      bomb.subarray(0, 4),
      Buffer.from([0x00, 0x58]),
      bomb.subarray(bomb.length > 10 ? 10 : 6),
    ])
    expect(await corruption(batchFromBlock(1, silent))).toContain('larger than a block may be')
  })

  test('blocks that are too much together [G-4]', async () => {
    const body = Buffer.alloc(200_000, ' ')
    const block = blocksOfBatch(batchOfBlocks([[message({ body }), message({ body })]]))
    const fits = Math.floor(limits.recordRawBytesMax / 400_100)
    const recordOf = (count: number) => Buffer.concat([batchHeader, ...Array.from({ length: count }, () => block)])
    expect(await corruption(recordOf(fits))).toBe('taken')
    expect(await corruption(recordOf(fits + 1))).toContain('larger than a block may be')
  })

  test('a record of another number of events than its blocks say', async () => {
    const routes = [{ name: 'r', source: 'DeviceLifecycleEvents', endpointNames: ['e'], isEnabled: true }] as const
    const selector = new Selector({ routeSet: routeSetOf({ routes }), reader, hubName: 'hub' })
    const event = zstdCompressSync(envelopeBytes(message({ properties: { event: 'created' } })))
    await expect(selector.select(batchFromBlock(2, event), 'events')).rejects.toThrow('holds 1 events')
    expect((await selector.select(batchFromBlock(1, event), 'events')).of(0)).toBe('some')
  })

  test('an event whose message would be larger than one may be', async () => {
    const routes = [{ name: 'r', source: 'DeviceLifecycleEvents', endpointNames: ['e'], isEnabled: true }] as const
    const selector = new Selector({ routeSet: routeSetOf({ routes }), reader, hubName: 'hub' })
    const event = message({ deviceId: 'd'.repeat(400_000), properties: { event: 'created' } })
    await expect(selector.select(batchOfBlocks([[event]]), 'events')).rejects.toThrow('larger than one may be')
  })
})

describe('what an endpoint gets', () => {
  const hot = (temperature: number) =>
    message({
      body: Buffer.from(`{"t":${temperature}}`),
      systemProperties: json,
      properties: { t: String(temperature) },
    })

  test('of a record that goes to it whole, the very blocks that the record has, which nobody unpacked', async () => {
    // Not zstandard behind its first bytes: whoever unpacked it would fail.
    const frame = zstdCompressSync(envelopeBytes(message()))
    frame.fill(0xff, 12)
    const value = batchFromBlock(1, frame)
    const selection = await selectorOf(['true']).select(value, 'telemetry')
    expect(selection.of(0)).toBe('all')
    const { blocks, messageCount } = await encoder.encode(value, selection, 0)
    expect([blocks[0]?.buffer === value.buffer, messageCount]).toEqual([true, 1])
    expect(batchOf({ blocks, messageCount, tooLarge: [] })).toEqual(value)
  })

  test('a block of which all goes passes as it is, beside blocks of which some does', async () => {
    const value = batchOfBlocks([[hot(50), hot(60)], [hot(10), hot(70)], [hot(20)]])
    const selection = await selectorOf(['$body.t > 30']).select(value, 'telemetry')
    const { blocks, messageCount } = await encoder.encode(value, selection, 0)
    expect([blocks.length, blocks[0]?.buffer === value.buffer, messageCount]).toEqual([2, true, 3])
    const found = envelopesOfBatch(Buffer.concat([batchHeader, ...blocks]))
    expect(found.map(({ properties }) => properties.t)).toEqual(['50', '60', '70'])
  })

  test('what is copied from several blocks is as few blocks as have room for it', async () => {
    const large = (t: number) => ({
      ...hot(t),
      body: Buffer.from(`{"t":${t},"x":"${randomBytes(75_000).toString('hex')}"}`),
    })
    const value = batchOfBlocks([
      [large(50), large(10), large(51)],
      [large(52), large(11), large(53)],
      [large(12), large(54)],
    ])
    const selection = await selectorOf(['$body.t > 30']).select(value, 'telemetry')
    const selected = batchOf(await encoder.encode(value, selection, 0))
    const blocks = blocksIn(selected)
    if (typeof blocks === 'string') return expect.fail(blocks)
    expect(blocks.map(({ messageCount }) => messageCount)).toEqual([3, 2])
    expect(envelopesOfBatch(selected).map(({ properties }) => properties.t)).toEqual(['50', '51', '52', '53', '54'])
  })

  test('a block is filled to its last byte, and no further', async () => {
    const half = limits.blockBytesMax / 2
    const ofLength = (length: number) => {
      const empty = envelopeBytes(hot(50)).length
      const body = Buffer.from('{"t":50}'.padEnd(length - empty + 8 - 2))
      return { ...hot(50), body }
    }
    for (const [beyond, blockCount] of [
      [0, 1],
      [1, 2],
    ] as const) {
      const pair = [ofLength(half), ofLength(half + beyond)]
      expect(pair.map((envelope) => envelopeBytes(envelope).length)).toEqual([half, half + beyond])
      const value = batchOfBlocks(pair.map((envelope) => [envelope, hot(10)]))
      const selection = await selectorOf(['$body.t > 30']).select(value, 'telemetry')
      const selected = batchOf(await encoder.encode(value, selection, 0))
      expect(blocksIn(selected)).toHaveLength(blockCount)
      expect(envelopesOfBatch(selected).map(({ body }) => body.length)).toEqual(pair.map(({ body }) => body.length))
    }
  })

  test('a message that stamps make larger than a message may be is told, and is in no block', async () => {
    const key = 'tag'
    const value = 'x'.repeat(100)
    const enricher = new Enricher([{ key, value }], 'hub')
    const stamping = new SelectedEncoder({ compressor, enricher })
    const largest = limits.bodyBytesMax - Buffer.byteLength(key + value)
    const envelopes = [largest, largest + 1].map((length) => message({ body: Buffer.alloc(length), properties: {} }))
    const record = batchOfBlocks(envelopes.map((envelope) => [envelope]))
    const selection = await selectorOf(['true'], ['e0']).select(record, 'telemetry')
    const selected = await stamping.encode(record, selection, 0)
    expect(selected).toMatchObject({ messageCount: 1, tooLarge: [1] })
    expect(envelopesOfBatch(batchOf(selected)).map(({ body }) => body.length)).toEqual([largest])
    expect(Array.from(selectedMessages(selection, 0, enricher), ({ isTooLarge }) => isTooLarge)).toEqual([false, true])
  })

  test('stamps that make a message larger than a block are told too', async () => {
    // Properties that count for nothing, since they have neither names nor values, fill a block.
    const count = limits.blockBytesMax / 2 - 50
    const head = envelopeBytes(message({ body: Buffer.alloc(0) })).subarray(0, -2)
    const envelope = Buffer.concat([head, longBytes(count), Buffer.alloc(2 * count), Buffer.from([0, 0])])
    const record = batchFromBlock(1, zstdCompressSync(envelope))
    const selection = await selectorOf(['true'], ['e0']).select(record, 'telemetry')
    const tooLargeWith = async (value: string) => {
      const enricher = new Enricher([{ key: 'tag', value }], 'hub')
      return (await new SelectedEncoder({ compressor, enricher }).encode(record, selection, 0)).tooLarge
    }
    expect(await tooLargeWith('x')).toEqual([])
    expect(await tooLargeWith('x'.repeat(100))).toEqual([0])
  })

  test('bytes that are no characters stay what they are beside a stamp', async () => {
    const envelope = envelopeBytes(message({ properties: { raw: 'ab' } }))
    envelope.write('\xff\xfe', envelope.indexOf('ab'), 'latin1')
    const record = batchFromBlock(1, zstdCompressSync(envelope))
    const selection = await selectorOf(['true'], ['e0']).select(record, 'telemetry')
    const enricher = new Enricher([{ key: 'tag', value: '$iothubname' }], 'hub')
    const selected = await new SelectedEncoder({ compressor, enricher }).encode(record, selection, 0)
    const [block] = blocksIn(batchOf(selected)) as BatchBlock[]
    const plain = zstdDecompressSync(batchOf(selected).subarray(block?.frameStart, block?.frameEnd))
    expect(plain.includes(Buffer.from('\xff\xfe', 'latin1'))).toBe(true)
    expect(envelopesOfBatch(batchOf(selected))[0]?.properties).toEqual({ raw: '\ufffd\ufffd', tag: 'hub' })
  })
})
