/**
 * The serving end of a request link: one connection that carries many requests of other people at once (`link-frames.ts`). Each is served as one
 * that came by itself, and proves itself: who holds the link has no rights by it.
 *
 *   request ─▶ exchange ─▶ answer, whole │ streamed: broken, since a link has no way to slow down one answer alone
 *      │ too many are under way, or the server is ending: 503, and it is not begun
 *      └ left: the exchange is aborted
 *
 * Who does not take the answers is not read from any more, and is let go of after `httpSilenceMsMax`.
 */
import type { X509Certificate } from 'node:crypto'
import { limits } from '#schemas/limits.ts'
import { type HttpAnswer, hasNoBody, textAnswer } from './answer.ts'
import type { Exchange, ExchangeConnection } from './exchange.ts'
import { type HttpFault, headTooLarge, isFault, malformedLine, type RequestHead, readHead } from './head.ts'
import {
  answerPrefixBytes,
  type FrameListener,
  FrameReader,
  FrameWriter,
  frameKinds,
  frameRoomBytes,
} from './link-frames.ts'
import type { HttpClient } from './request.ts'
import type { TakenConnection, UpgradableConnection } from './serving.ts'
import { discardStream } from './streamed-answer.ts'

/** What a link needs of its server. */
export interface LinkHost {
  /** Seconds that the server counts. */
  readonly seconds: number
  exchange(head: RequestHead, connection: ExchangeConnection & HttpClient): Exchange
  linkClosed(link: ServedLink): void
}

const headEnd = Buffer.from('\r\n\r\n')
const noBytes = Buffer.alloc(0)
const tooMany = textAnswer(503, 'too many requests are under way on this link\n', { 'Retry-After': '1' })
const ending = textAnswer(503, 'the server is ending\n', { 'Retry-After': '1' })
const wrongLength: HttpFault = { status: 400, text: 'the body has another length than the head tells' }

export class ServedLink implements TakenConnection, FrameListener, HttpClient {
  readonly #host: LinkHost
  readonly #connection: UpgradableConnection
  readonly #reader = new FrameReader(limits.linkRequestBytesMax, this)
  readonly #writer: FrameWriter
  readonly #underWay = new Map<number, LinkedRequest>()
  #heardAtSecond: number
  /** What is begun from here on could lose its answer. */
  #isLeaving = false

  constructor(host: LinkHost, connection: UpgradableConnection) {
    this.#host = host
    this.#connection = connection
    this.#heardAtSecond = host.seconds
    const { socket } = connection
    this.#writer = new FrameWriter({
      write(bytes) {
        if (!socket.writable || socket.write(bytes)) return
        socket.pause()
        socket.setTimeout(limits.httpSilenceMsMax)
      },
    })
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }

  get certificates(): readonly X509Certificate[] {
    return this.#connection.certificates
  }

  onChunk(bytes: Buffer): void {
    this.#heardAtSecond = this.#host.seconds
    this.#reader.read(bytes)
  }

  onDrained(): void {
    this.#connection.socket.resume()
  }

  onClosed(): void {
    this.#host.linkClosed(this)
    for (const request of this.#underWay.values()) request.left()
    this.#underWay.clear()
    this.#connection.socket.destroy()
  }

  /** Ends a link on which nobody asks: whoever means to keep it says so. */
  onSecond(): void {
    const isSilent = this.#host.seconds - this.#heardAtSecond > limits.linkSilenceMsMax / 1_000
    if (isSilent && this.#underWay.size === 0) this.#connection.socket.destroy()
  }

  /** Asks the other side to go, once it has its answers. */
  goodbye(): void {
    this.#isLeaving = true
    this.#writer.send(frameKinds.goodbye, 0)
  }

  end(): void {
    this.#writer.flush()
    this.#connection.socket.end()
  }

  onFrame(kind: number, number: number, bytes: Buffer, start: number, end: number): void {
    if (kind === frameKinds.request) this.#begin(number, bytes, start, end)
    else if (kind === frameKinds.ping) this.#writer.send(frameKinds.pong, number)
    else if (kind === frameKinds.left) {
      this.#underWay.get(number)?.left()
      this.#underWay.delete(number)
    } else this.onFault()
  }

  onFault(): void {
    this.#connection.socket.destroy()
  }

  #begin(number: number, bytes: Buffer, start: number, end: number): void {
    const found = bytes.subarray(start, end).indexOf(headEnd)
    const bodyStart = start + found + headEnd.length
    const head = found < 0 ? malformedLine : readWholeHead(bytes, start, bodyStart, end)
    if (isFault(head)) this.#send(number, textAnswer(head.status, `${head.text}\n`), false)
    else if (this.#underWay.has(number)) this.onFault()
    else if (this.#isLeaving) this.#send(number, ending, false)
    else if (this.#underWay.size >= limits.linkRequestsMax) this.#send(number, tooMany, false)
    else {
      const request = new LinkedRequest(this, head.method === 'HEAD', (answer, isHead) => {
        this.#underWay.delete(number)
        this.#send(number, answer, isHead)
      })
      this.#underWay.set(number, request)
      request.serve(this.#host.exchange(head, request), head, bytes, bodyStart, end)
    }
  }

  #send(number: number, answer: HttpAnswer | undefined, isHead: boolean): void {
    if (answer === undefined) {
      this.#writer.send(frameKinds.broken, number)
      return
    }
    const { status, body: content = noBytes } = answer
    const headers = JSON.stringify(answer.headers ?? {})
    const headersBytes = Buffer.byteLength(headers)
    const body = isHead || hasNoBody(status) ? noBytes : content
    if (headersBytes + Buffer.byteLength(body) > limits.linkAnswerBytesMax - frameRoomBytes) {
      // It would end the link, with all else that it carries.
      this.#writer.send(frameKinds.broken, number)
      return
    }
    const prefix = Buffer.allocUnsafe(answerPrefixBytes)
    prefix.writeUInt16BE(status, 0)
    prefix.writeUInt32BE(headersBytes, 2)
    this.#writer.send(frameKinds.answer, number, headers, body, prefix)
  }
}

/** @returns also where the frame holds another body than the head tells of */
function readWholeHead(bytes: Buffer, start: number, bodyStart: number, end: number): RequestHead | HttpFault {
  if (bodyStart - start > limits.httpHeadBytesMax) return headTooLarge
  const head = readHead(bytes, start, bodyStart)
  if (isFault(head)) return head
  return head.isChunked || head.contentLength !== end - bodyStart ? wrongLength : head
}

/** One request of a link. HOT: one object a request. */
class LinkedRequest implements ExchangeConnection, HttpClient {
  readonly #client: HttpClient
  readonly #isHead: boolean
  /** `undefined`: there will be none. */
  readonly #answer: (answer: HttpAnswer | undefined, isHead: boolean) => void
  #exchange: Exchange | undefined

  constructor(client: HttpClient, isHead: boolean, answer: (answer: HttpAnswer | undefined, isHead: boolean) => void) {
    this.#client = client
    this.#isHead = isHead
    this.#answer = answer
  }

  get remoteAddress(): string {
    return this.#client.remoteAddress
  }

  get certificates(): readonly X509Certificate[] {
    return this.#client.certificates
  }

  serve(exchange: Exchange, head: RequestHead, bytes: Buffer, start: number, end: number): void {
    this.#exchange = exchange
    exchange.begin(head.contentLength)
    exchange.take(bytes, start, end, true)
  }

  answer(result: HttpAnswer): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    const { stream } = result
    discardStream(stream)
    const hasBody = !this.#isHead && !hasNoBody(result.status)
    this.#answer(stream !== undefined && hasBody ? undefined : result, this.#isHead)
    if (stream !== undefined) exchange?.answered(undefined)
  }

  cut(): void {
    if (this.#exchange === undefined) return
    this.#exchange = undefined
    this.#answer(undefined, this.#isHead)
  }

  left(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.abort()
  }

  // The whole body is there.
  wantBody(): void {}
  pauseBody(): void {}
  resumeBody(): void {}
}
