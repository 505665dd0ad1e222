/**
 * Line protocol of InfluxDB, strictly:
 *
 *   measurement[,tag=value]… field=value[,field=value]… [timestamp]
 *
 *   names, tag values   a backslash takes the meaning of the comma, equals sign or space behind it; any other backslash is itself
 *   field values        1.5  1i  1u  t  true  F  "text, with \" and \\, and line breaks"
 *   lines               end by LF or CRLF; what begins with # is a comment
 *
 * A line that cannot be read is told with its number, and the next one is read.
 */
import { isInt64Text, isUint64Text } from '#runtime/nanoseconds.ts'

export interface Point {
  /** Where its line begins, from 1. */
  readonly line: number
  readonly measurement: string
  readonly tags: ReadonlyMap<string, string>
  /** At least one, by name; the values are JSON, with all digits that were sent. */
  readonly fields: ReadonlyMap<string, string>
  /** A signed 64-bit number, in the precision of the request. */
  readonly timestamp: string | undefined
}

export interface LineFault {
  readonly line: number
  readonly reason: string
  /** How the line begins. */
  readonly shown: string
}

/** Reads all lines of a text, in order. */
export function readLines(text: string, onPoint: (point: Point) => void, onFault: (fault: LineFault) => void): void {
  const reader = new LineReader(text)
  while (reader.nextLine()) {
    const { line, lineStart } = reader
    try {
      onPoint(reader.point())
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      const lineEnd = text.indexOf('\n', lineStart)
      const shown = text.slice(lineStart, Math.min(lineEnd < 0 ? text.length : lineEnd, lineStart + shownLengthMax))
      onFault({ line, reason: error.reason, shown })
      reader.skipLine()
    }
  }
}

/** Of a line that is refused. */
export const shownLengthMax = 100

/** Not an `Error`: a body may hold very many such lines, and each trace of a stack costs more than a line. */
class Malformed {
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

const [newline, carriageReturn, space, quote, hash, comma, equals, backslash] = [
  0x0a, 0x0d, 0x20, 0x22, 0x23, 0x2c, 0x3d, 0x5c,
]

class LineReader {
  readonly #text: string
  #at = 0
  /** Of the line that was last begun. */
  line = 1
  lineStart = 0
  /** Line breaks were counted up to here. */
  #countedTo = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Goes to the next line that is neither empty nor a comment. @returns false if there is none */
  nextLine(): boolean {
    const text = this.#text
    for (; this.#at < text.length; this.#at++) {
      const code = text.charCodeAt(this.#at)
      if (code === hash) this.skipLine()
      else if (code !== space && code !== newline && code !== carriageReturn) {
        this.lineStart = this.#at
        for (; this.#countedTo < this.#at; this.#countedTo++)
          if (text.charCodeAt(this.#countedTo) === newline) this.line++
        return true
      }
    }
    return false
  }

  /** To the end of this line. */
  skipLine(): void {
    const end = this.#text.indexOf('\n', this.#at)
    this.#at = end < 0 ? this.#text.length : end
  }

  point(): Point {
    const measurement = this.#word('the measurement', false)
    const tags = this.#tags()
    this.#spaces('there are no fields behind a space')
    const fields = this.#fields()
    const timestamp = this.#timestamp()
    return { line: this.line, measurement, tags, fields, timestamp }
  }

  #tags(): Map<string, string> {
    const tags = new Map<string, string>()
    while (this.#takes(comma)) {
      const name = this.#word('a tag name', true)
      if (!this.#takes(equals)) throw new Malformed(`tag ${shownName(name)} has no value`)
      if (tags.has(name)) throw new Malformed(`tag ${shownName(name)} is given twice`)
      tags.set(name, this.#word(`the value of tag ${shownName(name)}`, true))
      if (this.#is(equals))
        throw new Malformed(`the value of tag ${shownName(name)} holds an equals sign without a backslash`)
    }
    return tags
  }

  /** Of a field that is given twice the last value counts, as with InfluxDB. */
  #fields(): Map<string, string> {
    const fields = new Map<string, string>()
    do {
      const name = this.#word('a field name', true)
      if (!this.#takes(equals)) throw new Malformed(`field ${shownName(name)} has no value`)
      fields.set(name, this.#is(quote) ? this.#quoted(name) : this.#value(name))
    } while (this.#takes(comma))
    return fields
  }

  #timestamp(): string | undefined {
    if (this.#isEnd()) return undefined
    this.#spaces('a field is followed by neither a comma nor a space')
    if (this.#isEnd()) return undefined
    const timestamp = this.#until(this.#at)
    if (!isInt64Text(timestamp)) throw new Malformed(`the time is no whole number of 64 bits: ${shownName(timestamp)}`)
    while (this.#takes(space));
    if (!this.#isEnd()) throw new Malformed('there is more behind the time')
    return timestamp
  }

  #spaces(fault: string): void {
    if (!this.#takes(space)) throw new Malformed(fault)
    while (this.#takes(space));
  }

  /** A name, or the value of a tag: up to a comma, a space, the end of the line or, for most, an equals sign. */
  #word(what: string, endsAtEquals: boolean): string {
    const text = this.#text
    const start = this.#at
    let isEscaped = false
    for (; this.#at < text.length; this.#at++) {
      const code = text.charCodeAt(this.#at)
      if (code === comma || code === space || code === newline || (code === equals && endsAtEquals)) break
      if (code !== backslash) continue
      const next = text.charCodeAt(this.#at + 1)
      if (next !== comma && next !== space && next !== equals) continue
      isEscaped = true
      this.#at++
    }
    const end = this.#isEnd() && text.charCodeAt(this.#at - 1) === carriageReturn ? this.#at - 1 : this.#at
    if (end <= start) throw new Malformed(`${what} is missing`)
    const word = text.slice(start, end)
    return isEscaped ? word.replace(/\\([,= ])/g, '$1') : word
  }

  /** JSON of a text in quotes. */
  #quoted(name: string): string {
    const text = this.#text
    const start = this.#at + 1
    let end = start
    for (; end < text.length && text.charCodeAt(end) !== quote; end++) if (text.charCodeAt(end) === backslash) end++
    if (end >= text.length) throw new Malformed(`the text of field ${shownName(name)} has no quote behind it`)
    this.#at = end + 1
    return JSON.stringify(text.slice(start, end).replace(/\\(["\\])/g, '$1'))
  }

  /** JSON of a number or truth value. */
  #value(name: string): string {
    const word = this.#until(this.#at, comma)
    const value = truthValues.get(word) ?? numberFrom(word)
    if (value === undefined)
      throw new Malformed(`field ${shownName(name)} is no number, truth value or text in quotes: ${shownName(word)}`)
    return value
  }

  /** What stands up to a space, the end of the line, or `end`. */
  #until(start: number, end: number = space): string {
    const text = this.#text
    for (; this.#at < text.length; this.#at++) {
      const code = text.charCodeAt(this.#at)
      if (code === space || code === newline || code === carriageReturn || code === end) break
    }
    return text.slice(start, this.#at)
  }

  #is(code: number): boolean {
    return this.#text.charCodeAt(this.#at) === code
  }

  #takes(code: number): boolean {
    if (!this.#is(code)) return false
    this.#at++
    return true
  }

  #isEnd(): boolean {
    const text = this.#text
    const at = this.#is(carriageReturn) ? this.#at + 1 : this.#at
    return at >= text.length || text.charCodeAt(at) === newline
  }
}

const truthValues: ReadonlyMap<string, string> = new Map([
  ...['t', 'T', 'true', 'True', 'TRUE'].map((word) => [word, 'true'] as const),
  ...['f', 'F', 'false', 'False', 'FALSE'].map((word) => [word, 'false'] as const),
])

const wholeNumber = /^[+-]?\d+[iu]$/
/** No digits can belong to either of two parts, or what is no number would be looked at once for each of them. */
const decimalNumber = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/
/** RFC 8259 section 6. */
const jsonNumber = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/

/** JSON of a number; `undefined` if it is none, or too large for its type. */
function numberFrom(word: string): string | undefined {
  if (wholeNumber.test(word)) {
    const digits = word.slice(0, -1)
    if (!(word.endsWith('i') ? isInt64Text(digits) : isUint64Text(digits))) return undefined
    return jsonNumber.test(digits) ? digits : String(BigInt(digits.replace('+', '')))
  }
  if (!decimalNumber.test(word)) return undefined
  const value = Number(word)
  if (!Number.isFinite(value)) return undefined
  return jsonNumber.test(word) ? word : String(value)
}

function shownName(name: string): string {
  return JSON.stringify(name.slice(0, shownLengthMax))
}
