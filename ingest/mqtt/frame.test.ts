import { expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { limits } from '#schemas/limits.ts'
import { frameBytesOf } from './frame.ts'
import { bytes, packet, rawConnect, text, twoBytes, variableInteger } from './raw-packets-fixture.ts'

const tooLarge = expect.objectContaining({ code: 'INGEST_FRAME_TOO_LARGE' })
const lengthOf = (length: number, first = 0x30) => Buffer.concat([bytes(first), variableInteger(length)])

test.each([
  ['a PUBLISH', 5, 0x30, limits.packetBytesMax],
  ['a CONNECT', undefined, 0x10, limits.connectPacketBytesMax],
] as const)('%s of exactly the limit is a packet, one byte more is not', (_what, version, first, most) => {
  const header = lengthOf(most, first)
  expect(frameBytesOf(header, 0, header.length, version)).toBe(header.length + most)
  const more = lengthOf(most + 1, first)
  expect(() => frameBytesOf(more, 0, more.length, version)).toThrow(tooLarge)
})

test.each([0, 1, 127, 128, 16_383, 16_384, limits.packetBytesMax])(
  'a length of %i is known once its last byte is there',
  (length) => {
    const header = lengthOf(length)
    for (let cut = 1; cut < header.length; cut++) expect(frameBytesOf(header, 0, cut, 4)).toBe(0)
    expect(frameBytesOf(header, 0, header.length, 4)).toBe(header.length + length)
  },
)

/** A PUBLISH of QoS 1 whose remaining length is given; its body is within its limit, since user properties fill the rest. */
function publishOf(remainingBytes: number): Buffer {
  const topic = text('devices/d1/messages/events/')
  const body = Buffer.alloc(limits.bodyBytesMax, 1)
  const propertyBytes = remainingBytes - topic.length - 2 - body.length - 3
  const value = Buffer.alloc(propertyBytes - 6, 'v')
  const user = Buffer.concat([bytes(0x26), text('k'), text(value)])
  expect(user.length).toBe(propertyBytes)
  return packet(0x32, topic, twoBytes(1), variableInteger(propertyBytes), user, body)
}

test.each([1, 7, 100_000, limits.packetBytesMax + 4])(
  'a packet of exactly the limit is taken whole, its first %i bytes and then the rest; one byte more ends the connection',
  async (cut) => {
    const largest = publishOf(limits.packetBytesMax)
    const fixture = edgeFixture()
    const { connection, transport } = fixture.connect()
    connection.onChunk(rawConnect(5))
    connection.onChunk(largest.subarray(0, cut))
    connection.onChunk(largest.subarray(cut))
    await fixture.settle()
    expect(transport.ended).toBe(false)
    expect(fixture.log.envelopes().map(({ body }) => body.length)).toEqual([limits.bodyBytesMax])
    expect(transport.written.at(-1)?.toString('hex')).toBe('40020001')
    const more = publishOf(limits.packetBytesMax + 1)
    connection.onChunk(more.subarray(0, cut))
    connection.onChunk(more.subarray(cut))
    expect(transport.ended).toBe(true)
    expect(transport.written.at(-1)?.subarray(0, 1).toString('hex')).toBe('e0')
    expect(transport.written.at(-1)?.[2]).toBe(0x95)
  },
)

test('what came behind a CONNECT waits for its decision up to a largest packet with its header, and not beyond', () => {
  for (const [more, ended] of [
    [0, false],
    [1, true],
  ] as const) {
    const { connection, transport } = edgeFixture({ authenticate: () => new Promise(() => {}) }).connect()
    connection.onChunk(Buffer.concat([rawConnect(4), bytes(0xc0)]))
    connection.onChunk(Buffer.alloc(limits.packetBytesMax + 5 - 1 + more))
    expect(transport.ended).toBe(ended)
  }
})

test('a packet of two bytes that is cut between them is read with its second byte, not with what follows', () => {
  const { connection, transport } = edgeFixture().connect()
  connection.onChunk(rawConnect(4))
  connection.onChunk(bytes(0xc0))
  connection.onChunk(bytes(0x00))
  expect(transport.written.at(-1)?.toString('hex')).toBe('d000')
  connection.onChunk(bytes(0xe0))
  connection.onChunk(bytes(0x00))
  expect(transport.ended).toBe(true)
})
