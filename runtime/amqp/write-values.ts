/**
 * Values of AMQP 1.0, written. A plain JavaScript value is what it looks like: a text is a string, bytes are binary, a `Date` is a
 * timestamp. Numbers and symbols must say which of AMQP's they are.
 */
import { assert } from '#runtime/assert.ts'

export type Value = null | boolean | string | Uint8Array | Date | Encoded | readonly Value[]

/** A value in its bytes. */
export class Encoded {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

export function ubyte(value: number): Encoded {
  return new Encoded(Buffer.from([0x50, value]))
}

export function ushort(value: number): Encoded {
  const bytes = Buffer.from([0x60, 0, 0])
  bytes.writeUInt16BE(value, 1)
  return new Encoded(bytes)
}

export function uint(value: number): Encoded {
  if (value === 0) return new Encoded(Buffer.from([0x43]))
  if (value < 256) return new Encoded(Buffer.from([0x52, value]))
  const bytes = Buffer.from([0x70, 0, 0, 0, 0])
  bytes.writeUInt32BE(value, 1)
  return new Encoded(bytes)
}

export function int(value: number): Encoded {
  if (value >= -128 && value < 128) return new Encoded(Buffer.from([0x54, value & 0xff]))
  const bytes = Buffer.from([0x71, 0, 0, 0, 0])
  bytes.writeInt32BE(value, 1)
  return new Encoded(bytes)
}

export function ulong(value: number): Encoded {
  if (value < 256) return new Encoded(Buffer.from([0x53, value]))
  return eightBytes(0x80, BigInt(value))
}

export function long(value: number): Encoded {
  if (value >= -128 && value < 128) return new Encoded(Buffer.from([0x55, value & 0xff]))
  return eightBytes(0x81, BigInt(value))
}

export function symbol(text: string): Encoded {
  return new Encoded(withLength(0xa3, 0xb3, Buffer.from(text, 'latin1')))
}

/** @param text in its usual form; the hyphens are left out */
export function uuid(text: string): Encoded {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex')
  assert(bytes.length === 16, 'a UUID has 16 bytes')
  return new Encoded(Buffer.concat([Buffer.from([0x98]), bytes]))
}

/** The keys are strings, symbols or what else the place asks for. */
export function mapOf(entries: Iterable<readonly [Value, Value]>): Encoded {
  const parts: Buffer[] = []
  for (const [key, value] of entries) parts.push(encode(key), encode(value))
  return new Encoded(compound(0xc1, 0xd1, parts))
}

export function symbolArray(texts: readonly string[]): Encoded {
  return arrayOf(
    0xb3,
    texts.map((text) => Buffer.from(text, 'latin1')),
  )
}

export function stringArray(texts: readonly string[]): Encoded {
  return arrayOf(
    0xb1,
    texts.map((text) => Buffer.from(text)),
  )
}

/** @param format that all items share, with a length of four bytes */
function arrayOf(format: number, items: readonly Buffer[]): Encoded {
  const parts: Buffer[] = [Buffer.from([format])]
  for (const item of items) parts.push(fourBytes(item.length), item)
  const content = Buffer.concat(parts)
  return new Encoded(
    Buffer.concat([Buffer.from([0xf0]), fourBytes(content.length + 4), fourBytes(items.length), content]),
  )
}

/** @param descriptor code of a type of the norm */
export function described(descriptor: number, value: Value): Encoded {
  return new Encoded(Buffer.concat([Buffer.from([0x00, 0x53, descriptor]), encode(value)]))
}

export function encode(value: Value): Buffer {
  if (value === null) return Buffer.from([0x40])
  if (value === true || value === false) return Buffer.from([value ? 0x41 : 0x42])
  if (value instanceof Encoded) return value.bytes
  if (typeof value === 'string') return withLength(0xa1, 0xb1, Buffer.from(value))
  if (value instanceof Date) return eightBytes(0x83, BigInt(value.getTime())).bytes
  if (value instanceof Uint8Array) return withLength(0xa0, 0xb0, value)
  return compound(0xc0, 0xd0, value.map(encode))
}

function withLength(short: number, long: number, bytes: Uint8Array): Buffer {
  const head =
    bytes.length < 256
      ? Buffer.from([short, bytes.length])
      : Buffer.concat([Buffer.from([long]), fourBytes(bytes.length)])
  return Buffer.concat([head, bytes])
}

function compound(short: number, long: number, parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  if (content.length + 1 < 256 && parts.length < 256)
    return Buffer.concat([Buffer.from([short, content.length + 1, parts.length]), content])
  return Buffer.concat([Buffer.from([long]), fourBytes(content.length + 4), fourBytes(parts.length), content])
}

function eightBytes(format: number, value: bigint): Encoded {
  const bytes = Buffer.alloc(9)
  bytes[0] = format
  if (format === 0x80) bytes.writeBigUInt64BE(value, 1)
  else bytes.writeBigInt64BE(value, 1)
  return new Encoded(bytes)
}

function fourBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
