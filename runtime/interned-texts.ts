/**
 * Keeps short texts that clients send again and again, so that each is created once. A text that is not known beforehand takes a free
 * place. Without a free place it is created anew each time. So nobody can fill more than the table, or drive out the known texts.
 */
export class InternedTexts {
  readonly #texts: (string | undefined)[] = new Array<string | undefined>(tableSize).fill(undefined)
  readonly #isFolded: boolean

  /** @param known if all are in lower case, bytes are compared in lower case too, and created texts are in lower case */
  constructor(known: readonly string[]) {
    this.#isFolded = known.every((text) => text === text.toLowerCase())
    for (const text of known) {
      let hash = 0
      for (let index = 0; index < text.length; index++) hash = (hash * 31 + text.charCodeAt(index)) | 0
      this.#texts[hash & (tableSize - 1)] = text
    }
  }

  /** HOT: per method and header name. @param hash of the bytes, folded where texts are: `hash * 31 + byte`, 32 bits */
  of(bytes: Buffer, start: number, end: number, hash: number): string {
    const place = hash & (tableSize - 1)
    const known = this.#texts[place]
    if (known !== undefined && this.#isAt(known, bytes, start, end)) return known
    const made = bytes.toString('latin1', start, end)
    const text = this.#isFolded ? made.toLowerCase() : made
    if (known === undefined && text.length <= keptLengthMax) this.#texts[place] = text
    return text
  }

  #isAt(text: string, bytes: Buffer, start: number, end: number): boolean {
    if (text.length !== end - start) return false
    for (let index = 0; index < text.length; index++) {
      const byte = bytes[start + index] as number
      const isUpper = this.#isFolded && byte >= 0x41 && byte <= 0x5a
      if (text.charCodeAt(index) !== (isUpper ? byte | 0x20 : byte)) return false
    }
    return true
  }
}

const tableSize = 512
const keptLengthMax = 64
