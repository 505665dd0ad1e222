/** The properties that conditions ask for, found in the maps of an envelope without reading the others. */
import { foldName } from '#pipeline/routing/condition/needs.ts'
import type { EnvelopeScan } from './envelope-scan.ts'

/** Names without case, looked up by the bytes of a key. */
export class WantedNames {
  readonly #names: readonly string[]
  readonly #bytes: readonly Uint8Array[]

  /** @param names folded, each once */
  constructor(names: readonly string[]) {
    this.#names = names
    this.#bytes = names.map((name) => Buffer.from(name))
  }

  get count(): number {
    return this.#names.length
  }

  /**
   * Reads the map that begins there: `values[i]` becomes the value of the property of the i-th name. Of keys that differ in case only,
   * the last counts.
   */
  read(scan: EnvelopeScan, start: number, values: (string | undefined)[]): void {
    if (this.#names.length === 0) return
    const bytes = scan.bytes as Buffer
    scan.enterMap(start)
    while (scan.nextEntry()) {
      const index = this.#indexOf(bytes, scan.keyStart, scan.keyEnd)
      if (index >= 0) values[index] = bytes.toString('utf8', scan.valueStart, scan.valueEnd)
    }
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
