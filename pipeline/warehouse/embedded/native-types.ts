/**
 * Finds the length of a column's data in the Native format. For most types it follows from the type. For Dynamic and JSON a prefix tells
 * which types follow:
 *
 *   Variant   mode, 8 · [data:] discriminators, rows × 1 (ff is NULL) · values of each type, in the order of their names
 *   Dynamic   version, 8 · [most types, varint: version 1] · types: count, names · Variant of them and SharedVariant, a String
 *   JSON      version, 8 · [most paths, varint: version 0] · paths: count, names · prefixes · [data:] typed paths, in the order of their
 *             names · a Dynamic for each of the paths above · all other paths as Array(Tuple(String, String))
 *
 * Source: the serializations in ClickHouse src/DataTypes/Serializations.
 */
import { EngineError } from './engine-error.ts'

/** Thrown by a cursor at the end of its bytes. */
export const notWhole = new Error('more bytes are needed')

export class Cursor {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  skip(count: number): void {
    if (this.at + count > this.bytes.length) throw notWhole
    this.at += count
  }

  varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      if (this.at >= this.bytes.length) throw notWhole
      const byte = this.bytes[this.at] ?? 0
      this.at += 1
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  text(): string {
    const length = this.varint()
    const start = this.at
    this.skip(length)
    return this.bytes.toString('utf8', start, this.at)
  }

  take(count: number): Buffer {
    const start = this.at
    this.skip(count)
    return this.bytes.subarray(start, this.at)
  }

  texts(): string[] {
    const count = this.varint()
    const found: string[] = []
    while (found.length < count) found.push(this.text())
    return found
  }

  uint64(): number {
    this.skip(8)
    return Number(this.bytes.readBigUInt64LE(this.at - 8))
  }
}

/** Skips prefix and data of a column. @throws notWhole; EngineError 48 for a type whose length is not known here */
export function stepColumn(type: string, rows: number, cursor: Cursor): void {
  stepData(afterPrefix(typeOf(type), cursor), rows, cursor)
}

/** How to skip the data of a column, once its prefix is read. */
type Layout =
  | { readonly kind: 'fixed'; readonly width: number }
  | { readonly kind: 'text' }
  | { readonly kind: 'nullable'; readonly inner: Layout }
  | { readonly kind: 'lists'; readonly parts: readonly Layout[] }
  | { readonly kind: 'together'; readonly parts: readonly Layout[] }
  | { readonly kind: 'variant'; readonly variants: readonly Layout[] }
  | { readonly kind: 'dictionary'; readonly keys: Layout }

interface NativeType {
  readonly name: string
  readonly parameters: readonly string[]
}

const widths: ReadonlyMap<string, number> = new Map([
  ...['Int8', 'UInt8', 'Bool', 'Enum8', 'Nothing'].map((name) => [name, 1] as const),
  ...['Int16', 'UInt16', 'Enum16', 'Date', 'BFloat16'].map((name) => [name, 2] as const),
  ...['Int32', 'UInt32', 'Float32', 'Date32', 'DateTime', 'IPv4', 'Time', 'Decimal32'].map(
    (name) => [name, 4] as const,
  ),
  ...['Int64', 'UInt64', 'Float64', 'DateTime64', 'Time64', 'Decimal64'].map((name) => [name, 8] as const),
  ...['Int128', 'UInt128', 'UUID', 'IPv6', 'Decimal128'].map((name) => [name, 16] as const),
  ...['Int256', 'UInt256', 'Decimal256'].map((name) => [name, 32] as const),
])

/** Aliases of types. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['Point', 'Tuple(Float64, Float64)'],
  ['Ring', 'Array(Point)'],
  ['LineString', 'Array(Point)'],
  ['Polygon', 'Array(Ring)'],
  ['MultiLineString', 'Array(LineString)'],
  ['MultiPolygon', 'Array(Polygon)'],
  ['Geometry', 'Variant(LineString, MultiLineString, MultiPolygon, Point, Polygon, Ring)'],
])

function widthOf({ name, parameters }: NativeType): number | undefined {
  if (name === 'FixedString') return Number(parameters[0])
  if (name === 'Decimal') {
    const digits = Number(parameters[0])
    return digits <= 9 ? 4 : digits <= 18 ? 8 : digits <= 38 ? 16 : 32
  }
  // One bit of all numbers, then the next bit, each in as many bytes as the bits need.
  if (name === 'QBit') return 8 * (widths.get(parameters[0] ?? '') ?? 0) * Math.ceil(Number(parameters[1]) / 8)
  return name.startsWith('Interval') ? 8 : widths.get(name)
}

/** Skips the prefix of a column. It has the order of the types inside the column's type. */
function afterPrefix(type: NativeType, cursor: Cursor): Layout {
  const width = widthOf(type)
  if (width !== undefined) return { kind: 'fixed', width }
  const inner = (texts: readonly string[]): Layout[] => texts.map((text) => afterPrefix(typeOf(text), cursor))
  const only = (texts: readonly string[]): Layout => afterPrefix(typeOf(texts.at(-1) ?? ''), cursor)
  const { name, parameters } = type
  switch (name) {
    case 'String':
      return { kind: 'text' }
    case 'Nullable':
      return { kind: 'nullable', inner: only(parameters) }
    case 'SimpleAggregateFunction':
      return only(parameters)
    case 'Array':
    case 'Map':
      return { kind: 'lists', parts: inner(parameters) }
    case 'Nested':
      return { kind: 'lists', parts: inner(parameters.map(withoutElementName)) }
    case 'Tuple':
      return { kind: 'together', parts: inner(parameters.map(withoutElementName)) }
    case 'LowCardinality': {
      cursor.skip(8)
      const keys = only(parameters)
      return { kind: 'dictionary', keys: keys.kind === 'nullable' ? keys.inner : keys }
    }
    case 'Variant':
      if (cursor.uint64() !== 0) throw unknownType('Variant of a compact form')
      return { kind: 'variant', variants: inner(parameters) }
    case 'Dynamic':
      return afterDynamicPrefix(cursor)
    case 'JSON':
      return afterJsonPrefix(type, cursor)
    default:
      throw unknownType(name)
  }
}

function afterDynamicPrefix(cursor: Cursor): Layout {
  const version = cursor.uint64()
  if (version !== 1 && version !== 2) throw unknownType(`Dynamic of version ${version}`)
  if (version === 1) cursor.varint()
  const types = [...cursor.texts(), sharedVariant].sort()
  const isBasic = cursor.uint64() === 0
  if (!isBasic) throw unknownType('Dynamic of a compact form')
  return {
    kind: 'variant',
    variants: types.map((text) => (text === sharedVariant ? { kind: 'text' } : afterPrefix(typeOf(text), cursor))),
  }
}

function afterJsonPrefix({ parameters }: NativeType, cursor: Cursor): Layout {
  const version = cursor.uint64()
  if (version === 1) return { kind: 'text' }
  if (version !== 0 && version !== 2) throw unknownType(`JSON of version ${version}`)
  if (version === 0) cursor.varint()
  const paths = cursor.texts()
  const typed = parameters.flatMap(typedPath).sort(([left], [right]) => (left < right ? -1 : 1))
  const typedLayouts = typed.map(([, text]) => afterPrefix(typeOf(text), cursor))
  const dynamicLayouts = paths.map(() => afterDynamicPrefix(cursor))
  const shared: Layout = { kind: 'lists', parts: [{ kind: 'text' }, { kind: 'text' }] }
  return { kind: 'together', parts: [...typedLayouts, ...dynamicLayouts, shared] }
}

/** Path and type of a parameter of JSON(…); the others are `max_dynamic_paths = 9`, `SKIP a.b` and `SKIP REGEXP 'a'`. */
function typedPath(parameter: string): [path: string, type: string][] {
  const [, quoted, bare, type] = /^(?:`((?:[^`\\]|\\.)*)`|([\w.]+))\s+(.+)$/s.exec(parameter) ?? []
  if (type === undefined || bare === 'SKIP' || type.startsWith('=')) return []
  return [[quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '', type]]
}

const sharedVariant = 'SharedVariant'

const nullDiscriminator = 0xff

function stepData(layout: Layout, rows: number, cursor: Cursor): void {
  if (rows === 0) return
  switch (layout.kind) {
    case 'fixed':
      cursor.skip(layout.width * rows)
      return
    case 'text':
      for (let row = 0; row < rows; row += 1) cursor.skip(cursor.varint())
      return
    case 'nullable':
      cursor.skip(rows)
      stepData(layout.inner, rows, cursor)
      return
    case 'lists': {
      cursor.skip(8 * (rows - 1))
      const elements = cursor.uint64()
      for (const part of layout.parts) stepData(part, elements, cursor)
      return
    }
    case 'together':
      for (const part of layout.parts) stepData(part, rows, cursor)
      return
    case 'variant': {
      const counts = new Uint32Array(nullDiscriminator + 1)
      for (const discriminator of cursor.take(rows)) counts[discriminator] = (counts[discriminator] ?? 0) + 1
      for (const [index, variant] of layout.variants.entries()) stepData(variant, counts[index] ?? 0, cursor)
      return
    }
    case 'dictionary': {
      const flags = cursor.uint64()
      stepData(layout.keys, cursor.uint64(), cursor)
      cursor.skip(2 ** (flags % 4) * cursor.uint64())
    }
  }
}

function unknownType(name: string): EngineError {
  const advice =
    name === 'AggregateFunction' ? 'finalizeAggregation() gives its value, hex() its bytes' : 'ask for another format'
  return new EngineError(
    48,
    'NOT_IMPLEMENTED',
    `Type ${name} in the Native format of this client's protocol revision: ${advice}`,
  )
}

function withoutElementName(text: string): string {
  return /^(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")\s+(?=[A-Z])/.exec(text) === null
    ? text
    : text.replace(/^(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")\s+/, '')
}

function typeOf(text: string): NativeType {
  const alias = aliases.get(text)
  if (alias !== undefined) return typeOf(alias)
  const open = text.indexOf('(')
  if (open < 0) return { name: text.trim(), parameters: [] }
  const parameters: string[] = []
  let depth = 0
  let start = open + 1
  let quote = ''
  for (let at = open; at < text.length; at += 1) {
    const character = text.charAt(at)
    if (quote !== '') {
      if (character === '\\') at += 1
      else if (character === quote) quote = ''
    } else if (character === "'" || character === '`' || character === '"') quote = character
    else if (character === '(') depth += 1
    else if (character === ')') depth -= 1
    if (quote === '' && ((character === ',' && depth === 1) || (character === ')' && depth === 0))) {
      parameters.push(text.slice(start, at).trim())
      start = at + 1
    }
  }
  return { name: text.slice(0, open).trim(), parameters }
}
