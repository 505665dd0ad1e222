import { silentLogger } from '../logger.ts'
import { type HttpAnswer, textAnswer } from './answer.ts'
import { type BodyOutcome, type BodyReceiver, type BodyRoom, RequestBody } from './bodies.ts'
import type { HttpRoute, HttpServing } from './http.ts'
import type { HttpRequest } from './request.ts'
import type { WebCallers } from './web-callers.ts'

/** The connection that a request came on. */
export interface ExchangeConnection {
  /** The body is wanted. A client that waits for `100 Continue` gets it. */
  wantBody(): void
  /** Is called once, unless the client has gone. @param closes no further request is served on the connection */
  answer(result: HttpAnswer, closes: boolean): void
}

/** One request until its answer. HOT: one object a request, so it has methods and no closures. */
export class Exchange implements BodyReceiver {
  readonly #serving: HttpServing
  readonly #open: OpenRequests
  readonly #route: HttpRoute
  readonly #connection: ExchangeConnection
  readonly #request: HttpRequest
  readonly #body: RequestBody | undefined
  #isAdmitted = false
  /** A body that was complete before the route decided on it. */
  #whole: Buffer | undefined = undefined
  #finished = false

  constructor(
    serving: HttpServing,
    open: OpenRequests,
    bodies: BodyRoom,
    route: HttpRoute,
    connection: ExchangeConnection,
    request: HttpRequest,
  ) {
    this.#serving = serving
    this.#open = open
    this.#route = route
    this.#connection = connection
    this.#request = request
    const { bodyBytesMax = 0 } = route
    this.#body = bodyBytesMax === 0 ? undefined : new RequestBody(bodies, bodyBytesMax, this)
    open.count++
  }

  /** @param bodyBytes by Content-Length; 0 without one */
  begin(bodyBytes: number): void {
    if (this.#body !== undefined && bodyBytes > (this.#route.bodyBytesMax ?? 0)) {
      this.#finish(tooLarge(this.#route), true)
      return
    }
    try {
      const refusal = callerRefusal(this.#serving.callers, this.#request) ?? this.#route.admit?.(this.#request)
      if (!(refusal instanceof Promise)) this.#decided(refusal)
      else
        refusal.then(
          (result) => this.#decided(result),
          (error) => this.#finish(this.#faultAnswer(error)),
        )
    } catch (error) {
      this.#finish(this.#faultAnswer(error))
    }
  }

  /** Takes bytes of the body, and its end. Bytes that are not wanted are discarded. */
  take(chunk: Buffer, start: number, end: number, isLast: boolean): void {
    this.#body?.take(chunk, start, end, isLast)
  }

  /** The client has gone. */
  abort(): void {
    this.#request.aborted = true
    this.#finish(undefined)
  }

  /** Bytes of the body that come before the route's decision wait for it. */
  onBody(outcome: BodyOutcome): void {
    if (outcome === 'too large') this.#finish(tooLarge(this.#route), true)
    else if (outcome === 'no room') this.#finish(this.#route.noRoomAnswer ?? noRoomAnswer)
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
    if (this.#body === undefined) this.#run(noBody)
    else if (this.#whole !== undefined) this.#run(this.#whole)
    else this.#connection.wantBody()
  }

  #run(bytes: Buffer): void {
    if (this.#finished) return
    try {
      const result = this.#route.handle(this.#request, bytes)
      if (!(result instanceof Promise)) this.#finish(result)
      else
        result.then(
          (value) => this.#finish(value),
          (error) => this.#finish(this.#faultAnswer(error)),
        )
    } catch (error) {
      this.#finish(this.#faultAnswer(error))
    }
  }

  /** @param result `undefined`: the client has gone */
  #finish(result: HttpAnswer | undefined, closes = false): void {
    if (this.#finished) return
    this.#finished = true
    this.#whole = undefined
    this.#body?.release()
    if (result) {
      this.#serving.observe?.(this.#request.method, this.#route.pattern, result.status)
      this.#connection.answer(result, closes)
    }
    this.#open.ended()
  }

  #faultAnswer(error: unknown): HttpAnswer {
    const { errorAnswer, logger = silentLogger } = this.#serving
    try {
      if (this.#route.faultAnswer) return this.#route.faultAnswer(error)
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

function tooLarge({ tooLargeAnswer, bodyBytesMax }: HttpRoute): HttpAnswer {
  return tooLargeAnswer ?? textAnswer(413, `the body is larger than ${bodyBytesMax} bytes\n`)
}

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
