/**
 * The Native format as a client with a protocol revision reads it (clickhouse-go, and so Grafana's data source, over HTTP with
 * `client_protocol_version`). The engine writes revision 0 only; the newer form adds two things and leaves the rest:
 *
 *   block = [block info: 01 overflows=00 02 bucket=ffffffff 00]      from revision 51903
 *           columns · rows · columns × ( name · type · [custom serialization = 00]  from revision 54454
 *                                        · data, absent if rows = 0 )
 *
 * To find where a column ends its data must be stepped over, so the sizes of all types are told here.
 * Source: ClickHouse src/Formats/NativeWriter.cpp and the serializations in src/DataTypes/Serializations.
 */
import { EngineError } from './engine-error.ts'

const blockInfoRevision = 51_903
const customSerializationRevision = 54_454
const blockInfo = Buffer.from([1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0])
const noCustomSerialization = Buffer.from([0])

/**
 * Rewrites a stream of Native blocks; holds one or two blocks.
 * @param onFault called as soon as nothing good can come any more; `source` is read to its end all the same
 * @throws EngineError 48 for a type it can't step over, after the end of `source`
 */
export async function* nativeAtRevision(
  source: AsyncIterable<Buffer>,
  revision: number,
  onFault: (fault: unknown) => void,
): AsyncGenerator<Buffer, void> {
  let parts: Buffer[] = []
  let length = 0
  let nextLook = 0
  let fault: unknown
  for await (const chunk of source) {
    if (fault !== undefined) continue // the source must be read to its end whatever happens
    parts.push(chunk)
    length += chunk.length
    if (length < nextLook) continue
    let rest: Buffer = Buffer.concat(parts)
    try {
      while (true) {
        const block = rewrittenBlock(rest, revision)
        if (!block) break
        yield* block.pieces
        rest = rest.subarray(block.end)
      }
    } catch (error) {
      fault = error
      onFault(error)
    }
    parts = [rest]
    length = rest.length
    nextLook = length * 2
  }
  let rest: Buffer = Buffer.concat(parts)
  while (fault === undefined && rest.length > 0) {
    const block = rewrittenBlock(rest, revision)
    if (!block) throw new EngineError(33, 'CANNOT_READ_ALL_DATA', 'The result ended within a block')
    yield* block.pieces
    rest = rest.subarray(block.end)
  }
  if (fault !== undefined) throw fault
}

/** The first block of `bytes` as pieces of the new form; `undefined` if it is not whole. */
function rewrittenBlock(bytes: Buffer, revision: number): { pieces: Buffer[]; end: number } | undefined {
  if (bytes.length === 0) return undefined
  const cursor = new Cursor(bytes)
  const pieces: Buffer[] = revision >= blockInfoRevision ? [blockInfo] : []
  try {
    let start = 0
    const columns = cursor.varint()
    const rows = cursor.varint()
    for (let column = 0; column < columns; column += 1) {
      cursor.text()
      const type = typeOf(cursor.text())
      if (revision >= customSerializationRevision) {
        pieces.push(bytes.subarray(start, cursor.at), noCustomSerialization)
        start = cursor.at
      }
      if (rows === 0) continue
      stepPrefix(type, cursor)
      stepData(type, rows, cursor)
    }
    pieces.push(bytes.subarray(start, cursor.at))
    return { pieces, end: cursor.at }
  } catch (error) {
    if (error === notWhole) return undefined
    throw error
  }
}

const notWhole = new Error('more bytes are needed')

class Cursor {
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

  uint64(): number {
    this.skip(8)
    return Number(this.bytes.readBigUInt64LE(this.at - 8))
  }
}

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
  ...['Int128', 'UInt128', 'UUID', 'IPv6', 'Decimal128', 'Point'].map((name) => [name, 16] as const),
  ...['Int256', 'UInt256', 'Decimal256'].map((name) => [name, 32] as const),
])

function widthOf({ name, parameters }: NativeType): number | undefined {
  if (name === 'FixedString') return Number(parameters[0])
  if (name === 'Decimal') {
    const digits = Number(parameters[0])
    return digits <= 9 ? 4 : digits <= 18 ? 8 : digits <= 38 ? 16 : 32
  }
  return name.startsWith('Interval') ? 8 : widths.get(name)
}

function stepPrefix(type: NativeType, cursor: Cursor): void {
  if (type.name === 'LowCardinality') cursor.skip(8)
  else for (const inner of innerTypes(type)) stepPrefix(inner, cursor)
}

function stepData(type: NativeType, rows: number, cursor: Cursor): void {
  const width = widthOf(type)
  const [first] = innerTypes(type)
  if (width !== undefined) cursor.skip(width * rows)
  else if (type.name === 'String') for (let row = 0; row < rows; row += 1) cursor.skip(cursor.varint())
  else if (type.name === 'Nullable' && first) {
    cursor.skip(rows)
    stepData(first, rows, cursor)
  } else if (type.name === 'Array' || type.name === 'Map' || type.name === 'Nested') {
    let elements = 0
    if (rows > 0) {
      cursor.skip(8 * (rows - 1))
      elements = cursor.uint64()
    }
    for (const inner of innerTypes(type)) stepData(inner, elements, cursor)
  } else if (type.name === 'LowCardinality' && first) stepLowCardinality(first, rows, cursor)
  else for (const inner of innerTypes(type)) stepData(inner, rows, cursor)
}

function stepLowCardinality(type: NativeType, rows: number, cursor: Cursor): void {
  if (rows === 0) return
  cursor.skip(8)
  const flags = cursor.bytes.readUInt32LE(cursor.at - 8)
  const keys = type.name === 'Nullable' ? innerTypes(type)[0] : type
  if (keys) stepData(keys, cursor.uint64(), cursor)
  cursor.skip(2 ** (flags & 3) * cursor.uint64())
}

/** Types within `type`, in the order in which their data follow. @throws EngineError 48 for one that is not known here */
function innerTypes(type: NativeType): NativeType[] {
  if (type.name === 'String' || widthOf(type) !== undefined) return []
  if (type.name === 'SimpleAggregateFunction') return type.parameters.slice(-1).map(typeOf)
  if (type.name === 'Tuple' || type.name === 'Nested') return type.parameters.map(withoutElementName).map(typeOf)
  if (['Array', 'Nullable', 'Map', 'LowCardinality'].includes(type.name)) return type.parameters.map(typeOf)
  throw new EngineError(
    48,
    'NOT_IMPLEMENTED',
    `Type ${type.name} in the Native format of this client's protocol revision`,
  )
}

function withoutElementName(text: string): string {
  return /^(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")\s+(?=[A-Z])/.exec(text) === null
    ? text
    : text.replace(/^(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")\s+/, '')
}

function typeOf(text: string): NativeType {
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
