/** The properties that conditions ask for, found in the maps of an envelope without reading the others. */
import { type BodyEncoding, bodyEncoding } from '#pipeline/routing/condition/body-encoding.ts'
import type { UnreadableReason } from '#pipeline/routing/condition/facts.ts'
import { foldName } from '#pipeline/routing/condition/needs.ts'
import { writeLong } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import type { EnvelopeScan } from './envelope-scan.ts'

/** The wanted properties of a message. */
export interface PropertyFacts {
  /** By their place among the wanted names. */
  readonly properties: readonly (string | undefined)[]
  readonly system: readonly (string | undefined)[]
  readonly encoding: BodyEncoding | UnreadableReason
}

export interface WantedPropertiesOptions {
  /** Names of application properties and of stored system properties, folded, each once. */
  readonly properties: readonly string[]
  readonly system: readonly string[]
  /** Whether bodies are wanted, and how to read them. */
  readonly hasBody: boolean
}

const lengthBytesMax = 8

export class WantedProperties {
  readonly #properties: WantedValues
  readonly #system: WantedValues
  readonly #hasBody: boolean
  readonly #contentType: number
  readonly #contentEncoding: number
  readonly #key = Buffer.alloc(limits.routedSuffixBytesMax)

  constructor({ properties, system, hasBody }: WantedPropertiesOptions) {
    const content = hasBody ? [foldName('contentType'), foldName('contentEncoding')] : []
    const systemNames = [...new Set([...system, ...content])]
    this.#properties = new WantedValues(properties)
    this.#system = new WantedValues(systemNames)
    this.#hasBody = hasBody
    this.#contentType = systemNames.indexOf(foldName('contentType'))
    this.#contentEncoding = systemNames.indexOf(foldName('contentEncoding'))
  }

  /** Finds the wanted properties of the envelope entered, whose maps were read. HOT: per message of unknown properties. */
  read(scan: EnvelopeScan): void {
    this.#properties.read(scan, scan.propertiesStart)
    this.#system.read(scan, scan.systemStart)
  }

  /**
   * Writes what was found as bytes that are the same for the same values only; undefined if they are too long to be remembered. They are
   * overwritten by the next call. HOT: per message of unknown properties.
   */
  key(scan: EnvelopeScan): Uint8Array | undefined {
    const end = this.#system.writeTo(this.#key, this.#properties.writeTo(this.#key, 0, scan), scan)
    return end < 0 ? undefined : this.#key.subarray(0, end)
  }

  /** What was found, as texts. */
  facts(scan: EnvelopeScan): PropertyFacts {
    const system = this.#system.texts(scan)
    return {
      properties: this.#properties.texts(scan),
      system,
      encoding: this.#hasBody ? bodyEncoding(system[this.#contentType], system[this.#contentEncoding]) : 'content-type',
    }
  }
}

/** Values of one map by names without case, as places in the block. Of keys that differ in case only, the last counts. */
class WantedValues {
  readonly #names: readonly string[]
  readonly #bytes: readonly Uint8Array[]
  /** -1 where the map has no such name. */
  readonly #starts: Int32Array
  readonly #ends: Int32Array

  constructor(names: readonly string[]) {
    this.#names = names
    this.#bytes = names.map((name) => Buffer.from(name))
    this.#starts = new Int32Array(names.length)
    this.#ends = new Int32Array(names.length)
  }

  read(scan: EnvelopeScan, start: number): void {
    if (this.#names.length === 0) return
    this.#starts.fill(-1)
    scan.enterMap(start)
    while (scan.nextEntry()) {
      const index = this.#indexOf(scan.bytes as Buffer, scan.keyStart, scan.keyEnd)
      if (index < 0) continue
      this.#starts[index] = scan.valueStart
      this.#ends[index] = scan.valueEnd
    }
  }

  /** Behind what was written; -1 if there is no room, and if `at` is -1. */
  writeTo(target: Buffer, at: number, { bytes }: EnvelopeScan): number {
    let to = at
    for (let index = 0; index < this.#names.length && to >= 0; index++) {
      const start = this.#starts[index] as number
      const length = start < 0 ? 0 : (this.#ends[index] as number) - start
      if (to + lengthBytesMax + length > target.length) return -1
      // An empty value is not one that is missing.
      to = writeLong(target, to, start < 0 ? 0 : length + 1)
      for (let from = 0; from < length; from++) target[to++] = bytes[start + from] as number
    }
    return to
  }

  texts(scan: EnvelopeScan): (string | undefined)[] {
    const bytes = scan.bytes as Buffer
    return this.#names.map((_, index) => {
      const start = this.#starts[index] as number
      return start < 0 ? undefined : bytes.toString('utf8', start, this.#ends[index])
    })
  }

  #indexOf(bytes: Buffer, start: number, end: number): number {
    const names = this.#bytes
    for (let index = 0; index < names.length; index++) {
      if (spells(bytes, start, end, names[index] as Uint8Array)) return index
    }
    // Beyond ASCII a letter may have another length in its other case, and ASCII for it.
    for (let at = start; at < end; at++) {
      if ((bytes[at] as number) >= 0x80) return this.#names.indexOf(foldName(bytes.toString('utf8', start, end)))
    }
    return -1
  }
}

/** Whether ASCII bytes spell the name, in any case. */
function spells(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  if (name.length !== end - start) return false
  for (let index = 0; index < name.length; index++) {
    const byte = bytes[start + index] as number
    const folded = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (folded !== name[index] || byte >= 0x80) return false
  }
  return true
}
