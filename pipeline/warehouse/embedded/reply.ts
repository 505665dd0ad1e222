import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { BlockCompressor, compressedBlock } from './compressed-blocks.ts'
import type { EngineResult } from './engine.ts'
import { type EngineError, engineErrorFrom, exceptionText, httpStatusOf } from './engine-error.ts'
import type { QueryCeilings } from './query-ceilings.ts'
import type { QueryContext } from './query-context.ts'
import { type ReplyEncoder, replyEncodingFor } from './reply-encoding.ts'
import type { QueryRequest } from './request.ts'

/** Bytes of a result that are held back before the head is sent, so that an early error still gets its own status. */
const heldBytesMax = 256 * 1024

/**
 * @clickhouse/client finds the exception block only if all of it comes in one piece. So there is a pause in which the client can read what
 * was written before it.
 */
const pieceDelayMs = 100

/** A client leaves when it has read the exception. If it is cut off earlier, it may discard what it has not decompressed yet. */
const leaveDelayMs = 5_000

/** What the answers of one server have in common. */
type Server = Pick<QueryContext, 'version' | 'timezone' | 'displayName' | 'ownNames'>

/** The response to one statement: head, result and error in the order ClickHouse sends them. */
export class Reply {
  readonly #server: Server
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #startedAtNs = process.hrtime.bigint()
  /** A result passes them in this order. */
  readonly #encoders: ReplyEncoder[] = []
  #onGone: (() => void) | undefined
  #failure: EngineError | undefined
  #result: EngineResult | undefined
  #sendProgress = false
  #progressSent = false
  readonly #exceptionTag = randomBytes(8).toString('hex')
  #ceilings: Pick<QueryCeilings, 'named'> | undefined
  gone = false

  constructor(server: Server, request: IncomingMessage, response: ServerResponse) {
    this.#server = server
    this.#request = request
    this.#response = response
    response.once('close', () => {
      if (response.writableFinished) return
      this.gone = true
      this.#onGone?.()
    })
    response.on('error', () => {})
    response.setHeader('X-ClickHouse-Server-Display-Name', server.displayName)
  }

  /** @param ceilings name limits in faults */
  start(query: QueryRequest, queryId: string, ceilings: Pick<QueryCeilings, 'named'>): void {
    this.#ceilings = ceilings
    this.#sendProgress = query.sendProgress
    this.#response.setHeader('X-ClickHouse-Exception-Tag', this.#exceptionTag)
    this.#response.setHeader('X-ClickHouse-Query-Id', queryId)
    this.#response.setHeader('X-ClickHouse-Timezone', this.#server.timezone)
    if (query.compress) this.#encoders.push(new BlockCompressor())
    const encoding = query.enableHttpCompression
      ? replyEncodingFor(String(this.#request.headers['accept-encoding'] ?? ''))
      : undefined
    if (!encoding) return
    this.#response.setHeader('Content-Encoding', encoding.name)
    this.#encoders.push(encoding.encoder)
  }

  /** Called once if the client goes away before the response is whole. */
  onGone(callback: (() => void) | undefined): void {
    this.#onGone = callback
    if (this.gone) callback?.()
  }

  /**
   * Sends a header line before the rest of the head is known. False once the head is sent. From then on the status is 200, as on a server.
   */
  progress(summary: string): boolean {
    const { headersSent, socket } = this.#response
    if (headersSent || this.gone || !socket) return false
    socket.write(`${this.#progressSent ? '' : 'HTTP/1.1 200 OK\r\n'}X-ClickHouse-Progress: ${summary}\r\n`)
    this.#progressSent = true
    return true
  }

  /** Sends a result that is already whole. */
  async whole(bytes: Buffer, format: string | undefined, result: EngineResult): Promise<void> {
    this.#result = result
    this.#head(format)
    const out = this.#out()
    out.end(bytes)
    await this.#finished()
  }

  /** Sends what comes out of `source`, at the client's pace; settles when the response has ended. */
  async stream(source: AsyncIterable<Buffer>, format: string): Promise<void> {
    const held: Buffer[] = []
    let heldBytes = 0
    let out: NodeJS.WritableStream | undefined
    try {
      for await (const chunk of source) {
        if (this.gone || (out === undefined && this.#failure)) continue // Read on, or the engine would write into a closed pipe.
        if (out === undefined) {
          held.push(chunk)
          heldBytes += chunk.length
          if (heldBytes < heldBytesMax) continue
          this.#head(format)
          out = this.#out()
          for (const part of held.splice(0)) await this.#write(out, part)
        } else await this.#write(out, chunk)
      }
    } catch (error) {
      this.#failure ??= engineErrorFrom(error)
    }
    if (this.#failure) {
      if (out) this.#abort(this.#failure)
      else this.#error(this.#failure)
      return
    }
    if (this.gone) return
    if (out === undefined) this.#head(format)
    out ??= this.#out()
    for (const part of held) await this.#write(out, part)
    out.end()
    await this.#finished()
  }

  /** What became of the statement. */
  get outcome(): { readonly failure: EngineError | undefined; readonly result: EngineResult | undefined } {
    return { failure: this.#failure, result: this.#result }
  }

  finished(result: EngineResult): void {
    this.#result = result
  }

  /** Reports a fault. Only the first one counts. If a result has begun, `stream` sends the fault when the pipe is empty. */
  fail(error: EngineError): void {
    this.#failure ??= this.#ceilings?.named(error) ?? error
    this.#error(this.#failure)
  }

  #head(format: string | undefined): void {
    const response = this.#response
    if (format !== undefined) {
      response.setHeader('X-ClickHouse-Format', format)
      response.setHeader('Content-Type', contentTypeOf(format))
    }
    const summary = this.#summary()
    if (this.#sendProgress && !this.#progressSent) response.setHeader('X-ClickHouse-Progress', summary)
    response.setHeader('X-ClickHouse-Summary', summary)
    this.#restOfHead(200)
  }

  /**
   * Node begins a head with the status line, and cannot send a part of a head. If progress was sent before, the status line becomes the
   * value of a header.
   */
  #restOfHead(status: number): void {
    if (this.#progressSent) this.#response.socket?.write('X-ClickHouse-Status: ')
    this.#response.writeHead(status)
  }

  #summary(): string {
    const result = this.#result
    return JSON.stringify({
      read_rows: String(result?.rowsRead ?? 0),
      read_bytes: String(result?.bytesRead ?? 0),
      written_rows: String(result?.rowsWritten ?? 0),
      written_bytes: String(result?.bytesWritten ?? 0),
      total_rows_to_read: '0',
      result_rows: String(result?.rowsRead ?? 0),
      result_bytes: String(result?.bytesRead ?? 0),
      elapsed_ns: String(process.hrtime.bigint() - this.#startedAtNs),
    })
  }

  #out(): NodeJS.WritableStream {
    return this.#encoders.reduceRight<NodeJS.WritableStream>((out, encoder) => {
      encoder.pipe(out)
      return encoder
    }, this.#response)
  }

  async #write(out: NodeJS.WritableStream, chunk: Buffer): Promise<void> {
    if (this.gone || out.write(chunk)) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        out.removeListener('drain', done)
        this.#response.removeListener('close', done)
        resolve()
      }
      out.once('drain', done)
      this.#response.once('close', done)
    })
  }

  async #finished(): Promise<void> {
    if (this.#response.writableFinished || this.gone) return
    await new Promise<void>((resolve) => this.#response.once('close', () => resolve()))
  }

  #error(error: EngineError): void {
    const response = this.#response
    if (response.headersSent) return
    response.removeHeader('Content-Encoding')
    response.setHeader('X-ClickHouse-Exception-Code', String(error.number))
    response.setHeader('Content-Type', 'text/plain; charset=UTF-8')
    this.#restOfHead(httpStatusOf(error.number))
    const text = this.#exceptionText(error)
    response.end(this.#encoders[0] instanceof BlockCompressor ? compressedBlock(Buffer.from(text)) : text)
  }

  #exceptionText(error: EngineError): string {
    return this.#server.ownNames.hiddenIn(exceptionText(error, this.#server.version))
  }

  /**
   * The end of a response whose result broke off: ClickHouse's exception block. Then the connection ends without HTTP's last chunk, so
   * that nobody takes the result for complete.
   */
  #abort(error: EngineError): void {
    const text = this.#exceptionText(error)
    const tag = this.#exceptionTag
    const block = `\r\n__exception__\r\n${tag}\r\n${text}${Buffer.byteLength(text)} ${tag}\r\n__exception__\r\n`
    for (const encoder of this.#encoders) encoder.flush?.()
    setTimeout(() => this.#endWith(block), pieceDelayMs)
  }

  #endWith(block: string): void {
    if (this.gone) return
    const end = (): void => {
      const timer = setTimeout(() => this.#response.socket?.end(), leaveDelayMs)
      this.#response.once('close', () => clearTimeout(timer))
    }
    const [first, last] = [this.#encoders[0], this.#encoders.at(-1)]
    if (!first || !last) {
      this.#response.write(block, end)
      return
    }
    // The compressed stream is complete, but the response is not.
    last.unpipe(this.#response)
    last.pipe(this.#response, { end: false })
    last.once('end', end)
    first.end(block)
  }
}

function contentTypeOf(format: string): string {
  if (/^JSON.*EachRow|NDJSON|JSONLines/i.test(format)) return 'application/x-ndjson; charset=UTF-8'
  if (/^JSON/i.test(format)) return 'application/json; charset=UTF-8'
  if (/^CSV/i.test(format)) return 'text/csv; charset=UTF-8; header=absent'
  if (/^(TabSeparated|TSV)/i.test(format)) return 'text/tab-separated-values; charset=UTF-8'
  return 'application/octet-stream'
}
