/**
 * Parts of a body in multipart/form-data, as they come in [RFC 7578, RFC 2046, 5.1]:
 *
 *   preamble  ( CRLF --boundary  CRLF headers  CRLF CRLF  content )×  CRLF --boundary --  epilogue
 */

import { assert } from '#runtime/assert.ts'
import { EngineError } from './engine-error.ts'

export interface FormPart {
  readonly name: string
  /** True if the part has a file name, as external data have. */
  readonly isFile: boolean
  /** Its content, which must be read to its end before the next part. */
  readonly chunks: AsyncIterable<Buffer>
}

/** More than the headers of a part take with any client. */
const headBytesMax = 8 * 1024

const newline = Buffer.from('\r\n')
const headEnd = Buffer.from('\r\n\r\n')

/** @throws EngineError 33 if the body ends within a part */
export async function* formParts(source: AsyncIterable<Buffer>, boundary: string): AsyncGenerator<FormPart, void> {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const body = new MarkedBytes(source, newline)
  for await (const _ of body.until(delimiter)); // the preamble
  for (let head = await headOf(body); head !== undefined; head = await headOf(body)) {
    const disposition = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? ''
    const named = new Map(
      [...disposition.matchAll(/;\s*([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/g)].map(
        ([, name = '', quoted, bare]) => [name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? bare ?? ''],
      ),
    )
    yield {
      name: named.get('name') ?? '',
      isFile: named.has('filename') || named.has('filename*'),
      chunks: body.until(delimiter),
    }
  }
}

/** Headers of the next part; undefined after the last part. */
async function headOf(body: MarkedBytes): Promise<string | undefined> {
  if (await body.startsWith('--')) return undefined
  const parts: Buffer[] = []
  let length = 0
  for await (const bytes of body.until(headEnd)) {
    parts.push(bytes)
    length += bytes.length
    if (length > headBytesMax)
      throw new EngineError(36, 'BAD_ARGUMENTS', 'The headers of a part of the form are too long')
  }
  return Buffer.concat(parts).toString()
}

/** Bytes of a stream up to marks within it. */
class MarkedBytes {
  readonly #chunks: AsyncIterator<Buffer>
  #bytes: Buffer

  constructor(source: AsyncIterable<Buffer>, first: Buffer) {
    this.#chunks = source[Symbol.asyncIterator]()
    this.#bytes = first
  }

  async startsWith(text: string): Promise<boolean> {
    while (this.#bytes.length < text.length) await this.#more()
    return this.#bytes.toString('latin1', 0, text.length) === text
  }

  /** The bytes before the next `mark`. The mark itself is skipped. */
  async *until(mark: Buffer): AsyncGenerator<Buffer, void> {
    let at = this.#bytes.indexOf(mark)
    for (; at < 0; at = this.#bytes.indexOf(mark)) {
      // A mark may begin in the last bytes and end in the next chunk.
      const settled = Math.max(0, this.#bytes.length - mark.length + 1)
      if (settled > 0) yield this.#take(settled)
      await this.#more()
    }
    if (at > 0) yield this.#take(at)
    this.#take(mark.length)
  }

  #take(length: number): Buffer {
    assert(length <= this.#bytes.length, 'what is taken is there')
    const bytes = this.#bytes.subarray(0, length)
    this.#bytes = this.#bytes.subarray(length)
    return bytes
  }

  async #more(): Promise<void> {
    const next = await this.#chunks.next()
    if (next.done) throw new EngineError(33, 'CANNOT_READ_ALL_DATA', 'The form ends within a part')
    this.#bytes = Buffer.concat([this.#bytes, next.value])
  }
}
