import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { batchFromBlock, type Envelope, envelopeBytes, envelopesOfBatch, longBytes } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import { watchedBytes } from './watched-bytes-fixture.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)

const texts = ['', 'a', 'level', 'é😀', 'x'.repeat(63), 'y'.repeat(64), 'z'.repeat(300)]
const times = [0, 1, 63, 64, 1_790_000_000_000, 2 ** 52 - 1, -1, -1_000]

function randomEnvelope(random: SeededRandom): Envelope {
  const text = () => texts[random.below(texts.length)] as string
  const map = () => Object.fromEntries(Array.from({ length: random.below(4) }, (_, index) => [text() + index, text()]))
  return {
    deviceId: text(),
    enqueuedAtMs: times[random.below(times.length)] as number,
    body: Buffer.alloc([0, 1, 63, 64, 8_191, 8_192, 20_000][random.below(7)] as number, 'body'),
    properties: map(),
    systemProperties: map(),
  }
}

/** Watching costs much. */
const watchedBytesMax = 2_000

/** With the body as text: assertions compare texts at once, bytes one by one. */
type Read = Omit<Envelope, 'body'> & { readonly body: string }

/** All that the scan finds, as objects. */
function scanned(bytes: Uint8Array): Read[] {
  const scan = new EnvelopeScan()
  const block = bytes.length < watchedBytesMax ? watchedBytes(Buffer.from(bytes), 0, bytes.length) : Buffer.from(bytes)
  const entries = (start: number) => {
    const map: Record<string, string> = {}
    scan.enterMap(start)
    while (scan.nextEntry()) {
      map[block.toString('utf8', scan.keyStart, scan.keyEnd)] = block.toString('utf8', scan.valueStart, scan.valueEnd)
    }
    return map
  }
  const found: Read[] = []
  scan.open(block)
  while (scan.next()) {
    scan.readMaps()
    found.push({
      deviceId: block.toString('utf8', scan.idStart, scan.idEnd),
      enqueuedAtMs: scan.enqueuedAtMs(),
      body: block.toString('latin1', scan.bodyStart, scan.bodyEnd),
      properties: entries(scan.propertiesStart),
      systemProperties: entries(scan.systemStart),
    })
  }
  expect(scan.count).toBe(found.length)
  return found
}

/** What is read, or the refusal's text; anything else that is thrown fails the test. */
function outcome(read: () => Read[]): Read[] | string {
  try {
    return read()
  } catch (error) {
    if (isPenstockError(error) && error.code === 'BATCH_CORRUPT') return error.message
    throw error
  }
}

/** The same bytes where reading on behind them finds more, as in a larger buffer. */
function embedded(bytes: Uint8Array): Uint8Array {
  const larger = Buffer.alloc(bytes.length + 64, 0)
  larger.set(bytes, 32)
  return larger.subarray(32, 32 + bytes.length)
}

const decoded = (block: Uint8Array, count: number): Read[] =>
  envelopesOfBatch(batchFromBlock(count, zstdCompressSync(block))).map((envelope) => ({
    ...envelope,
    body: Buffer.from(envelope.body).toString('latin1'),
  }))

describe(`the scan of envelopes, SEED=${seed}`, () => {
  const random = seededRandom(seed)

  test('finds in any block what the Avro library finds', () => {
    for (let round = 0; round < 400; round++) {
      const envelopes = Array.from({ length: random.integer(1, 6) }, () => randomEnvelope(random))
      const block = Buffer.concat(envelopes.map(envelopeBytes))
      expect(scanned(embedded(block))).toEqual(decoded(block, envelopes.length))
    }
  })

  test('refuses a block that is cut anywhere but between two envelopes, and reads nothing behind it', () => {
    const parts = Array.from({ length: 3 }, () => envelopeBytes({ ...randomEnvelope(random), body: Buffer.alloc(70) }))
    const block = Buffer.concat(parts)
    const ends = new Set(parts.map((_, index) => Buffer.concat(parts.slice(0, index)).length))
    for (let length = 0; length < block.length; length++) {
      const result = outcome(() => scanned(block.subarray(0, length)))
      if (ends.has(length)) expect(result, `cut at ${length}`).toHaveLength([...ends].indexOf(length))
      else expect(result, `cut at ${length}`).toMatch(/^envelope [1-3] of a block, at byte \d+ of \d+: /)
    }
  })

  test('of damaged bytes it refuses with a reason, or finds what the Avro library finds', () => {
    let refused = 0
    for (let round = 0; round < 3_000; round++) {
      const small = { ...randomEnvelope(random), body: Buffer.from('{"a":1}') }
      const block = Buffer.concat([envelopeBytes(small), envelopeBytes({ ...small, deviceId: 'other' })])
      for (let change = random.below(3); change >= 0; change--) {
        block[random.below(block.length)] = [0, 1, 2, 3, 0x7f, 0x80, 0xff, random.below(256)][random.below(8)] as number
      }
      const result = outcome(() => scanned(embedded(block)))
      if (typeof result === 'string') refused++
      else expect(result).toEqual(decoded(block, result.length))
    }
    expect(refused).toBeGreaterThan(300)
  })

  const head = Buffer.concat([Buffer.from([2, 0x64]), longBytes(5), Buffer.from([0])])

  test('maps in several blocks, with and without their length in bytes, are read whole', () => {
    const entry = (key: string, value: string) =>
      Buffer.from([2 * key.length, ...Buffer.from(key), 2 * value.length, ...Buffer.from(value)])
    // Two blocks: one entry; then minus two entries, their eight bytes.
    const map = Buffer.concat([
      Buffer.from([2]),
      entry('a', '1'),
      Buffer.from([3, 16]),
      entry('b', '2'),
      entry('c', '3'),
      Buffer.from([0]),
    ])
    const block = Buffer.concat([head, map, Buffer.from([0])])
    expect(scanned(block)).toEqual(decoded(block, 1))
    expect(scanned(block)[0]?.properties).toEqual({ a: '1', b: '2', c: '3' })
  })

  test.each([
    ['a negative length', Buffer.from([1])],
    ['a length one beyond the end', Buffer.from([6, 1, 2])],
    ['a length of five bytes', Buffer.from([0x82, 0x80, 0x80, 0x80, 0x00])],
    ['a time of nine bytes', Buffer.from([0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0, 0])],
    ['a time that no number holds exactly', Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10, 0, 0, 0])],
    ['a map of as many entries as a long has', Buffer.concat([head, Buffer.from([0xfe, 0xff, 0xff, 0x7f])])],
    ['no second map', Buffer.concat([head, Buffer.from([0])])],
  ])('refuses %s', (_name, block) => {
    expect(outcome(() => scanned(block))).toMatch(/^envelope 1 of a block/)
  })
})
