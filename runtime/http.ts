/**
 * HTTP as this project serves it: the one door to uWebSockets.js.
 *
 *   request ─▶ admit (headers only, may refuse) ─▶ body, bounded ─▶ handler ─▶ answer, corked
 *                  │ refused: answer, connection closed   │ too large: 413    │ throws: errorAnswer
 *
 * A client that goes away is noticed by `aborted`; nothing is written to it any more. uWebSockets.js itself ends
 * connections that stay silent for 10 s in a request and refuses header blocks above its limit (431).
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
import { type AddressInfo, createServer } from 'node:net'
import { PenstockError } from '#schemas/errors.ts'
import { answer, type HttpAnswer, readBody, textAnswer } from './http-answer.ts'
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
  /** Looks at the headers before the body is read; an answer given here refuses the request. Must not throw faults it knows. */
  readonly admit?: (request: HttpRequest) => HttpAnswer | undefined
  /** `body` is the handler's own. What it throws goes to `errorAnswer`. */
  readonly handle: (request: HttpRequest, body: Uint8Array) => HttpAnswer | Promise<HttpAnswer>
  /** What a fault of this route is answered with; a fault thrown here goes to the server's `errorAnswer`. */
  readonly faultAnswer?: (error: unknown) => HttpAnswer
}

export interface HttpRouter {
  route(route: HttpRoute): void
  /** The native application, for WebSocket and for routes that must not copy anything. */
  readonly app: TemplatedApp
  /** Whom routes on it have to refuse. */
  readonly callers: WebCallers | undefined
}

export interface HttpServerOptions {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** PEM files. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  /** Several processes listen on the same port and the kernel spreads connections over them (not on macOS). */
  readonly sharePort?: boolean
  /** Refuses web pages with 403; left out: nobody. */
  readonly callers?: WebCallers | undefined
  /** Adds routes before the first request can arrive. */
  readonly routes?: (router: HttpRouter) => void
  /** What a fault thrown by a handler is answered with; by default 500 without details. */
  readonly errorAnswer?: (error: unknown, request: HttpRequest) => HttpAnswer
  /** Called once a request with its status; `route` is the pattern, never the path. */
  readonly observe?: (method: string, route: string, status: number) => void
  readonly logger?: Logger
}

export interface HttpServer extends HttpRouter {
  readonly port: number
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
  const router: HttpRouter = {
    app,
    callers: options.callers,
    route(route) {
      const parameterCount = parameterCountOf(route.pattern)
      const method = route.method === 'ANY' ? undefined : route.method
      app[methods[route.method]](route.pattern, (response, native) =>
        serve(options, open, route, response, requestOf(native, response, parameterCount, method)),
      )
    },
  }
  options.routes?.(router)
  // The library shares a port that is named, not one that the kernel picks.
  const port = options.sharePort && options.port === 0 ? await freePort(options.host) : options.port
  const socket = await listen(app, { ...options, port })
  let listening = true
  let closing: Promise<void> | undefined
  const stopListening = (): void => {
    if (listening) us_listen_socket_close(socket)
    listening = false
  }
  return {
    ...router,
    port: us_socket_local_port(socket),
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

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, host, () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
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

function serve(
  options: HttpServerOptions,
  open: OpenRequests,
  route: HttpRoute,
  response: NativeResponse,
  request: HttpRequest,
): void {
  open.count++
  let finished = false
  const finish = (result: HttpAnswer | undefined, closeConnection = false) => {
    if (finished) return
    finished = true
    if (result) {
      options.observe?.(request.method, route.pattern, result.status)
      if (!request.aborted) answer(response, result, request.method === 'HEAD', closeConnection)
    }
    open.ended()
  }
  const fail = (error: unknown) => finish(faultAnswer(options, request, route, error))
  response.onAborted(() => {
    request.aborted = true
    finish(undefined)
  })
  const bodyBytesMax = route.bodyBytesMax ?? 0
  try {
    const refusal =
      callerRefusal(options.callers, request) ??
      route.admit?.(request) ??
      (Number(request.header('content-length')) > bodyBytesMax && bodyBytesMax > 0 ? tooLarge(route) : undefined)
    if (refusal) {
      finish(refusal, true)
      return
    }
    const run = (body: Uint8Array) => {
      try {
        const result = route.handle(request, body)
        if (result instanceof Promise) result.then((value) => finish(value), fail)
        else finish(result)
      } catch (error) {
        fail(error)
      }
    }
    if (bodyBytesMax === 0) run(noBody)
    else readBody(response, bodyBytesMax, (body) => (body ? run(body) : finish(tooLarge(route), true)))
  } catch (error) {
    fail(error)
  }
}

function callerRefusal(callers: WebCallers | undefined, request: HttpRequest): HttpAnswer | undefined {
  const fault = callers?.fault(request.header('host'), request.header('origin'))
  return fault === undefined ? undefined : textAnswer(403, `${fault}\n`)
}

const noBody = new Uint8Array(0)

function tooLarge({ tooLargeAnswer, bodyBytesMax }: HttpRoute): HttpAnswer {
  return tooLargeAnswer ?? textAnswer(413, `the body is larger than ${bodyBytesMax} bytes\n`)
}

function faultAnswer(options: HttpServerOptions, request: HttpRequest, route: HttpRoute, error: unknown): HttpAnswer {
  if (route.faultAnswer) {
    try {
      return route.faultAnswer(error)
    } catch (second) {
      error = second
    }
  }
  if (options.errorAnswer) {
    try {
      return options.errorAnswer(error, request)
    } catch (second) {
      error = second
    }
  }
  const logger = options.logger ?? silentLogger
  logger.error('a request failed', { method: request.method, route: route.pattern, error })
  return textAnswer(500, 'internal error\n')
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
