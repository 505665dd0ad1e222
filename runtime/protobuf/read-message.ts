/**
 * Reads protobuf in place and strictly. Bytes, where they are kept, are views.
 *
 *   message   field…
 *   field     varint: number << 3 | wire type     0 varint │ 1 eight bytes │ 2 varint length, bytes │ 5 four bytes
 *
 * Fields that a shape does not name are skipped, so that newer senders are understood. Refused are: a wire type that a field cannot have,
 * groups, lengths beyond the end, varints above 64 bits, text that is not UTF-8, and what exceeds the limits of fields and depth.
 */
import { isUtf8 } from 'node:buffer'
import { limits } from '#schemas/limits.ts'
import { MalformedMessage, type MessageShape, type NamedField, type Scalar } from './shape.ts'

/** @throws MalformedMessage */
export function readMessage<T extends object>(shape: MessageShape<T>, bytes: Buffer): T {
  return new MessageReader(bytes).read(shape, bytes.length, 1) as T
}

type WireType = 0 | 1 | 2 | 5

const wireTypes: Readonly<Record<Scalar, WireType>> = {
  ...{ bool: 0, int32: 0, uint32: 0, sint32: 0, int64: 0, uint64: 0 },
  ...{ double: 1, fixed64: 1, sfixed64: 1 },
  ...{ string: 2, bytes: 2, id: 2 },
  ...{ float: 5, fixed32: 5 },
}

class MessageReader {
  readonly #bytes: Buffer
  #at = 0
  #fields = 0
  /** Halves of the number that was last read. */
  #low = 0
  #high = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  read(shape: MessageShape<object>, end: number, depth: number): object {
    if (depth > limits.protobufDepthMax)
      throw new MalformedMessage(`messages within one another, more than ${limits.protobufDepthMax} deep`)
    const message: Record<string, unknown> = {}
    const { byNumber } = shape
    while (this.#at < end) {
      this.#varint(end)
      const key = this.#low
      if (this.#high !== 0 || key >>> 3 === 0) throw new MalformedMessage('a field without a number')
      const field = byNumber.get(key >>> 3)
      if (field === undefined) this.#skip(key & 7, end)
      else this.#readField(message, field, key & 7, end, depth)
    }
    return message
  }

  #readField(message: Record<string, unknown>, field: NamedField, wireType: number, end: number, depth: number): void {
    const { name, kind, isList } = field
    const own = typeof kind === 'string' ? wireTypes[kind] : 2
    const isPacked = isList && wireType === 2 && own !== 2
    if (wireType !== own && !isPacked) throw new MalformedMessage(`${name} is of another wire type`)
    const valueEnd = wireType === 2 ? this.#lengthEnd(end) : end
    if (!isList) {
      this.#count()
      message[name] = this.#value(kind, valueEnd, depth)
      return
    }
    const known = message[name]
    const list: unknown[] = Array.isArray(known) ? known : []
    message[name] = list
    do {
      if (isPacked && this.#at >= valueEnd) break
      this.#count()
      list.push(this.#value(kind, valueEnd, depth))
    } while (isPacked)
  }

  #count(): void {
    if (++this.#fields > limits.protobufFieldsMax)
      throw new MalformedMessage(`more than ${limits.protobufFieldsMax} fields`)
  }

  /** @param end of the value itself where it has a length */
  #value(kind: Scalar | MessageShape<object>, end: number, depth: number): unknown {
    if (typeof kind !== 'string') return this.read(kind, end, depth + 1)
    switch (wireTypes[kind]) {
      case 0:
        this.#varint(end)
        return this.#number(kind)
      case 1:
        return this.#eightBytes(kind, end)
      case 2: {
        const bytes = this.#bytes.subarray(this.#at, end)
        this.#at = end
        if (kind !== 'string') return bytes
        if (!isUtf8(bytes)) throw new MalformedMessage('text that is not UTF-8')
        return bytes.toString('utf8')
      }
      case 5: {
        const at = this.#take(4, end)
        return kind === 'float' ? this.#bytes.readFloatLE(at) : this.#bytes.readUInt32LE(at)
      }
    }
  }

  #eightBytes(kind: Scalar, end: number): unknown {
    const at = this.#take(8, end)
    if (kind === 'double') return this.#bytes.readDoubleLE(at)
    this.#low = this.#bytes.readUInt32LE(at)
    this.#high = this.#bytes.readUInt32LE(at + 4)
    return this.#number(kind)
  }

  /** What the halves that were read are. */
  #number(kind: Scalar): unknown {
    const low = this.#low
    switch (kind) {
      case 'bool':
        return low !== 0 || this.#high !== 0
      case 'int32':
        return low | 0
      case 'uint32':
        return low
      case 'sint32':
        return (low >>> 1) ^ -(low & 1)
      default: {
        if (this.#high === 0) return String(low)
        const whole = (BigInt(this.#high) << 32n) | BigInt(low)
        return String(kind === 'int64' || kind === 'sfixed64' ? BigInt.asIntN(64, whole) : whole)
      }
    }
  }

  /** Leaves the number in `#low` and `#high`. */
  #varint(end: number): void {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= end) throw new MalformedMessage('it ends within a number')
      const byte = this.#bytes[this.#at++] as number
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte > 0x7f) continue
      if (shift === 63 && byte > 1) break
      this.#low = low >>> 0
      this.#high = high >>> 0
      return
    }
    throw new MalformedMessage('a number of more than 64 bits')
  }

  /** Where so many bytes begin, which are then behind. */
  #take(count: number, end: number): number {
    const at = this.#at
    if (end - at < count) throw new MalformedMessage('it ends within a value')
    this.#at = at + count
    return at
  }

  /** Reads a length. @returns where what has it ends */
  #lengthEnd(end: number): number {
    this.#varint(end)
    if (this.#high !== 0 || this.#low > end - this.#at) throw new MalformedMessage('a length beyond the end')
    return this.#at + this.#low
  }

  #skip(wireType: number, end: number): void {
    switch (wireType) {
      case 0:
        this.#varint(end)
        return
      case 1:
        this.#take(8, end)
        return
      case 2:
        this.#at = this.#lengthEnd(end)
        return
      case 5:
        this.#take(4, end)
        return
      default:
        throw new MalformedMessage('a group, or a wire type that there is not')
    }
  }
}
