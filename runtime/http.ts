/**
 * HTTP as this project serves it: the one door to uWebSockets.js.
 *
 *   request ─▶ admit (headers only, may refuse) ─▶ body, bounded ─▶ handler ─▶ answer, corked
 *                  │ refused: answer               │ too large: 413    │ throws: errorAnswer
 *                                                  │ no room: 503
 *
 * A client that goes away is noticed by `aborted`; nothing is written to it any more. uWebSockets.js itself ends connections that
 * stay silent, or send less than 16 KB a second of a request, for 10 s, and refuses header blocks above its limit (431). Of a
 * request that was answered early it discards the rest, at the same pace; where it was not told how much that is, or it is too
 * much, the connection is closed.
 */

import {
  App,
  type HttpResponse as NativeResponse,
  SSLApp,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
} from 'uWebSockets.js'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { freePort } from './free-ports.ts'
import { answer, type HttpAnswer, textAnswer } from './http-answer.ts'
import { BodyRoom, RequestBody } from './http-bodies.ts'
import type { HttpPeer, HttpPeers } from './http-peers.ts'
import { type HttpRequest, parameterCountOf, requestOf } from './http-request.ts'
import type { Logger } from './logger.ts'
import { silentLogger } from './logger.ts'
import type { WebCallers } from './web-callers.ts'

export type HttpMethod = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS' | 'ANY'

export interface HttpRoute {
  readonly method: HttpMethod
  /** uWebSockets.js pattern: `/devices/:id`, `/static/*`. */
  readonly pattern: string
  /** Largest body, bytes; larger is answered 413. 0 (default): a body is not read. */
  readonly bodyBytesMax?: number
  /** What a body above the limit is answered with; plain text by default. */
  readonly tooLargeAnswer?: HttpAnswer
  /** What a body is answered with for which there is no room; plain text by default. */
  readonly noRoomAnswer?: HttpAnswer
  /**
   * Looks at the headers before the body is read; an answer given here refuses the request, as does a fault. What comes of the body
   * while a promise is waited for counts against the room.
   */
  readonly admit?: (request: HttpRequest) => HttpAnswer | undefined | Promise<HttpAnswer | undefined>
  /** `body` is the handler's own. What it throws goes to `errorAnswer`. */
  readonly handle: (request: HttpRequest, body: Buffer) => HttpAnswer | Promise<HttpAnswer>
  /** What a fault of this route is answered with; a fault thrown here goes to the server's `errorAnswer`. */
  readonly faultAnswer?: (error: unknown) => HttpAnswer
}

export interface HttpRouter {
  route(route: HttpRoute): void
  /** The native application, for WebSocket and for routes that must not copy anything. */
  readonly app: TemplatedApp
  /** Who is at the far end of each connection, where another server passes them on. */
  readonly peers: HttpPeers | undefined
  /** A connection became a WebSocket: it no longer counts among the server's, but among those of whoever took it. */
  readonly upgraded: () => void
  /** Whom routes on it have to refuse. */
  readonly callers: WebCallers | undefined
}

export interface HttpServerOptions extends HttpServing {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** PEM files. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  /** Several processes listen on the same port and the kernel spreads connections over them (not on macOS). */
  readonly sharePort?: boolean
}

export interface HttpServing {
  /** Refuses web pages with 403; left out: nobody. */
  readonly callers?: WebCallers | undefined
  /** Adds routes before the first request can arrive. */
  readonly routes?: (router: HttpRouter) => void
  /** What a fault thrown by a handler is answered with; by default 500 without details. */
  readonly errorAnswer?: (error: unknown, request: HttpRequest) => HttpAnswer
  /** Called once a request with its status; `route` is the pattern, never the path. */
  readonly observe?: (method: string, route: string, status: number) => void
  /** Room for bodies, to be shared by the servers of a process; by default the server's own, of `limits.httpBodiesBytesMax`. */
  readonly bodies?: BodyRoom
  /** Connections held at once, WebSockets not counted; more are closed at once. No bound by default. */
  readonly connectionsMax?: number
  readonly onConnectionRefused?: () => void
  readonly logger?: Logger
}

export interface HttpServer extends HttpRouter, HttpListening {
  readonly port: number
}

export interface HttpListening {
  /** Accepts no more connections; open ones go on until `close`. */
  stopListening(): void
  /** Stops listening, waits up to `drainMs` (default 2,000) for open requests, then ends every connection. */
  close(drainMs?: number): Promise<void>
}

const exclusivePort = 1 // LIBUS_LISTEN_EXCLUSIVE_PORT
const methods = {
  GET: 'get',
  PUT: 'put',
  POST: 'post',
  PATCH: 'patch',
  DELETE: 'del',
  HEAD: 'head',
  OPTIONS: 'options',
  ANY: 'any',
} as const

/** Listens, and serves the routes given in `options.routes` or added later. @throws PenstockError PORT_UNAVAILABLE */
export async function openHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const app = options.tls ? SSLApp({ cert_file_name: options.tls.certFile, key_file_name: options.tls.keyFile }) : App()
  const open = new OpenRequests()
  const router = routerOf(app, options, open, undefined)
  options.routes?.(router)
  // The library shares a port that is named, not one that the kernel picks.
  const port = options.sharePort && options.port === 0 ? await freePort(options.host) : options.port
  const socket = await listen(app, { ...options, port })
  return { ...router, ...listening(app, socket, open), port: us_socket_local_port(socket) }
}

/**
 * Serves connections that another server of this process passes on over a local socket, each opened with its peer's header. Whatever
 * else connects is closed at its first request.
 * @param socketFile at most 100 bytes; made by this call, in a folder that only this user may enter
 * @throws PenstockError PORT_UNAVAILABLE
 */
export async function openHttpServerBehind(
  socketFile: string,
  peers: HttpPeers,
  options: HttpServing,
): Promise<HttpListening> {
  // The library copies the name unchecked into a field of 108 bytes.
  if (Buffer.byteLength(socketFile) > socketFileBytesMax)
    throw new PenstockError('PORT_UNAVAILABLE', `${socketFile} is too long a name for a local socket`)
  const app = App()
  const open = new OpenRequests()
  options.routes?.(routerOf(app, options, open, peers))
  const socket = await new Promise<us_listen_socket | false>((resolve) => app.listen_unix(resolve, socketFile))
  if (!socket) throw new PenstockError('PORT_UNAVAILABLE', `cannot listen on ${socketFile}`)
  return listening(app, socket, open)
}

const socketFileBytesMax = 100

function routerOf(
  app: TemplatedApp,
  options: HttpServing,
  open: OpenRequests,
  peers: HttpPeers | undefined,
): HttpRouter {
  const bodies = options.bodies ?? new BodyRoom(limits.httpBodiesBytesMax)
  return {
    app,
    callers: options.callers,
    peers,
    upgraded: boundConnections(app, options),
    route(route) {
      const parameterCount = parameterCountOf(route.pattern)
      const method = route.method === 'ANY' ? undefined : route.method
      app[methods[route.method]](route.pattern, (response, native) => {
        const peer = peers?.of(response)
        if (peers !== undefined && peer === undefined) {
          response.close()
          return
        }
        const request = requestOf(native, response, parameterCount, method, peer)
        new Exchange(options, open, bodies, route, response, request, peer).serve()
      })
    },
  }
}

/** @returns what to call when a connection became a WebSocket, whose end the library does not tell of here */
function boundConnections(app: TemplatedApp, { connectionsMax, onConnectionRefused }: HttpServing): () => void {
  if (connectionsMax === undefined) return () => {}
  let count = 0
  const onChange = (response: NativeResponse, change: number): void => {
    count += change
    if (change < 0 || count <= connectionsMax) return
    onConnectionRefused?.()
    response.close()
  }
  app.filter(onChange)
  return () => {
    count--
  }
}

function listening(app: TemplatedApp, socket: us_listen_socket, open: OpenRequests): HttpListening {
  let isListening = true
  let closing: Promise<void> | undefined
  const stopListening = (): void => {
    if (isListening) us_listen_socket_close(socket)
    isListening = false
  }
  return {
    stopListening,
    close(drainMs = 2_000) {
      closing ??= (async () => {
        stopListening()
        await open.drained(drainMs)
        app.close()
      })()
      return closing
    },
  }
}

function listen(app: TemplatedApp, options: HttpServerOptions): Promise<us_listen_socket> {
  return new Promise((resolve, reject) => {
    const onListening = (socket: us_listen_socket | false) => {
      if (socket) resolve(socket)
      else {
        const where = `${options.host}:${options.port}`
        reject(new PenstockError('PORT_UNAVAILABLE', `cannot listen on ${where}: it is taken or may not be bound`))
      }
    }
    // The types lack the four-argument form, which the library has: host, port, options, callback.
    const listenNative = app.listen.bind(app) as unknown as (
      host: string,
      port: number,
      flags: number,
      done: typeof onListening,
    ) => TemplatedApp
    listenNative(options.host, options.port, options.sharePort ? 0 : exclusivePort, onListening)
  })
}

/** One request until its answer. HOT: one a request, so methods instead of functions of its own. */
class Exchange {
  readonly #options: HttpServing
  readonly #open: OpenRequests
  readonly #route: HttpRoute
  readonly #response: NativeResponse
  readonly #request: HttpRequest
  readonly #peer: HttpPeer | undefined
  readonly #bodyBytesMax: number
  readonly #body: RequestBody | undefined
  #finished = false

  constructor(
    options: HttpServing,
    open: OpenRequests,
    bodies: BodyRoom,
    route: HttpRoute,
    response: NativeResponse,
    request: HttpRequest,
    peer: HttpPeer | undefined,
  ) {
    this.#options = options
    this.#open = open
    this.#route = route
    this.#response = response
    this.#request = request
    this.#peer = peer
    this.#bodyBytesMax = route.bodyBytesMax ?? 0
    this.#body = this.#bodyBytesMax === 0 ? undefined : new RequestBody(bodies, this.#bodyBytesMax)
    open.count++
    response.onAborted(() => {
      request.aborted = true
      this.#finish(undefined)
    })
  }

  /** To be called in the tick of the library's handler. */
  serve(): void {
    if (this.#body !== undefined && Number(this.#request.header('content-length')) > this.#bodyBytesMax) {
      this.#finish(tooLarge(this.#route), true)
      return
    }
    try {
      const refusal = callerRefusal(this.#options.callers, this.#request) ?? this.#route.admit?.(this.#request)
      if (refusal instanceof Promise) this.#readWhileAsking(refusal)
      else if (refusal) this.#finishEarly(refusal)
      else this.#read((bytes) => this.#run(bytes))
    } catch (error) {
      this.#finishEarly(this.#faultAnswer(error))
    }
  }

  /** What comes of the body before the decision waits for it. */
  #readWhileAsking(refusal: Promise<HttpAnswer | undefined>): void {
    let isAdmitted = false
    let whole: Buffer | undefined
    this.#read((bytes) => {
      whole = bytes
      if (isAdmitted) this.#run(bytes)
    })
    refusal.then(
      (result) => {
        if (result) this.#finishEarly(result)
        else {
          isAdmitted = true
          if (whole) this.#run(whole)
        }
      },
      (error) => this.#finishEarly(this.#faultAnswer(error)),
    )
  }

  #read(whole: (bytes: Buffer) => void): void {
    if (this.#body === undefined) whole(noBody)
    else
      this.#body.read(this.#response, (outcome) => {
        if (outcome === 'too large') this.#finish(tooLarge(this.#route), true)
        else if (outcome === 'no room') this.#finishEarly(this.#route.noRoomAnswer ?? noRoomAnswer)
        else whole(outcome)
      })
  }

  #run(bytes: Buffer): void {
    if (this.#finished) return
    const fail = (error: unknown) => this.#finish(this.#faultAnswer(error))
    try {
      const result = this.#route.handle(this.#request, bytes)
      if (result instanceof Promise) result.then((value) => this.#finish(value), fail)
      else this.#finish(result)
    } catch (error) {
      fail(error)
    }
  }

  /** Before all of the body was read. */
  #finishEarly(result: HttpAnswer): void {
    this.#finish(result, !isSoonOver(this.#request, this.#bodyBytesMax))
  }

  /** @param result `undefined`: the client has gone */
  #finish(result: HttpAnswer | undefined, closeConnection = false): void {
    if (this.#finished) return
    this.#finished = true
    this.#body?.release()
    if (result) {
      this.#options.observe?.(this.#request.method, this.#route.pattern, result.status)
      if (!this.#request.aborted) this.#tell(result, closeConnection)
    }
    this.#open.ended()
  }

  #tell(result: HttpAnswer, closeConnection: boolean): void {
    const isHead = this.#request.method === 'HEAD'
    if (this.#peer === undefined || !closeConnection) {
      answer(this.#response, result, isHead, closeConnection)
      return
    }
    // Whoever passes the connection on ends it: closed from here, it could not write on, and would lose the answer.
    answer(this.#response, { ...result, headers: { ...result.headers, Connection: 'close' } }, isHead)
    this.#peer.end()
  }

  #faultAnswer(error: unknown): HttpAnswer {
    const { errorAnswer, logger = silentLogger } = this.#options
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

/** True if the library knows how much of the request is still to come, and that is not much. */
function isSoonOver(request: HttpRequest, bodyBytesMax: number): boolean {
  return request.header('transfer-encoding') === '' && Number(request.header('content-length')) <= bodyBytesMax
}

const noRoomAnswer = textAnswer(503, 'too much is under way at the moment\n', { 'Retry-After': '1' })

function callerRefusal(callers: WebCallers | undefined, request: HttpRequest): HttpAnswer | undefined {
  const fault = callers?.fault(request.header('host'), request.header('origin'), request.header('sec-fetch-site'))
  return fault === undefined ? undefined : textAnswer(403, `${fault}\n`)
}

const noBody = Buffer.alloc(0)

function tooLarge({ tooLargeAnswer, bodyBytesMax }: HttpRoute): HttpAnswer {
  return tooLargeAnswer ?? textAnswer(413, `the body is larger than ${bodyBytesMax} bytes\n`)
}

/** Counts requests that have no answer yet. */
class OpenRequests {
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
        // The answer was handed to the socket in this tick; let it leave.
        setImmediate(resolve)
      }
    })
  }
}
