/**
 * One connection that speaks HTTP/1.x, request after request:
 *
 *        ┌──────────────────────────────────────────────────────────────┐
 *        ▼                                                              │ answered, and the client means to go on
 *   head ─▶ body ─▶ answering ──────────────────────────────────────────┤
 *     │       └─ answered early: what is left is discarded if it is known and short, else ─▶ farewell
 *     ├─ malformed: answered, ─▶ farewell ─▶ closed
 *     └─ WebSocket: taken by its route
 *
 * One request is served at a time. So answers have the order of the requests, and requests of one connection are handled in the order in
 * which they were sent: two that are not safe must not run at once (RFC 9112 section 9.3.2). What a client sends ahead waits here, up to
 * a bound. Beyond it the socket is paused.
 *
 *   silent between requests, or slower than `httpRequestBytesPerSecondMin` in one    closed
 *   takes nothing of an answer                                                       closed after `httpSilenceMsMax`
 *   refused                                                                          its answer goes out, what it still says is
 *                                                                                    discarded for `farewellMsMax`, then destroyed
 */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { limits } from '#schemas/limits.ts'
import { answerHead, type ConnectionHeader, type HttpAnswer, hasNoBody, headAndBody, textAnswer } from './answer.ts'
import { ChunkedReader } from './chunks.ts'
import type { Exchange, ExchangeConnection } from './exchange.ts'
import { type HttpFault, headTooLarge, isFault, malformedLine, nameBytes, type RequestHead, readHead } from './head.ts'
import type { HttpClient } from './request.ts'
import type { TakenConnection, UpgradableConnection } from './serving.ts'
import { discardStream, framingOf, StreamedAnswer } from './streamed-answer.ts'

/** What a connection needs of its server. */
export interface ConnectionHost {
  /** Seconds that the server counts; cheaper than reading the clock. */
  readonly seconds: number
  /** The next answer of each connection is its last. */
  readonly isClosing: boolean
  /** Begins a request. `undefined`: the connection was taken over or closed instead. Bytes of the body come afterwards. */
  begin(head: RequestHead, connection: HttpConnection): Exchange | undefined
  /** The connection has closed or was taken over, and is no longer the server's. */
  left(connection: HttpConnection): void
}

const phases = { head: 0, body: 1, answering: 2, taken: 3, farewell: 4, closed: 5 } as const
type Phase = (typeof phases)[keyof typeof phases]

/** How long a peer may take to read the last answer before the socket is destroyed. */
export const farewellMsMax = 2_000
/** Memory that each kept chunk costs beside its bytes. */
const pieceOverheadBytes = 128
const headEnd = Buffer.from('\r\n\r\n')
const [lineFeed, carriageReturn] = [0x0a, 0x0d]
const noBytes = Buffer.alloc(0)
const noCertificates: readonly X509Certificate[] = []

export class HttpConnection implements HttpClient, ExchangeConnection, UpgradableConnection {
  readonly socket: Socket
  readonly #host: ConnectionHost
  readonly #certificatesOf: (() => readonly X509Certificate[]) | undefined
  #certificates: readonly X509Certificate[] | undefined = undefined
  #phase: Phase = phases.head
  #head: RequestHead | undefined = undefined
  #exchange: Exchange | undefined = undefined
  #taken: TakenConnection | undefined = undefined
  /** The beginning of a head that a chunk cut in two, in a buffer that grows. */
  #partial = noBytes
  #partialBytes = 0
  /** Bytes still to come of a body with Content-Length. */
  #leftBytes = 0
  #chunks: ChunkedReader | undefined = undefined
  #wantsContinue = false
  #isBlocked = false
  #isBodyPaused = false
  /** The answer that leaves piece by piece. */
  #streamed: StreamedAnswer | undefined = undefined
  #isReading = false
  /** Copies of bytes that came behind a request that has no answer yet. */
  readonly #ahead: Buffer[] = []
  #aheadBytes = 0
  /** Since when a request comes in, and with how many bytes. Without a request: since when one is waited for. */
  #sinceSecond: number
  #receivedBytes = 0

  /** @param certificatesOf the client's certificates; left out: it was not asked for any */
  constructor(host: ConnectionHost, socket: Socket, certificatesOf?: () => readonly X509Certificate[]) {
    this.#host = host
    this.socket = socket
    this.#certificatesOf = certificatesOf
    this.#sinceSecond = host.seconds
  }

  get remoteAddress(): string {
    return this.socket.remoteAddress ?? ''
  }

  get certificates(): readonly X509Certificate[] {
    this.#certificates ??= this.#certificatesOf?.() ?? noCertificates
    return this.#certificates
  }

  /** True while no byte of a next request has come. */
  get isIdle(): boolean {
    return this.#phase === phases.head && this.#partialBytes === 0 && this.#ahead.length === 0
  }

  /** HOT: per chunk. @param bytes valid during the call only */
  onChunk(bytes: Buffer): void {
    if (this.#phase === phases.taken) this.#taken?.onChunk(bytes)
    else if (this.#phase < phases.answering && this.#ahead.length === 0) this.#read(bytes, false)
    else if (this.#phase < phases.taken) this.#keepAhead(bytes, false)
  }

  onDrained(): void {
    this.#isBlocked = false
    this.#sinceSecond = this.#host.seconds
    this.socket.setTimeout(0)
    if (this.#phase === phases.taken) this.#taken?.onDrained()
    else if (this.#streamed !== undefined) this.#streamed.onDrained()
    else this.#readAhead()
  }

  /** The client has read nothing of its answer for too long. */
  onStalled(): void {
    if (this.#streamed === undefined) this.socket.destroy()
    else if (this.#streamed.isBlocked) this.cut()
  }

  /** Also when the client ends its side: a client that has gone looks the same as one that only sends no more. */
  onClosed(): void {
    if (this.#phase === phases.closed) return
    const [exchange, taken, streamed] = [this.#exchange, this.#taken, this.#streamed]
    this.#leave(phases.closed)
    streamed?.abort()
    exchange?.abort()
    taken?.onClosed()
  }

  onSecond(): void {
    if (this.#phase >= phases.answering || this.#isBlocked || this.#isBodyPaused || this.#wantsContinue) return
    const allowed = limits.httpSilenceMsMax / 1000 + this.#receivedBytes / limits.httpRequestBytesPerSecondMin
    if (this.#host.seconds - this.#sinceSecond > allowed) this.socket.destroy()
  }

  /** From here on bytes go to `taken`, first those that already came behind the request. */
  take(taken: TakenConnection): void {
    this.#taken = taken
    this.#phase = phases.taken
    this.#host.left(this)
  }

  wantBody(): void {
    if (!this.#wantsContinue) return
    this.#wantsContinue = false
    if (this.#phase === phases.body) this.socket.write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  /** HOT: per request. */
  answer(result: HttpAnswer, closes: boolean): void {
    const head = this.#head
    if (this.#phase === phases.closed || head === undefined) {
      discardStream(result.stream)
      return
    }
    if (result.stream !== undefined && head.method !== 'HEAD' && !hasNoBody(result.status)) {
      void this.#stream(result, result.stream, head, closes)
      return
    }
    discardStream(result.stream)
    const exchange = this.#exchange
    this.#exchange = undefined
    const keepsAlive = !closes && head.keepsAlive && !this.#host.isClosing && this.#isSoonOver()
    this.#write(result, head.method === 'HEAD', keepsAlive ? (head.isHttp10 ? 'keep-alive' : '') : 'close')
    if (result.stream !== undefined) exchange?.answered(undefined)
    this.#answered(keepsAlive)
  }

  /** Ends the connection once the answer has arrived. */
  end(): void {
    if (this.#phase >= phases.farewell) return
    if (this.#streamed !== undefined) {
      this.cut()
      return
    }
    const exchange = this.#exchange
    this.#leave(phases.farewell)
    exchange?.abort()
    const { socket } = this
    socket.setTimeout(limits.httpSilenceMsMax)
    socket.pause()
    socket.end(() => {
      // Reading on is how the end is seen. The socket's own timeout does not serve: a client that goes on sending would postpone it for ever.
      socket.resume()
      const timer = setTimeout(() => socket.destroy(), farewellMsMax)
      socket.once('close', () => clearTimeout(timer))
    })
  }

  /** A body that ends with its connection would look whole if that ended in order. */
  cut(): void {
    const { socket } = this
    if (socket instanceof TLSSocket) socket.destroy()
    else socket.resetAndDestroy()
    this.onClosed()
  }

  pauseBody(): void {
    this.#isBodyPaused = true
    this.socket.pause()
  }

  resumeBody(): void {
    if (!this.#isBodyPaused) return
    this.#isBodyPaused = false
    // The client could not send meanwhile.
    this.#sinceSecond = this.#host.seconds
    this.#receivedBytes = 0
    if (!this.#isReading) this.#readAhead()
  }

  async #stream(
    { status, headers, bodyBytes }: HttpAnswer,
    stream: AsyncIterable<Uint8Array>,
    head: RequestHead,
    closes: boolean,
  ): Promise<void> {
    const framing = framingOf(head, bodyBytes)
    const keepsAlive =
      !closes && head.keepsAlive && !this.#host.isClosing && this.#isSoonOver() && framing.kind !== 'close'
    const length = framing.kind === 'length' ? framing.bytes : framing.kind === 'chunked' ? 'chunked' : undefined
    this.socket.write(answerHead(status, headers, length, keepsAlive ? (head.isHttp10 ? 'keep-alive' : '') : 'close'))
    const streamed = new StreamedAnswer(this.socket, framing, stream, limits.httpSilenceMsMax)
    this.#streamed = streamed
    let fault: unknown
    await streamed.send().catch((error: unknown) => {
      fault = error
    })
    // Its client has gone meanwhile, or it was cut.
    if (this.#streamed !== streamed) return
    this.#streamed = undefined
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.answered(fault)
    if (this.socket.writableNeedDrain) this.#awaitDrain()
    if (fault !== undefined) this.cut()
    else this.#answered(keepsAlive && !this.#host.isClosing && this.#isSoonOver())
  }

  /** @param keepsAlive another request may follow */
  #answered(keepsAlive: boolean): void {
    if (!keepsAlive) this.end()
    else if (this.#phase === phases.answering) {
      this.#awaitRequest()
      if (!this.#isReading) this.#readAhead()
    }
  }

  #leave(phase: Phase): void {
    if (this.#phase < phases.taken) this.#host.left(this)
    this.#phase = phase
    this.#exchange = undefined
    this.#streamed = undefined
    this.#taken = undefined
    this.#partial = noBytes
    this.#ahead.length = 0
  }

  #awaitRequest(): void {
    this.#phase = phases.head
    this.#head = undefined
    this.#sinceSecond = this.#host.seconds
    this.#receivedBytes = 0
  }

  /** @param isOwn the bytes may be kept */
  #read(bytes: Buffer, isOwn: boolean): void {
    this.#isReading = true
    if (this.#phase === phases.body || this.#partialBytes > 0) this.#receivedBytes += bytes.length
    let at = 0
    while (at < bytes.length && this.#phase < phases.answering && !this.#isBlocked)
      at = this.#phase === phases.head ? this.#readHead(bytes, at) : this.#readBody(bytes, at)
    this.#isReading = false
    if (at >= bytes.length) return
    if (this.#phase === phases.taken) this.#taken?.onChunk(bytes.subarray(at))
    else if (this.#phase < phases.taken) this.#keepAhead(bytes.subarray(at), isOwn)
  }

  /** @returns where to read on */
  #readHead(bytes: Buffer, start: number): number {
    if (this.#partialBytes > 0) return this.#readCutHead(bytes, start)
    let at = start
    // Empty lines before a request are no part of it (RFC 9112 section 2.2).
    while (bytes[at] === carriageReturn || bytes[at] === lineFeed) at++
    if (at >= bytes.length) return at
    this.#sinceSecond = this.#host.seconds
    this.#receivedBytes = bytes.length - at
    const found = bytes.indexOf(headEnd, at)
    if (found >= 0) {
      const end = found + headEnd.length
      this.#begin(bytes, at, end)
      return end
    }
    return this.#readCutHead(bytes, at)
  }

  /** Joins new bytes to the beginning of a head, and looks for the end of the head in the new ones. */
  #readCutHead(bytes: Buffer, start: number): number {
    const before = this.#partialBytes
    const count = Math.min(bytes.length - start, limits.httpHeadBytesMax + 1 - before)
    if (before + count > this.#partial.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(before + count, 2 * before))
      this.#partial.copy(larger, 0, 0, before)
      this.#partial = larger
    }
    bytes.copy(this.#partial, before, start, start + count)
    this.#partialBytes += count
    const partial = this.#partial.subarray(0, this.#partialBytes)
    const found = partial.indexOf(headEnd, Math.max(0, before - headEnd.length + 1))
    if (found >= 0) {
      const end = found + headEnd.length
      this.#partial = noBytes
      this.#partialBytes = 0
      this.#begin(partial, 0, end)
      return start + end - before
    }
    if (this.#partialBytes > limits.httpHeadBytesMax) this.#refuse(headTooLarge)
    else if (nameBytes[partial[0] as number] === 0 || hasBareLineFeed(partial, before)) this.#refuse(malformedLine)
    return bytes.length
  }

  #begin(bytes: Buffer, start: number, end: number): void {
    const head = end - start > limits.httpHeadBytesMax ? headTooLarge : readHead(bytes, start, end)
    if (isFault(head)) {
      this.#refuse(head)
      return
    }
    this.#head = head
    this.#leftBytes = head.contentLength
    this.#chunks = head.isChunked ? new ChunkedReader() : undefined
    const hasBody = head.isChunked || head.contentLength > 0
    this.#wantsContinue = head.expectsContinue && hasBody
    this.#phase = hasBody ? phases.body : phases.answering
    const exchange = this.#host.begin(head, this)
    this.#exchange = exchange
    exchange?.begin(head.contentLength)
    if (!hasBody) this.#exchange?.take(noBytes, 0, 0, true)
  }

  #readBody(bytes: Buffer, start: number): number {
    if (this.#wantsContinue) this.#wantsContinue = false // it did not wait
    if (this.#chunks !== undefined) return this.#readChunks(this.#chunks, bytes, start)
    const end = Math.min(bytes.length, start + this.#leftBytes)
    this.#leftBytes -= end - start
    const isLast = this.#leftBytes === 0
    if (isLast) this.#endBody()
    this.#exchange?.take(bytes, start, end, isLast)
    return end
  }

  #readChunks(chunks: ChunkedReader, bytes: Buffer, start: number): number {
    const end = chunks.read(bytes, start, (dataStart, dataEnd) => {
      this.#exchange?.take(bytes, dataStart, dataEnd, false)
      return this.#phase === phases.body
    })
    if (this.#phase !== phases.body || end === undefined) return bytes.length
    if (end === 'malformed') {
      this.#refuse(malformedChunk)
      return bytes.length
    }
    this.#endBody()
    this.#exchange?.take(noBytes, 0, 0, true)
    return end
  }

  /** All of the request has come. */
  #endBody(): void {
    if (this.#exchange === undefined) this.#awaitRequest()
    else this.#phase = phases.answering
  }

  /** True if the rest of the request has a known length, is short, and will come. */
  #isSoonOver(): boolean {
    if (this.#phase !== phases.body) return true
    return this.#chunks === undefined && this.#leftBytes <= limits.httpBodyBytesMax && !this.#wantsContinue
  }

  #refuse({ status, text }: HttpFault): void {
    this.#write(textAnswer(status, `${text}\n`), false, 'close')
    this.end()
  }

  #keepAhead(bytes: Buffer, isOwn: boolean): void {
    this.#aheadBytes += bytes.length + pieceOverheadBytes
    if (isOwn) this.#ahead.unshift(bytes)
    else this.#ahead.push(Buffer.from(bytes))
    if (this.#aheadBytes > limits.httpAheadBytesMax) this.socket.pause()
  }

  #readAhead(): void {
    while (this.#phase < phases.answering && !this.#isBlocked && !this.#isBodyPaused) {
      const bytes = this.#ahead.shift()
      if (bytes === undefined) break
      this.#aheadBytes -= bytes.length + pieceOverheadBytes
      this.#read(bytes, true)
    }
    if (this.#phase < phases.taken && !this.#isBodyPaused && this.#aheadBytes <= limits.httpAheadBytesMax)
      this.socket.resume()
  }

  /** One write to the system, unless the body is many bytes: then two at once. */
  #write(answer: HttpAnswer, isHead: boolean, connection: ConnectionHeader): void {
    const { status, headers, body = '', bodyBytes, stream } = answer
    const { socket } = this
    let isTaken: boolean
    if (hasNoBody(status)) isTaken = socket.write(answerHead(status, headers, undefined, connection))
    else {
      // Of a streamed one, whose length need not be known, only the head is said here.
      const length = bodyBytes ?? (stream === undefined ? Buffer.byteLength(body) : undefined)
      const head = answerHead(status, headers, length, connection)
      const whole = isHead ? head : headAndBody(head, body)
      if (whole !== undefined) isTaken = socket.write(whole)
      else {
        socket.cork()
        socket.write(head)
        isTaken = socket.write(body)
        socket.uncork()
      }
    }
    if (!isTaken) this.#awaitDrain()
  }

  #awaitDrain(): void {
    this.#isBlocked = true
    this.socket.setTimeout(limits.httpSilenceMsMax)
  }
}

const malformedChunk: HttpFault = { status: 400, text: 'the chunks of the body are not as in HTTP/1.1' }

/** @param from bytes before it were searched already */
function hasBareLineFeed(bytes: Buffer, from: number): boolean {
  for (let at = bytes.indexOf(lineFeed, from); at >= 0; at = bytes.indexOf(lineFeed, at + 1))
    if (at === 0 || bytes[at - 1] !== carriageReturn) return true
  return false
}
