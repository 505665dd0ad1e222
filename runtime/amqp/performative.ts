import { bodyStartOf } from './frames.ts'
import { DescribedValue, endOfValue, malformed, type ReadValue, ValueReader } from './read-values.ts'

/** What a frame says, its fields by position: those that are left out are `null`. */
export class Performative {
  readonly code: number
  readonly #fields: readonly ReadValue[]

  constructor(code: number, fields: readonly ReadValue[]) {
    this.code = code
    this.#fields = fields
  }

  at(index: number): ReadValue {
    return this.#fields[index] ?? null
  }

  /** A whole number that is not negative. @throws INGEST_FRAME_MALFORMED */
  number(index: number): number | undefined {
    const value = this.at(index)
    if (value === null) return undefined
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff)
      throw malformed(`field ${index} of performative ${this.code} is no unsigned number`)
    return value
  }

  /** @throws INGEST_FRAME_MALFORMED */
  flag(index: number): boolean {
    const value = this.at(index)
    if (value !== null && typeof value !== 'boolean')
      throw malformed(`field ${index} of a performative is no truth value`)
    return value === true
  }

  /** @throws INGEST_FRAME_MALFORMED */
  text(index: number): string | undefined {
    const value = this.at(index)
    if (value === null) return undefined
    if (typeof value !== 'string') throw malformed(`field ${index} of performative ${this.code} is no text`)
    return value
  }
}

/** A map of the norm, of which entries with other keys than texts are left out. @throws INGEST_FRAME_MALFORMED */
export function textKeys(value: ReadValue): ReadonlyMap<string, ReadValue> {
  const entries = new Map<string, ReadValue>()
  if (value === null) return entries
  if (!(value instanceof Map)) throw malformed('a map that is none')
  for (const [key, entry] of value) if (typeof key === 'string') entries.set(key, entry)
  return entries
}

export interface ReadFrame {
  readonly performative: Performative
  /** Where the payload begins, which ends with the frame. */
  readonly payloadStart: number
}

/** Reads the frame at `start`..`end`; `undefined`: it is empty, and says only that its sender lives. @throws INGEST_FRAME_MALFORMED */
export function readFrame(bytes: Buffer, start: number, end: number): ReadFrame | undefined {
  const bodyStart = bodyStartOf(bytes, start, end)
  if (bodyStart === end) return undefined
  const reader = new ValueReader(bytes, bodyStart, end)
  const performative = performativeOf(reader.next())
  return { performative, payloadStart: reader.at }
}

function performativeOf(value: ReadValue): Performative {
  if (!(value instanceof DescribedValue) || typeof value.descriptor !== 'number' || !Array.isArray(value.value))
    throw malformed('a frame that holds no performative')
  return new Performative(value.descriptor, value.value)
}

/**
 * The bytes of a field of the performative at `start`, to be given back as they are. `undefined`: it has fewer fields.
 * The frame was read before, so that it is known to be whole.
 */
export function rawField(bytes: Buffer, start: number, end: number, index: number): Buffer | undefined {
  return rawItem(bytes, endOfValue(bytes, bodyStartOf(bytes, start, end) + 1, end), end, index)
}

/** The bytes of an item of the list at `start`. @throws INGEST_FRAME_MALFORMED */
export function rawItem(bytes: Buffer, start: number, end: number, index: number): Buffer | undefined {
  const format = bytes[start]
  if (format === 0x45) return undefined
  if (format !== 0xc0 && format !== 0xd0) throw malformed('a list that is none')
  const ends = endOfValue(bytes, start, end)
  const isShort = format === 0xc0
  const count = isShort ? (bytes[start + 2] as number) : bytes.readUInt32BE(start + 5)
  if (index >= count) return undefined
  let at = start + (isShort ? 3 : 9)
  for (let skipped = 0; skipped < index; skipped++) at = endOfValue(bytes, at, ends)
  return bytes.subarray(at, endOfValue(bytes, at, ends))
}
