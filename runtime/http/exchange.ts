import { limits } from '#schemas/limits.ts'
import { assert } from '../assert.ts'
import { silentLogger } from '../logger.ts'
import { type HttpAnswer, textAnswer } from './answer.ts'
import { type BodyOutcome, type BodyReceiver, type BodyRoom, type IncomingBody, RequestBody } from './bodies.ts'
import type { HttpRequest, ReadRequest } from './request.ts'
import type { AnswerTo, AnyRoute, HttpServing } from './serving.ts'
import { discardStream } from './streamed-answer.ts'
import { BodyFault, type BodySource, StreamedBody } from './streamed-body.ts'
import type { WebCallers } from './web-callers.ts'

/** The connection that a request came on. */
export interface ExchangeConnection extends BodySource {
  /**
   * To be called once, unless the client has gone; `answered` follows where the answer is a stream.
   * @param closes nothing more is served on the connection
   */
  answer(result: HttpAnswer, closes: boolean): void
  /** Ends the connection in the middle of an answer, so that its client sees that it is not whole. */
  cut(): void
}

/** One request until its answer. HOT: one object a request, so it has methods and no closures. */
export class Exchange implements BodyReceiver {
  readonly #serving: HttpServing
  readonly #open: OpenRequests
  readonly #route: AnyRoute
  readonly #connection: ExchangeConnection
  readonly #request: ReadRequest
  readonly #body: IncomingBody | undefined
  readonly #stream: StreamedBody | undefined
  #isAdmitted = false
  /** A body that was complete before the route decided on it. */
  #whole: Buffer | undefined = undefined
  #finished = false
  #isOver = false

  constructor(
    serving: HttpServing,
    open: OpenRequests,
    bodies: BodyRoom,
    route: AnyRoute,
    connection: ExchangeConnection,
    request: ReadRequest,
    lengthBytes: number | undefined,
  ) {
    this.#serving = serving
    this.#open = open
    this.#route = route
    this.#connection = connection
    this.#request = request
    const { bodyBytesMax = 0 } = route
    if ('handleStream' in route) {
      const bounds = { bytesMax: bodyBytesMax, aheadBytesMax: limits.httpBodyAheadBytesMax, lengthBytes }
      this.#stream = new StreamedBody(bodies, bounds, connection, this)
      this.#body = this.#stream
    } else this.#body = bodyBytesMax === 0 ? undefined : new RequestBody(bodies, bodyBytesMax, this)
    open.count++
  }

  /** @param bodyBytes by Content-Length; 0 without one */
  begin(bodyBytes: number): void {
    if (this.#body !== undefined && bodyBytes > (this.#route.bodyBytesMax ?? 0)) {
      this.#finish(this.#tooLarge(), true)
      return
    }
    try {
      const refusal = callerRefusal(this.#serving.callers, this.#request) ?? this.#route.admit?.(this.#request)
      if (!(refusal instanceof Promise)) this.#decided(refusal)
      else
        refusal.then(
          (result) => this.#decided(result),
          (error) => this.#fail(error),
        )
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Takes bytes of the body, and its end. Bytes that are not wanted are discarded. */
  take(chunk: Buffer, start: number, end: number, isLast: boolean): void {
    this.#body?.take(chunk, start, end, isLast)
  }

  /** The client has gone. */
  abort(): void {
    this.#request.left()
    if (this.#stream !== undefined) this.#stream.release('client gone')
    this.#finish(undefined)
    this.#end()
  }

  /** A streamed answer has left, or broke off. @param fault why it did */
  answered(fault: unknown): void {
    const { logger = silentLogger } = this.#serving
    const { method } = this.#request
    if (fault !== undefined) logger.warn('an answer broke off', { method, route: this.#route.pattern, error: fault })
    this.#end()
  }

  /** Bytes of the body that come before the route's decision wait for it. */
  onBody(outcome: BodyOutcome): void {
    if (this.#finished) this.#connection.cut()
    else if (outcome === 'too large') this.#finish(this.#tooLarge(), true)
    else if (outcome === 'no room') this.#finish(this.#answerTo(this.#route.noRoomAnswer ?? noRoomAnswer))
    else if (this.#isAdmitted) this.#run(outcome)
    else this.#whole = outcome
  }

  #decided(refusal: HttpAnswer | undefined): void {
    if (refusal) {
      this.#finish(refusal)
      return
    }
    if (this.#finished) return
    this.#isAdmitted = true
    if (this.#stream !== undefined) this.#run(noBody)
    else if (this.#body === undefined) this.#run(noBody)
    else if (this.#whole !== undefined) this.#run(this.#whole)
    else this.#connection.wantBody()
  }

  #run(bytes: Buffer): void {
    if (this.#finished) return
    try {
      const result = this.#handled(bytes)
      if (!(result instanceof Promise)) this.#finish(result)
      else
        result.then(
          (value) => this.#finish(value),
          (error) => this.#fail(error),
        )
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    // The handler only hears of what was answered already, or reaches nobody.
    if (this.#finished && error instanceof BodyFault) return
    this.#finish(this.#faultAnswer(error))
  }

  #handled(bytes: Buffer): HttpAnswer | Promise<HttpAnswer> {
    const route = this.#route
    if (!('handleStream' in route)) return route.handle(this.#request, bytes)
    assert(this.#stream !== undefined, 'a route of streamed bodies is given one')
    return route.handleStream(this.#request, this.#stream)
  }

  /** @param result `undefined`: the client has gone */
  #finish(result: HttpAnswer | undefined, closes = false): void {
    if (this.#finished) {
      discardStream(result?.stream)
      return
    }
    this.#finished = true
    this.#whole = undefined
    // While a streamed answer leaves, a streamed body may still be read for it.
    const goesOn = result?.stream !== undefined
    if (!goesOn || this.#stream === undefined) this.#body?.release()
    if (result) {
      this.#serving.observe?.(this.#request.method, this.#route.pattern, result.status)
      this.#connection.answer(result, closes)
    }
    if (!goesOn) this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stream?.release()
    this.#open.ended()
  }

  #tooLarge(): HttpAnswer {
    const { tooLargeAnswer, bodyBytesMax } = this.#route
    return this.#answerTo(tooLargeAnswer ?? textAnswer(413, `the body is larger than ${bodyBytesMax} bytes\n`))
  }

  #answerTo(answer: AnswerTo): HttpAnswer {
    return typeof answer === 'function' ? answer(this.#request) : answer
  }

  #faultAnswer(error: unknown): HttpAnswer {
    const { errorAnswer, logger = silentLogger } = this.#serving
    try {
      if (this.#route.faultAnswer) return this.#route.faultAnswer(error, this.#request)
    } catch (second) {
      error = second
    }
    try {
      if (errorAnswer) return errorAnswer(error, this.#request)
    } catch (second) {
      error = second
    }
    logger.error('a request failed', { method: this.#request.method, route: this.#route.pattern, error })
    return textAnswer(500, 'internal error\n')
  }
}

const noRoomAnswer = textAnswer(503, 'too much is under way at the moment\n', { 'Retry-After': '1' })
const noBody = Buffer.alloc(0)

/** The refusal of a web page that may not send this request; `undefined` for everybody else. */
export function callerRefusal(callers: WebCallers | undefined, request: HttpRequest): HttpAnswer | undefined {
  const fault = callers?.fault(request.header('host'), request.header('origin'), request.header('sec-fetch-site'))
  return fault === undefined ? undefined : textAnswer(403, `${fault}\n`)
}

/** Counts requests that have no answer yet. */
export class OpenRequests {
  count = 0
  #drained: (() => void) | undefined

  ended(): void {
    this.count--
    if (this.count === 0) this.#drained?.()
  }

  drained(waitMs: number): Promise<void> {
    if (this.count === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs)
      this.#drained = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
