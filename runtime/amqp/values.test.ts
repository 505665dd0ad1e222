/** The codec against `rhea`, which nobody here wrote, and against bytes that lie. */
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { frame, frameBytesOf, performatives } from './frames.ts'
import { ReadMessage, writeMessage } from './message.ts'
import { rawField, readFrame } from './performative.ts'
import { DescribedValue, endOfValue, type ReadValue, ValueReader } from './read-values.ts'
import {
  encode,
  int,
  long,
  mapOf,
  symbol,
  symbolArray,
  ubyte,
  uint,
  ulong,
  ushort,
  uuid,
  type Value,
} from './write-values.ts'

const rhea = createRequire(import.meta.url)('rhea')
const rheaTypes = createRequire(import.meta.url)('rhea/lib/types.js')

function read(bytes: Buffer): ReadValue {
  const reader = new ValueReader(bytes, 0, bytes.length)
  const value = reader.next()
  expect([reader.at, endOfValue(bytes, 0, bytes.length)]).toEqual([bytes.length, bytes.length])
  return value
}

function rheaWrites(value: unknown): Buffer {
  const writer = new rheaTypes.Writer()
  writer.write(rheaTypes.wrap(value))
  return Buffer.from(writer.toBuffer())
}

function rheaReads(bytes: Buffer): unknown {
  return rheaTypes.unwrap(new rheaTypes.Reader(bytes).read())
}

describe('values', () => {
  test.each<[string, unknown, ReadValue]>([
    ['null', null, null],
    ['true', true, true],
    ['false', false, false],
    ['ubyte', rheaTypes.wrap_ubyte(200), 200],
    ['ushort', rheaTypes.wrap_ushort(60_000), 60_000],
    ['uint 0', rheaTypes.wrap_uint(0), 0],
    ['small uint', rheaTypes.wrap_uint(255), 255],
    ['uint', rheaTypes.wrap_uint(4_294_967_295), 4_294_967_295],
    ['small ulong', rheaTypes.wrap_ulong(36), 36],
    ['ulong', rheaTypes.wrap_ulong(2 ** 52), 2 ** 52],
    ['byte', rheaTypes.wrap_byte(-7), -7],
    ['short', rheaTypes.wrap_short(-30_000), -30_000],
    ['int', rheaTypes.wrap_int(-70_000), -70_000],
    ['small int', rheaTypes.wrap_int(-1), -1],
    ['long', rheaTypes.wrap_long(-(2 ** 40)), -(2 ** 40)],
    ['float', rheaTypes.wrap_float(1.5), 1.5],
    ['double', rheaTypes.wrap_double(Math.PI), Math.PI],
    ['timestamp', rheaTypes.wrap_timestamp(1_700_000_000_000), new Date(1_700_000_000_000)],
    ['string', 'grün ✓', 'grün ✓'],
    ['long string', 'x'.repeat(70_000), 'x'.repeat(70_000)],
    ['symbol', rheaTypes.wrap_symbol('amqp:accepted:list'), 'amqp:accepted:list'],
    ['binary', rheaTypes.wrap_binary(Buffer.from([1, 2])), Buffer.from([1, 2])],
    ['list', rheaTypes.wrap_list([1, 'a', null]), [1, 'a', null]],
    [
      'map',
      rheaTypes.wrap_map({ a: 'b', c: rheaTypes.wrap_uint(3) }),
      new Map<ReadValue, ReadValue>([
        ['a', 'b'],
        ['c', 3],
      ]),
    ],
    ['array of symbols', rheaTypes.wrap_array(['a', 'b'], 0xa3), ['a', 'b']],
    [
      'described',
      rheaTypes.described(rheaTypes.wrap_ulong(0x24), rheaTypes.wrap_list([])),
      new DescribedValue(0x24, []),
    ],
  ])('that rhea writes are read: %s', (_name, value, expected) => {
    expect(read(rheaWrites(value))).toEqual(expected)
  })

  test.each([
    ['null', null],
    ['truth', true],
    ['ubyte', ubyte(200), 200],
    ['ushort', ushort(60_000), 60_000],
    ['uint', uint(70_000), 70_000],
    ['uint 0', uint(0), 0],
    ['ulong', ulong(2 ** 40), 2 ** 40],
    ['int', int(-70_000), -70_000],
    ['small int', int(200), 200],
    ['long', long(-(2 ** 40)), -(2 ** 40)],
    ['string', 'grün ✓'],
    ['long string', 'x'.repeat(300)],
    ['symbol', symbol('a:b'), 'a:b'],
    ['list', ['a', null, true]],
    ['long list', Array.from({ length: 300 }, () => 'x')],
  ] as readonly (readonly [string, Value, unknown?])[])(
    'that are written are read by rhea, and here: %s',
    (_name, value, expected) => {
      const bytes = encode(value as Value)
      expect(rheaReads(bytes)).toEqual(expected ?? value)
      expect(read(bytes)).toEqual(expected ?? value)
    },
  )

  test('of maps, arrays of symbols, bytes, moments and UUIDs are written as rhea reads them', () => {
    expect(rheaReads(encode(mapOf([['a', uint(1)]])))).toEqual({ a: 1 })
    expect(rheaReads(encode(symbolArray(['ANONYMOUS', 'PLAIN'])))).toEqual(['ANONYMOUS', 'PLAIN'])
    expect(Buffer.from(rheaReads(encode(Buffer.from('xy'))) as Buffer)).toEqual(Buffer.from('xy'))
    expect(rheaReads(encode(new Date(1_700_000_000_000)))).toEqual(new Date(1_700_000_000_000))
    const text = '00112233-4455-6677-8899-aabbccddeeff'
    expect(read(encode(uuid(text)))).toBe(text)
    expect(Buffer.from(rheaReads(encode(uuid(text))) as Buffer).toString('hex')).toBe(text.replaceAll('-', ''))
  })
})

describe('messages and frames', () => {
  test('a message that rhea encodes is read, one that is written is decoded by rhea', () => {
    const encoded: Buffer = rhea.message.encode({
      message_id: 'm-1',
      correlation_id: rhea.types.wrap_ulong(7),
      content_type: 'application/json',
      application_properties: { level: 3, name: 'x' },
      message_annotations: { 'x-opt': 'y' },
      body: rhea.message.data_section(Buffer.from('{"a":1}')),
    })
    const message = new ReadMessage(encoded, 0, encoded.length)
    expect([message.field('messageId'), message.field('contentType'), message.field('to')]).toEqual([
      'm-1',
      'application/json',
      null,
    ])
    expect(message.rawField('correlationId')?.bytes).toEqual(Buffer.from([0x53, 7]))
    expect([...message.applicationProperties]).toEqual([
      ['level', 3],
      ['name', 'x'],
    ])
    expect([...message.annotations]).toEqual([['x-opt', 'y']])
    expect(message.body.toString()).toBe('{"a":1}')
    const written = writeMessage({
      annotations: [[symbol('x-opt'), int(5)]],
      properties: { messageId: 'm', correlationId: message.rawField('correlationId') },
      applicationProperties: [['status-code', int(200)]],
      body: Buffer.from('hello'),
    })
    const decoded = rhea.message.decode(written)
    expect([
      decoded.message_id,
      decoded.correlation_id,
      decoded.application_properties,
      decoded.message_annotations,
    ]).toEqual(['m', 7, { 'status-code': 200 }, { 'x-opt': 5 }])
    expect(Buffer.from(decoded.body.content).toString()).toBe('hello')
  })

  test('a frame is read as it was written; fields that were left out are null', () => {
    const bytes = frame(3, performatives.open, ['container', 'host', uint(512)], Buffer.from('rest'))
    expect(frameBytesOf(bytes, 0, bytes.length, 1000)).toBe(bytes.length)
    const { performative, payloadStart } = readFrame(bytes, 0, bytes.length) ?? expect.fail()
    expect([
      performative.code,
      performative.text(0),
      performative.text(1),
      performative.number(2),
      performative.at(9),
    ]).toEqual([0x10, 'container', 'host', 512, null])
    expect(bytes.subarray(payloadStart).toString()).toBe('rest')
    expect(rawField(bytes, 0, bytes.length, 1)).toEqual(encode('host'))
    expect(rawField(bytes, 0, bytes.length, 5)).toBeUndefined()
    expect(readFrame(Buffer.from([0, 0, 0, 8, 2, 0, 0, 0]), 0, 8)).toBeUndefined()
  })
})

const bytes = (...all: number[]): Buffer => Buffer.from(all)
const nested = (depth: number): Buffer => {
  let value: Buffer = bytes(0x40)
  for (let level = 0; level < depth; level++) value = Buffer.concat([bytes(0xc0, value.length + 1, 1), value])
  return value
}

describe('lengths that lie', () => {
  test.each<[string, Buffer]>([
    ['nothing at all', bytes()],
    ['a constructor of no value', bytes(0x3f)],
    ['an unknown constructor', bytes(0x5f, 0)],
    ['a string beyond the end', bytes(0xa1, 5, 0x61)],
    ['a string of 4 GiB', bytes(0xb1, 0xff, 0xff, 0xff, 0xff, 0x61)],
    ['a list beyond the end', bytes(0xc0, 9, 1, 0x40)],
    ['a list of no size', bytes(0xc0, 0, 0)],
    ['a list with more values than bytes', bytes(0xc0, 2, 200, 0x40)],
    ['a list of 4 G values', bytes(0xd0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40)],
    ['a list that ends early', bytes(0xc0, 4, 1, 0x40, 0x40, 0x40)],
    ['a map with half an entry', bytes(0xc1, 2, 1, 0x40)],
    ['an array of 4 G values without width', bytes(0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40)],
    ['a described value without value', bytes(0x00, 0x53, 0x24)],
    ['a string that is not UTF-8', bytes(0xa1, 1, 0xff)],
    ['a character that is none', bytes(0x73, 0, 0, 0xd8, 0)],
    ['values too deep', nested(limits.amqpDepthMax + 1)],
    ['too many values', Buffer.concat([bytes(0xd0, 0, 0, 0x10, 4, 0, 0, 0x10, 0), Buffer.alloc(0x1000, 0x40)])],
    ['descriptors within descriptors', Buffer.alloc(10_000, 0)],
  ])('are refused, and nothing is made for them: %s', (_name, lying) => {
    expect(() => new ValueReader(lying, 0, lying.length).next()).toThrow(
      expect.objectContaining({ code: 'INGEST_FRAME_MALFORMED' }),
    )
  })

  test('what is as deep and as much as allowed is read', () => {
    expect(() => new ValueReader(nested(8), 0, nested(8).length).next()).not.toThrow()
  })

  test.each([
    [0, 'INGEST_FRAME_MALFORMED'],
    [7, 'INGEST_FRAME_MALFORMED'],
    [65_537, 'INGEST_FRAME_TOO_LARGE'],
    [0xffff_ffff, 'INGEST_FRAME_TOO_LARGE'],
  ])('a frame that says it has %i bytes is refused once its length is there', (length, code) => {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(length)
    expect(frameBytesOf(head, 0, 3, limits.amqpFrameBytesMax)).toBe(0)
    expect(() => frameBytesOf(head, 0, 4, limits.amqpFrameBytesMax)).toThrow(expect.objectContaining({ code }))
  })
})
