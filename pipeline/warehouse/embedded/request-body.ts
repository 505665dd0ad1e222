import type { IncomingMessage } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { blocksDecompressed } from './compressed-blocks.ts'
import { EngineError } from './engine-error.ts'
import { lz4Decoded } from './lz4-frame.ts'
import { type Statement, statementOf } from './statement.ts'

/** Longest text of a statement without rows that follow it. */
const statementBytesMax = 64 * 1024 * 1024

/**
 * The query of the URL and the body behind it as one text, as ClickHouse reads them: first the statement is taken from its
 * beginning, then `rest` yields the rows that follow.
 */
export class RequestBody {
  readonly #chunks: AsyncIterator<Buffer>
  #head: Buffer

  /** @param decompress whether the body comes in ClickHouse's compressed blocks */
  constructor(request: IncomingMessage, query: string, decompress: boolean) {
    const body = decoded(request)
    this.#chunks = (decompress ? blocksDecompressed(body) : body)[Symbol.asyncIterator]()
    this.#head = query === '' ? Buffer.alloc(0) : Buffer.from(`${query}\n`)
  }

  async statement(): Promise<Statement> {
    let parts: Buffer[] = [this.#head]
    let length = this.#head.length
    let nextLook = 0
    while (true) {
      // Looked at again only when the text has doubled: linear work however small the chunks are.
      if (length >= nextLook) {
        this.#head = Buffer.concat(parts)
        parts = [this.#head]
        const statement = statementOf(this.#head, false)
        if (statement) return statement
        nextLook = length * 2
      }
      const next = await this.#next()
      if (next.done) {
        this.#head = Buffer.concat(parts)
        const statement = statementOf(this.#head, true)
        if (!statement) throw new EngineError(62, 'SYNTAX_ERROR', 'Empty query')
        return statement
      }
      parts.push(next.value)
      length += next.value.length
      if (length > statementBytesMax)
        throw new EngineError(229, 'QUERY_IS_TOO_LARGE', `Query is longer than ${statementBytesMax} bytes`)
    }
  }

  /** Everything after byte `from` of the text, without copying. */
  async *rest(from: number): AsyncGenerator<Buffer, void> {
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

function decoded(request: IncomingMessage): AsyncIterable<Buffer> {
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
