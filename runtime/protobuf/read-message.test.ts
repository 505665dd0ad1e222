import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { readJsonMessage } from './read-json.ts'
import { readMessage } from './read-message.ts'
import {
  aBool,
  aDouble,
  aFixed32,
  aFixed64,
  aFloat,
  aMessage,
  anId,
  anInt32,
  anInt64,
  anSfixed64,
  anUint32,
  anUint64,
  aSint32,
  aString,
  listOf,
  MalformedMessage,
  MessageShape,
  someBytes,
} from './shape.ts'

interface Sample {
  readonly text?: string
  readonly int?: number
  readonly uint?: number
  readonly zigzag?: number
  readonly flag?: boolean
  readonly long?: string
  readonly ulong?: string
  readonly fixed?: string
  readonly sfixed?: string
  readonly word?: number
  readonly single?: number
  readonly double?: number
  readonly bytes?: Buffer
  readonly id?: Buffer
  readonly numbers?: readonly number[]
  readonly fixes?: readonly string[]
  readonly child?: Sample
  readonly children?: readonly Sample[]
}

const sample: MessageShape<Sample> = new MessageShape(() => ({
  text: aString(1),
  int: anInt32(2),
  uint: anUint32(3),
  zigzag: aSint32(4),
  flag: aBool(5),
  long: anInt64(6),
  ulong: anUint64(7),
  fixed: aFixed64(8),
  sfixed: anSfixed64(9),
  word: aFixed32(10),
  single: aFloat(11),
  double: aDouble(12),
  bytes: someBytes(13),
  id: anId(14),
  numbers: listOf(anUint32(15)),
  fixes: listOf(aFixed64(16)),
  child: aMessage(17, sample),
  children: listOf(aMessage(18, sample)),
}))

const read = (hex: string) => readMessage(sample, Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const ff = 'ff'.repeat(9)

describe('a protobuf message', () => {
  test.each([
    ['nothing', '', {}],
    ['text', '0a 02 c3bc', { text: 'ü' }],
    ['int32, negative in ten bytes', `10 ${ff}01`, { int: -1 }],
    ['uint32', '18 ffffffff0f', { uint: 4294967295 }],
    ['sint32', '20 03', { zigzag: -2 }],
    ['bool', '28 01', { flag: true }],
    ['bool by its high half', '28 80808080808001', { flag: true }],
    ['int64', `30 ${ff}01`, { long: '-1' }],
    ['uint64', `38 ${ff}01`, { ulong: '18446744073709551615' }],
    ['fixed64', '41 0000000001000000', { fixed: '4294967296' }],
    ['sfixed64', `49 ${'ff'.repeat(8)}`, { sfixed: '-1' }],
    ['fixed32', '55 ffffffff', { word: 4294967295 }],
    ['float', '5d 0000c03f', { single: 1.5 }],
    ['double', '61 000000000000f83f', { double: 1.5 }],
    ['bytes', '6a 02 0001', { bytes: Buffer.from([0, 1]) }],
    ['id', '72 01 ab', { id: Buffer.from([0xab]) }],
    ['a list, packed and not', '7a 03 01ac02 78 05', { numbers: [1, 300, 5] }],
    [
      'a packed list of eight bytes each',
      `8201 10 ${'01'.padEnd(16, '0')}${'02'.padEnd(16, '0')}`,
      { fixes: ['1', '2'] },
    ],
    ['an empty packed list', '7a 00', { numbers: [] }],
    [
      'messages within',
      '8a01 02 2801 9201 00 9201 02 2800',
      { child: { flag: true }, children: [{}, { flag: false }] },
    ],
    ['of a field that comes twice the last', '10 01 10 02', { int: 2 }],
    [
      'unknown fields of each wire type',
      `a006 05 a106${'00'.repeat(8)} a206 01ff a506${'00'.repeat(4)} 1007`,
      { int: 7 },
    ],
  ])('of %s is read', (_, hex, message) => {
    expect(read(hex)).toEqual(message)
  })

  test.each([
    ['a field without a number', '00 01', 'a field without a number'],
    ['a number cut short', '10 80', 'it ends within a number'],
    ['a number of more than 64 bits', `10 ${ff}02`, 'a number of more than 64 bits'],
    ['a number of eleven bytes', `10 ${ff}8000`, 'a number of more than 64 bits'],
    ['a value cut short', '61 00', 'it ends within a value'],
    ['a length beyond the end', '0a 02 41', 'a length beyond the end'],
    ['a length beyond 32 bits', `0a ${ff}01`, 'a length beyond the end'],
    ['a length beyond the end of its message', '8a01 02 0a05 4141414141', 'a length beyond the end'],
    ['text that is not UTF-8', '0a 01 ff', 'text that is not UTF-8'],
    ['another wire type', '09 0000000000000000', 'text is of another wire type'],
    ['a number where a message should be', '880101', 'child is of another wire type'],
    ['a group', 'a306 a406', 'a group, or a wire type that there is not'],
    ['an unknown wire type', 'a706', 'a group, or a wire type that there is not'],
    ['a packed list cut short', '7a 01 80', 'it ends within a number'],
  ])('with %s is refused', (_, hex, reason) => {
    expect(() => read(hex)).toThrow(new MalformedMessage(reason))
  })

  test('is read as deep as its limit, and no deeper', () => {
    const nested = (depth: number) => {
      let bytes = Buffer.alloc(0)
      for (let level = 1; level < depth; level++) bytes = Buffer.concat([Buffer.from([0x8a, 1, bytes.length]), bytes])
      return bytes
    }
    expect(() => readMessage(sample, nested(limits.protobufDepthMax))).not.toThrow()
    expect(() => readMessage(sample, nested(limits.protobufDepthMax + 1))).toThrow(/more than 32 deep/)
  })

  test('of many fields is read up to the limit, packed or not [G-4]', () => {
    const children = (count: number) => Buffer.from('920100'.repeat(count), 'hex')
    expect(readMessage(sample, children(limits.protobufFieldsMax)).children?.length).toBe(limits.protobufFieldsMax)
    expect(() => readMessage(sample, children(limits.protobufFieldsMax + 1))).toThrow(/more than 400000 fields/)
    const packed = Buffer.concat([Buffer.from([0x7a, 0x81, 0xb5, 0x18]), Buffer.alloc(limits.protobufFieldsMax + 1)])
    expect(() => readMessage(sample, packed)).toThrow(/more than 400000 fields/)
  })

  test('keeps no copy of its bytes', () => {
    const bytes = Buffer.from('6a020001', 'hex')
    expect(readMessage(sample, bytes).bytes?.buffer).toBe(bytes.buffer)
  })
})

const fromJson = (value: unknown) => readJsonMessage(sample, Buffer.from(JSON.stringify(value)))

describe('the same as JSON', () => {
  test.each([
    [{ text: 'ü', unknown: { a: [] }, int: null }, { text: 'ü' }],
    [
      { int: -1, uint: '7', zigzag: -2, word: 1 },
      { int: -1, uint: 7, zigzag: -2, word: 1 },
    ],
    [
      { long: '-1', ulong: '18446744073709551615', fixed: 5 },
      { long: '-1', ulong: '18446744073709551615', fixed: '5' },
    ],
    [{ long: '+007' }, { long: '7' }],
    [
      { double: 'NaN', single: '-Infinity' },
      { double: Number.NaN, single: Number.NEGATIVE_INFINITY },
    ],
    [
      { double: '1e3', flag: false },
      { double: 1000, flag: false },
    ],
    [
      { bytes: 'AAE=', id: 'AbCd' },
      { bytes: Buffer.from([0, 1]), id: Buffer.from([0xab, 0xcd]) },
    ],
    [
      { numbers: [1, '2'], child: { text: 'a' }, children: [{}, { int: 1 }] },
      { numbers: [1, 2], child: { text: 'a' }, children: [{}, { int: 1 }] },
    ],
  ])('%j is read', (value, message) => {
    expect(fromJson(value)).toEqual(message)
  })

  test.each([
    [[], 'the message is no object'],
    [{ text: 1 }, 'text is no string'],
    [{ int: 1.5 }, 'int is no int32'],
    [{ int: 2147483648 }, 'int is no int32'],
    [{ uint: -1 }, 'uint is no uint32'],
    [{ long: '9223372036854775808' }, 'long is no int64'],
    [{ ulong: '-1' }, 'ulong is no uint64'],
    [{ long: 1.5 }, 'long is no int64'],
    [{ long: '0x10' }, 'long is no int64'],
    [{ double: '' }, 'double is no double'],
    [{ double: 'x' }, 'double is no double'],
    [{ flag: 'true' }, 'flag is no bool'],
    [{ bytes: '*' }, 'bytes is no bytes'],
    [{ id: 'abc' }, 'id is no id'],
    [{ numbers: 1 }, 'numbers is no list'],
    [{ children: [{}, { child: { numbers: [1, null] } }] }, 'children[1].child.numbers[1] is no uint32'],
    [{ child: [] }, 'child is no object'],
  ])('%j is refused', (value, reason) => {
    expect(() => fromJson(value)).toThrow(new MalformedMessage(reason))
  })

  test('names of the language are names that a shape does not have', () => {
    expect(readJsonMessage(sample, Buffer.from('{"__proto__":{"text":"x"},"constructor":1}'))).toEqual({})
  })

  test('what is deep or has many fields is refused before it costs much [G-4]', () => {
    const depth = 500_000
    expect(() => readJsonMessage(sample, Buffer.from('['.repeat(depth) + ']'.repeat(depth)))).toThrow(/deep$/)
    const many = Buffer.from(`{"numbers":[${'1,'.repeat(limits.protobufFieldsMax)}1]}`)
    expect(() => readJsonMessage(sample, many)).toThrow(/more than 400000 fields/)
  })
})
