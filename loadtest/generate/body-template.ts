/**
 * Bodies from a template: the text of a JSON object with placeholders for seeded values.
 *
 *   {"temperature": ${float(18,26,1)}, "door": ${choice(open,closed)}, "id": "m-${hex(4)}"}
 *
 * `${` always begins a placeholder. Words and hex digits stand as JSON strings, or bare inside a string. The body of a message begins
 * with its sequence number and time, as every body does (`body-layout.ts`), and is padded with spaces, so that all are equally long:
 *
 *   {"seq":1000000042,"at":1700000000000 │ ,"temperature": 21.4, "door": "open", "id": "m-03ad"␠␠}
 *                                          ▲ one of a process's variants, chosen by sequence number and the device's seed
 */

import { seededRandom } from '#runtime/seeded-random.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { bodyHeadBytes, valueOfMessage } from './body-layout.ts'

/** Beyond it values hardly look more random, and the caches of a CPU hold them no more. */
const variantsMax = 1024
/** Of all variants of a process, which large bodies have fewer of. */
const variantBytesTotalMax = 4 * 1024 * 1024
/** A number up to it is written without an exponent. */
const floatMax = 1e15
const floatDigitsMax = 9

type Random = () => number

/** A piece of a body and the most bytes of it. */
interface Part {
  readonly bytesMax: number
  render(random: Random): string
}

interface Placeholder {
  readonly form: string
  /** Undefined if the arguments are not as the form says. */
  partOf(args: readonly string[], isInString: boolean): Part | undefined
}

const placeholders: Readonly<Record<string, Placeholder>> = {
  int: {
    form: 'int(min,max)',
    partOf: ([min, max, ...more]) => {
      const [from, to] = [numberOf(min), numberOf(max)]
      if (more.length > 0 || !Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from > to) return undefined
      const bytesMax = Math.max(String(from).length, String(to).length)
      return { bytesMax, render: (random) => String(Math.floor(from + random() * (to - from + 1))) }
    },
  },
  float: {
    form: `float(min,max,digits up to ${floatDigitsMax})`,
    partOf: ([min, max, digits, ...more]) => {
      const [from, to, places] = [numberOf(min), numberOf(max), numberOf(digits)]
      if (more.length > 0 || !(from >= -floatMax && from <= to && to <= floatMax)) return undefined
      if (!Number.isInteger(places) || places < 0 || places > floatDigitsMax) return undefined
      const bytesMax = Math.max(from.toFixed(places).length, to.toFixed(places).length)
      return { bytesMax, render: (random) => (from + random() * (to - from)).toFixed(places) }
    },
  },
  choice: {
    form: 'choice(a,b,…)',
    partOf: (args, isInString) => {
      if (args.includes('')) return undefined
      const choices = args.map((word) => (isInString ? insideString(word) : jsonOf(word)))
      const bytesMax = Math.max(...choices.map((choice) => Buffer.byteLength(choice)))
      return { bytesMax, render: (random) => choices[Math.floor(random() * choices.length)] ?? '' }
    },
  },
  hex: {
    form: `hex(digits up to ${limits.bodyBytesMax})`,
    partOf: ([digits, ...more], isInString) => {
      const count = numberOf(digits)
      if (more.length > 0 || !Number.isInteger(count) || count < 1 || count > limits.bodyBytesMax) return undefined
      const quote = isInString ? '' : '"'
      return {
        bytesMax: count + 2 * quote.length,
        render: (random) =>
          `${quote}${Array.from({ length: count }, () => Math.floor(random() * 16).toString(16)).join('')}${quote}`,
      }
    },
  },
}

/** The settings of a load with such bodies. @throws LOADTEST_OPTIONS_INVALID as `templateFaults` says */
export function templateBody(bodyTemplate: string): { readonly bodyTemplate: string; readonly bodyBytes: number } {
  return { bodyTemplate, bodyBytes: bodyHeadBytes + tailBytesOf(checkedParts(bodyTemplate)) }
}

/** What is wrong with a template, each with its place and what is allowed there; none if it can be used. */
export function templateFaults(text: string): string[] {
  const { parts, faults } = partsOf(text)
  if (faults.length > 0) return faults
  const bytes = bodyHeadBytes + tailBytesOf(parts)
  if (bytes > limits.bodyBytesMax) return [`bodies of ${bytes} bytes: allowed are ${limits.bodyBytesMax}`]
  const random = seededRandom(0).next
  const sample = parts.map((part) => part.render(random)).join('')
  let found: unknown
  try {
    found = JSON.parse(sample)
  } catch (error) {
    return [`makes no JSON: ${error instanceof Error ? error.message : String(error)}, in ${sample.slice(0, 200)}`]
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found))
    return [`expected a JSON object, as {"n": \${int(0,9)}}, found ${sample.slice(0, 200)}`]
  return ['seq', 'at'].filter((name) => name in found).map((name) => `the member ${name} is the ledger's own`)
}

/** What follows sequence number and time in the bodies of a process. Made once; a body is one of these with its number and time. */
export class BodyVariants {
  readonly bytes: number
  readonly #count: number
  readonly #all: Buffer

  /** @throws LOADTEST_OPTIONS_INVALID as `templateFaults` says */
  constructor(template: string, seed: number) {
    const parts = checkedParts(template)
    const random = seededRandom(seed).next
    this.bytes = tailBytesOf(parts)
    this.#count = Math.max(1, Math.min(variantsMax, Math.floor(variantBytesTotalMax / this.bytes)))
    this.#all = Buffer.alloc(this.#count * this.bytes, ' ')
    for (let at = 0; at < this.#all.length; at += this.bytes) {
      const members = membersOf(parts.map((part) => part.render(random)).join(''))
      this.#all.write(members === '' ? '' : `,${members}`, at)
      this.#all.write('}', at + this.bytes - 1)
    }
  }

  /** HOT: paid per message: one copy of `bytes`. */
  copy(target: Buffer, at: number, sequence: number, seed: number): void {
    const from = (valueOfMessage(sequence, seed) % this.#count) * this.bytes
    this.#all.copy(target, at, from, from + this.bytes)
  }

  /** The same bytes as text. */
  textOf(sequence: number, seed: number): string {
    const from = (valueOfMessage(sequence, seed) % this.#count) * this.bytes
    return this.#all.toString('utf8', from, from + this.bytes)
  }
}

function checkedParts(text: string): readonly Part[] {
  const faults = templateFaults(text)
  if (faults.length > 0)
    throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.map((fault) => `body template: ${fault}`).join('\n'))
  return partsOf(text).parts
}

/** Longest tail: the members behind a comma, and the last brace; the template's own braces make up for both. */
function tailBytesOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { bytesMax }) => sum + bytesMax, 0)
}

/** What is between the braces of an object. */
function membersOf(object: string): string {
  return object.trim().slice(1, -1).trim()
}

function partsOf(text: string): { readonly parts: Part[]; readonly faults: string[] } {
  const parts: Part[] = []
  const faults: string[] = []
  const forms = Object.values(placeholders).map(({ form }) => form)
  let isInString = false
  let at = 0
  while (at < text.length) {
    const begin = text.indexOf('${', at)
    const plain = text.slice(at, begin < 0 ? undefined : begin)
    if (plain !== '') parts.push({ bytesMax: Buffer.byteLength(plain), render: () => plain })
    // An escaped quote doesn't end a string.
    for (const _ of plain.replace(/\\./gs, '').matchAll(/"/g)) isInString = !isInString
    if (begin < 0) break
    const end = text.indexOf('}', begin)
    at = end < 0 ? text.length : end + 1
    const given = text.slice(begin, at)
    const [, name = '', args = ''] = /^\$\{\s*(\w+)\((.*)\)\s*\}$/s.exec(given) ?? []
    const placeholder = Object.hasOwn(placeholders, name) ? placeholders[name] : undefined
    const part = placeholder?.partOf(
      args.split(',').map((arg) => arg.trim()),
      isInString,
    )
    if (part) parts.push(part)
    else
      faults.push(
        `character ${begin + 1}, ${given.slice(0, 60)}: ${placeholder ? `expected ${placeholder.form}` : `there is ${forms.join(', ')}`}`,
      )
  }
  return { parts, faults }
}

/** Not a number where there is none. */
function numberOf(text: string | undefined): number {
  return text === undefined || text === '' ? Number.NaN : Number(text)
}

/** What is a JSON value already stands as it is. */
function jsonOf(word: string): string {
  try {
    JSON.parse(word)
    return word
  } catch {
    return JSON.stringify(word)
  }
}

function insideString(word: string): string {
  return JSON.stringify(word).slice(1, -1)
}
