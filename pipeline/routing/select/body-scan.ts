/**
 * Reads the values at some paths of a JSON document (RFC 8259) in place, in one pass, and checks all of it: what it takes is what
 * `JSON.parse` takes of well-formed UTF-8, and what it finds is what `JSON.parse` finds; of a name given twice the last counts.
 *
 * Every step returns the position behind what it read, or `invalid`. Nothing is thrown, since what devices send is often no JSON, and
 * nothing outside `start` … `end` is read: behind a body in a block its properties follow.
 * Objects that a path leads through are entered by recursion, at most as deep as the longest path; others by a stack of their own.
 */
import { absent, arrayValue, type BodyValue, objectValue } from '#pipeline/routing/condition/facts.ts'
import type { Path } from '#pipeline/routing/condition/needs.ts'
import { type PathNode, treeOfPaths } from './body-paths.ts'
import { endOfNumber, numberAt } from './json-number.ts'
import { endOfCharacter } from './utf8.ts'

const invalid = -1

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const openBracket = 0x5b
const backslash = 0x5c
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d
const [letterF, letterN, letterT, letterU] = [0x66, 0x6e, 0x74, 0x75]

const literalTrue = Buffer.from('true')
const literalFalse = Buffer.from('false')
const literalNull = Buffer.from('null')
const byteOrderMark = Buffer.from('\ufeff')

/** Bytes of a text that are themselves: ASCII but for controls, quote and backslash. */
const isOrdinary = new Uint8Array(256).fill(1, 0x20, 0x80)
isOrdinary[quote] = 0
isOrdinary[backslash] = 0

/** What may follow a backslash, but for `u`. */
const isEscape = new Uint8Array(256)
for (const byte of Buffer.from('"\\/bfnrt')) isEscape[byte] = 1

const isHexDigit = new Uint8Array(256)
for (const byte of Buffer.from('0123456789abcdefABCDEF')) isHexDigit[byte] = 1

/** Stands for a text that nobody has asked for yet. */
export const unreadText: unique symbol = Symbol('text')

/** How the bytes of a text spell it. */
const asAscii = 0
const asUtf8 = 1
const withEscapes = 2

const insideArray = 0
const insideObject = 1
const nestingFirst = 64

export class BodyScan {
  /** What stands at each path in the last document that was read well; `text` makes a text of what is still unread. */
  readonly values: (BodyValue | typeof unreadText)[]
  readonly #root: PathNode
  readonly #textStarts: Int32Array
  readonly #textEnds: Int32Array
  readonly #spellings: Uint8Array
  #bytes: Buffer = Buffer.alloc(0)
  #end = 0
  #document = 0
  /** Of the text that was read last. */
  #spelling = asAscii
  #nesting = new Uint8Array(nestingFirst)

  /** A value's index is that of its path. */
  constructor(paths: readonly Path[]) {
    this.#root = treeOfPaths(paths)
    this.values = paths.map(() => absent)
    this.#textStarts = new Int32Array(paths.length)
    this.#textEnds = new Int32Array(paths.length)
    this.#spellings = new Uint8Array(paths.length)
  }

  /**
   * Reads a document in UTF-8. False if it is no JSON, or its root no object. `bytes` may not change while `value` is asked.
   * HOT: per body.
   */
  read(bytes: Buffer, start: number, end: number): boolean {
    this.#bytes = bytes
    this.#end = end
    this.#document++
    const values = this.values
    for (let slot = 0; slot < values.length; slot++) values[slot] = absent
    let at = this.#behindBlanks(this.#behindMark(start))
    if (this.#byteAt(at) !== openBrace) return false
    at = this.#members(this.#root, at + 1)
    return at !== invalid && this.#behindBlanks(at) === end
  }

  /** The text that stands at the path of that index. */
  text(index: number): string {
    const bytes = this.#bytes
    const [start, end] = [this.#textStarts[index] ?? 0, this.#textEnds[index] ?? 0]
    const text = textOf(bytes, start, end, this.#spellings[index] ?? withEscapes)
    this.values[index] = text
    return text
  }

  /** The byte, or `invalid` at the end of the document. */
  #byteAt(at: number): number {
    return at < this.#end ? (this.#bytes[at] as number) : invalid
  }

  #behindMark(start: number): number {
    for (let index = 0; index < byteOrderMark.length; index++) {
      if (this.#byteAt(start + index) !== byteOrderMark[index]) return start
    }
    return start + byteOrderMark.length
  }

  #behindBlanks(start: number): number {
    const [bytes, end] = [this.#bytes, this.#end]
    let at = start
    for (; at < end; at++) {
      const byte = bytes[at] as number
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    }
    return at
  }

  /** A value that a path leads to, or through. */
  #wanted(node: PathNode, at: number): number {
    // A name that was there before: of its value nothing counts any more.
    if (node.document === this.#document) for (const slot of node.slots) this.values[slot] = absent
    node.document = this.#document
    const { slot } = node
    switch (this.#byteAt(at)) {
      case openBrace:
        if (slot >= 0) this.values[slot] = objectValue
        return node.hasMembers ? this.#members(node, at + 1) : this.#any(at)
      case openBracket:
        if (slot >= 0) this.values[slot] = arrayValue
        return node.hasElements ? this.#elements(node, at + 1) : this.#any(at)
      case quote: {
        const behind = this.#behindText(at + 1)
        if (slot >= 0) {
          this.values[slot] = unreadText
          this.#textStarts[slot] = at + 1
          this.#textEnds[slot] = behind - 1
          this.#spellings[slot] = this.#spelling
        }
        return behind
      }
      case letterT:
        if (slot >= 0) this.values[slot] = true
        return this.#literal(literalTrue, at)
      case letterF:
        if (slot >= 0) this.values[slot] = false
        return this.#literal(literalFalse, at)
      case letterN:
        if (slot >= 0) this.values[slot] = null
        return this.#literal(literalNull, at)
      default: {
        const behind = endOfNumber(this.#bytes, at, this.#end)
        if (slot >= 0 && behind !== invalid) this.values[slot] = numberAt(this.#bytes, at, behind)
        return behind
      }
    }
  }

  /** The members of an object that a path leads through, and its closing brace. */
  #members(node: PathNode, start: number): number {
    let at = this.#behindBlanks(start)
    if (this.#byteAt(at) === closeBrace) return at + 1
    for (;;) {
      if (this.#byteAt(at) !== quote) return invalid
      const nameStart = at + 1
      at = this.#behindText(nameStart)
      if (at === invalid) return invalid
      const child =
        this.#spelling === withEscapes
          ? node.memberNamed(textOf(this.#bytes, nameStart, at - 1, withEscapes))
          : node.member(this.#bytes, nameStart, at - 1)
      at = this.#behindBlanks(at)
      if (this.#byteAt(at) !== colon) return invalid
      at = this.#behindBlanks(at + 1)
      at = child === undefined ? this.#any(at) : this.#wanted(child, at)
      if (at === invalid) return invalid
      at = this.#behindBlanks(at)
      const byte = this.#byteAt(at)
      if (byte === closeBrace) return at + 1
      if (byte !== comma) return invalid
      at = this.#behindBlanks(at + 1)
    }
  }

  /** The elements of an array that a path leads through, and its closing bracket. */
  #elements(node: PathNode, start: number): number {
    let at = this.#behindBlanks(start)
    if (this.#byteAt(at) === closeBracket) return at + 1
    for (let index = 0; ; index++) {
      const child = node.element(index)
      at = child === undefined ? this.#any(at) : this.#wanted(child, at)
      if (at === invalid) return invalid
      at = this.#behindBlanks(at)
      const byte = this.#byteAt(at)
      if (byte === closeBracket) return at + 1
      if (byte !== comma) return invalid
      at = this.#behindBlanks(at + 1)
    }
  }

  /** Any value, of which nothing is wanted. It may be nested as deep as it is long. */
  #any(start: number): number {
    let at = start
    let depth = 0
    for (;;) {
      switch (this.#byteAt(at)) {
        case quote:
          at = this.#behindText(at + 1)
          break
        case openBrace:
          at = this.#behindBlanks(at + 1)
          if (this.#byteAt(at) !== closeBrace) {
            this.#nest(depth++, insideObject)
            at = this.#behindName(at)
            if (at === invalid) return invalid
            continue
          }
          at++
          break
        case openBracket:
          at = this.#behindBlanks(at + 1)
          if (this.#byteAt(at) !== closeBracket) {
            this.#nest(depth++, insideArray)
            continue
          }
          at++
          break
        case letterT:
          at = this.#literal(literalTrue, at)
          break
        case letterF:
          at = this.#literal(literalFalse, at)
          break
        case letterN:
          at = this.#literal(literalNull, at)
          break
        default:
          at = endOfNumber(this.#bytes, at, this.#end)
      }
      if (at === invalid) return invalid
      // A value has ended, and with it perhaps what it is in.
      for (;;) {
        if (depth === 0) return at
        at = this.#behindBlanks(at)
        const byte = this.#byteAt(at)
        const isObject = this.#nesting[depth - 1] === insideObject
        if (byte === comma) {
          at = this.#behindBlanks(at + 1)
          if (isObject) at = this.#behindName(at)
          if (at === invalid) return invalid
          break
        }
        if (byte !== (isObject ? closeBrace : closeBracket)) return invalid
        at++
        depth--
      }
    }
  }

  #nest(depth: number, kind: number): void {
    if (depth === this.#nesting.length) {
      const deeper = new Uint8Array(2 * depth)
      deeper.set(this.#nesting)
      this.#nesting = deeper
    }
    this.#nesting[depth] = kind
  }

  /** A name, its colon, and the blanks around it. */
  #behindName(start: number): number {
    if (this.#byteAt(start) !== quote) return invalid
    let at = this.#behindText(start + 1)
    if (at === invalid) return invalid
    at = this.#behindBlanks(at)
    return this.#byteAt(at) === colon ? this.#behindBlanks(at + 1) : invalid
  }

  /** A text from behind its opening quote on to behind the closing one. */
  #behindText(start: number): number {
    const [bytes, end] = [this.#bytes, this.#end]
    this.#spelling = asAscii
    for (let at = start; at < end; at++) {
      const byte = bytes[at] as number
      if (isOrdinary[byte] === 1) continue
      if (byte === quote) return at + 1
      if (byte === backslash) {
        at = this.#endOfEscape(at)
        this.#spelling = withEscapes
      } else {
        // Of a control character there is no end either.
        at = endOfCharacter(bytes, at, end)
        if (this.#spelling === asAscii) this.#spelling = asUtf8
      }
      if (at === invalid) return invalid
    }
    return invalid
  }

  /** Position of the last byte of an escape that begins at `at`. */
  #endOfEscape(at: number): number {
    const kind = this.#byteAt(at + 1)
    if (kind === invalid) return invalid
    if (isEscape[kind] === 1) return at + 1
    if (kind !== letterU) return invalid
    for (let digit = 2; digit < 6; digit++) {
      const byte = this.#byteAt(at + digit)
      if (byte === invalid || isHexDigit[byte] === 0) return invalid
    }
    return at + 5
  }

  #literal(word: Uint8Array, start: number): number {
    for (let index = 0; index < word.length; index++) {
      if (this.#byteAt(start + index) !== word[index]) return invalid
    }
    return start + word.length
  }
}

function textOf(bytes: Buffer, start: number, end: number, spelling: number): string {
  if (spelling === asAscii) return bytes.toString('latin1', start, end)
  if (spelling === asUtf8) return bytes.toString('utf8', start, end)
  return JSON.parse(bytes.toString('utf8', start - 1, end + 1))
}
