import type { IncomingMessage } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { assert } from '#runtime/assert.ts'
import { blocksDecompressed } from './compressed-blocks.ts'
import { EngineError } from './engine-error.ts'
import { lz4Decoded } from './lz4-frame.ts'
import type { QueryRequest } from './request.ts'
import { type StatementText, statementTextOf } from './statement-text.ts'

/** Longest statement, without the rows that follow it: the default of a server, and the most that `max_query_size` can allow. */
export const statementBytesPreset = 256 * 1024
export const statementBytesMax = 1024 * 1024

const newline = Buffer.from('\n')

/**
 * The query of the URL and the body after it as one text, as ClickHouse reads them. First the statement is taken from the beginning. Then
 * `rest` yields the rows that follow.
 */
export class RequestBody {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #textBytesMax: number
  #head: Buffer

  /** @param body as `decodedBody` returns it */
  constructor(body: AsyncIterable<Buffer>, query: QueryRequest) {
    this.#chunks = body[Symbol.asyncIterator]()
    this.#head = query.query.length === 0 ? query.query : Buffer.concat([query.query, newline])
    const wanted = Number(query.settings.get('max_query_size') ?? statementBytesPreset)
    this.#textBytesMax = wanted > 0 ? Math.min(wanted, statementBytesMax) : statementBytesMax
  }

  /** @throws EngineError 62 if there is no statement, or it is too long */
  async statement(): Promise<StatementText> {
    let parts: Buffer[] = [this.#head]
    let length = this.#head.length
    let nextLook = 0
    while (true) {
      // The text is read again only when it has doubled, so the work is linear however small the chunks are.
      if (length >= nextLook) {
        this.#head = Buffer.concat(parts)
        parts = [this.#head]
        const statement = statementTextOf(this.#head, false)
        if (statement) return this.#bounded(statement)
        if (length > this.#textBytesMax) throw tooLong(this.#textBytesMax)
        nextLook = length * 2
      }
      const next = await this.#next()
      if (next.done) {
        this.#head = Buffer.concat(parts)
        const statement = statementTextOf(this.#head, true)
        if (!statement) throw new EngineError(62, 'SYNTAX_ERROR', 'Empty query')
        return this.#bounded(statement)
      }
      parts.push(next.value)
      length += next.value.length
    }
  }

  #bounded(statement: StatementText): StatementText {
    if (statement.text.length > this.#textBytesMax) throw tooLong(this.#textBytesMax)
    return statement
  }

  /** Everything after byte `from` of the text, without copying. */
  async *rest(from: number): AsyncGenerator<Buffer, void> {
    assert(from <= this.#head.length, 'a statement ends within what was read of the body')
    if (this.#head.length > from) yield this.#head.subarray(from)
    for (let next = await this.#next(); !next.done; next = await this.#next()) yield next.value
  }

  async #next(): Promise<IteratorResult<Buffer, unknown>> {
    try {
      return await this.#chunks.next()
    } catch (cause) {
      if (cause instanceof EngineError) throw cause
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new EngineError(271, 'CANNOT_DECOMPRESS', `The request body cannot be read: ${reason}`)
    }
  }
}

function tooLong(bytesMax: number): EngineError {
  const advice = bytesMax < statementBytesMax ? `; max_query_size lifts this up to ${statementBytesMax}` : ''
  return new EngineError(
    62,
    'SYNTAX_ERROR',
    `Max query size exceeded: a statement has at most ${bytesMax} bytes${advice}`,
  )
}

/** The decompressed bytes of a body. @throws EngineError 89 */
export function decodedBody(request: IncomingMessage, query: QueryRequest): AsyncIterable<Buffer> {
  const body = withoutEncoding(request)
  return query.decompress ? blocksDecompressed(body) : body
}

function withoutEncoding(request: IncomingMessage): AsyncIterable<Buffer> {
  const encoding = request.headers['content-encoding'] ?? 'identity'
  switch (encoding) {
    case 'identity':
    case '':
      return request
    case 'gzip':
    case 'x-gzip':
      return through(request, createGunzip())
    case 'deflate':
      return through(request, createInflate())
    case 'br':
      return through(request, createBrotliDecompress())
    case 'zstd':
      return through(request, createZstdDecompress())
    case 'lz4':
      return lz4Decoded(request)
    default:
      throw new EngineError(89, 'UNKNOWN_COMPRESSION_METHOD', `Unknown compression method '${encoding}'`)
  }
}

function through<T extends Readable & NodeJS.WritableStream>(request: IncomingMessage, decoder: T): T {
  // A fault in the compressed bytes, or a client that goes away, destroys the decoder; the reader of the chunks sees it.
  pipeline(request, decoder, () => {})
  return decoder
}
