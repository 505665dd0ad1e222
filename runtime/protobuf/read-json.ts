/** Reads protobuf messages as JSON has them (protobuf.dev, "ProtoJSON Format"). Names that a shape does not have are left out. */
import { limits } from '#schemas/limits.ts'
import { isWithinDepth } from '../json-depth.ts'
import { isInt64Text, isUint64Text } from '../nanoseconds.ts'
import { MalformedMessage, type MessageShape, type NamedField, type Scalar } from './shape.ts'

/** Objects and lists: two for each message. */
const jsonDepthMax = 2 * limits.protobufDepthMax

/** @throws MalformedMessage */
export function readJsonMessage<T extends object>(shape: MessageShape<T>, json: Buffer): T {
  if (!isWithinDepth(json, jsonDepthMax))
    throw new MalformedMessage(`objects and lists within one another, more than ${jsonDepthMax} deep`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
  } catch {
    throw new MalformedMessage('it is no JSON in UTF-8')
  }
  return new JsonReader().message(shape, value, '') as T
}

class JsonReader {
  #fields = 0

  message(shape: MessageShape<object>, value: unknown, where: string): object {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fault(where, 'is no object')
    const given = value as Readonly<Record<string, unknown>>
    const message: Record<string, unknown> = {}
    for (const field of shape.fields) {
      const own = Object.hasOwn(given, field.name) ? given[field.name] : undefined
      if (own === undefined || own === null) continue
      message[field.name] = this.#field(field, own, `${where}.${field.name}`)
    }
    return message
  }

  #field({ kind, isList }: NamedField, value: unknown, where: string): unknown {
    if (!isList) return this.#value(kind, value, where)
    if (!Array.isArray(value)) throw fault(where, 'is no list')
    return value.map((item: unknown, index) => this.#value(kind, item, `${where}[${index}]`))
  }

  #value(kind: NamedField['kind'], value: unknown, where: string): unknown {
    if (++this.#fields > limits.protobufFieldsMax)
      throw new MalformedMessage(`more than ${limits.protobufFieldsMax} fields`)
    if (typeof kind !== 'string') return this.message(kind, value, where)
    const read = scalarFrom(kind, value)
    if (read === undefined) throw fault(where, `is no ${kind}`)
    return read
  }
}

function fault(where: string, what: string): MalformedMessage {
  return new MalformedMessage(`${where === '' ? 'the message' : where.slice(1)} ${what}`)
}

/** `undefined`: the value is none of this kind. */
function scalarFrom(kind: Scalar, value: unknown): unknown {
  switch (kind) {
    case 'string':
      return typeof value === 'string' ? value : undefined
    case 'bool':
      return typeof value === 'boolean' ? value : undefined
    case 'bytes':
      return bytesFrom(value, 'base64', /^[A-Za-z0-9+/_-]*={0,2}$/)
    case 'id':
      return bytesFrom(value, 'hex', /^([0-9A-Fa-f]{2})*$/)
    case 'double':
    case 'float':
      return doubleFrom(value)
    case 'int32':
    case 'sint32':
      return wholeFrom(value, -0x8000_0000, 0x7fff_ffff)
    case 'uint32':
    case 'fixed32':
      return wholeFrom(value, 0, 0xffff_ffff)
    case 'int64':
    case 'sfixed64':
      return longFrom(value, isInt64Text)
    case 'uint64':
    case 'fixed64':
      return longFrom(value, isUint64Text)
  }
}

function bytesFrom(value: unknown, encoding: 'base64' | 'hex', pattern: RegExp): Buffer | undefined {
  return typeof value === 'string' && pattern.test(value) ? Buffer.from(value, encoding) : undefined
}

const notFinite: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])

function doubleFrom(value: unknown): number | undefined {
  const known = notFinite.get(value)
  if (known !== undefined) return known
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

function wholeFrom(value: unknown, min: number, max: number): number | undefined {
  const number = doubleFrom(value)
  return number !== undefined && Number.isInteger(number) && number >= min && number <= max ? number : undefined
}

/** As a number it has lost digits before, if it had too many. */
function longFrom(value: unknown, isOne: (text: string) => boolean): string | undefined {
  const text = typeof value === 'number' && Number.isInteger(value) ? String(BigInt(value)) : value
  return typeof text === 'string' && isOne(text) ? String(BigInt(text.replace('+', ''))) : undefined
}
