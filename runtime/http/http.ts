/**
 * HTTP as this project serves it, over sockets of `node:net` and `node:tls`:
 *
 *   request ─▶ admit (headers only, may refuse) ─▶ body, bounded ─▶ handler ─▶ answer, one write, or streamed
 *                  │ refused: answer               │ too large: 413    │ throws: errorAnswer
 *                                                  │ no room: 503
 *
 * A handler may be given the body as it comes in, and answer with one that is made while it is sent (`streamed-body.ts`,
 * `streamed-answer.ts`). A client that goes away is noticed by `aborted`; nothing is written to it any more. What a connection is between requests, and
 * when it ends: `connection.ts`. What is a request: `head.ts`, `chunks.ts`.
 */
import type { X509Certificate } from 'node:crypto'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { limits } from '#schemas/limits.ts'
import { listening } from '../listening.ts'
import { readInPlace } from '../read-in-place.ts'
import { answerHead, type HttpAnswer, textAnswer } from './answer.ts'
import { BodyRoom } from './bodies.ts'
import { type ConnectionHost, farewellMsMax, HttpConnection } from './connection.ts'
import { callerRefusal, Exchange, type ExchangeConnection, OpenRequests } from './exchange.ts'
import { type RequestHead, requestLinkProtocol } from './head.ts'
import { type HttpClient, isPatchByPost, ReadRequest } from './request.ts'
import { PatternTree } from './router.ts'
import { type LinkHost, ServedLink } from './served-link.ts'
import type { AnyRoute, HttpRouter, HttpServing, HttpUpgrade } from './serving.ts'

export interface HttpServerOptions extends HttpServing {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** Several processes listen on the same port and the kernel spreads connections over them (not on macOS). */
  readonly sharePort?: boolean
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

/** Serves connections that are handed to it. */
export interface HttpService extends HttpRouter {
  /**
   * @param socket paused and without listeners; of TLS once its handshake is done
   * @param certificatesOf what its client showed; left out: it was not asked
   */
  accept(socket: Socket, certificatesOf?: () => readonly X509Certificate[]): void
  /** Waits up to `drainMs` (default 2,000) for open requests. Their connections end with their answers. Then it ends every other connection. */
  close(drainMs?: number): Promise<void>
}

/** Serves the routes given in `options.routes` or added later. */
export function httpService(options: HttpServing): HttpService {
  return new Service(options)
}

/** How many sockets may be closing beside those that may be open. */
const closingMax = 1_000

/** Listens, and serves the routes given in `options.routes` or added later. @throws PenstockError PORT_UNAVAILABLE */
export async function openHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { host, port, sharePort = false } = options
  const service = httpService(options)
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => service.accept(socket))
  await listening(server, 'HTTP', host, port, sharePort)
  const stopListening = (): void => {
    server.close()
  }
  return {
    route: (route) => service.route(route),
    upgrade: (route) => service.upgrade(route),
    port: (server.address() as AddressInfo).port,
    stopListening,
    close: (drainMs) => {
      stopListening()
      return service.close(drainMs)
    },
  }
}

class Service implements HttpService, ConnectionHost, LinkHost {
  seconds = 0
  isClosing = false
  readonly #options: HttpServing
  readonly #bodies: BodyRoom
  readonly #open = new OpenRequests()
  readonly #routes = new PatternTree<AnyRoute>()
  readonly #upgrades = new PatternTree<HttpUpgrade>()
  readonly #connections = new Set<HttpConnection>()
  readonly #links = new Set<ServedLink>()
  /** Those of the connections, of WebSockets, and of connections that are being closed. */
  readonly #sockets = new Set<Socket>()
  readonly #sweep: NodeJS.Timeout
  readonly #parameters: string[] = []
  #closed: Promise<void> | undefined

  constructor(options: HttpServing) {
    this.#options = options
    this.#bodies = options.bodies ?? new BodyRoom(limits.httpBodiesBytesMax)
    options.routes?.(this)
    this.#sweep = setInterval(() => this.#onSecond(), 1000).unref()
  }

  route(route: AnyRoute): void {
    this.#routes.add(route.method, route.pattern, route)
  }

  upgrade(route: HttpUpgrade): void {
    this.#upgrades.add('GET', route.pattern, route)
  }

  accept(accepted: Socket, certificatesOf?: () => readonly X509Certificate[]): void {
    const { connectionsMax = Number.POSITIVE_INFINITY, onConnectionRefused, onStep } = this.#options
    onStep?.()
    // Beside HTTP connections there are WebSockets, which their owner bounds, and sockets that are closing.
    const isFull = this.#connections.size >= connectionsMax || this.#sockets.size >= 2 * connectionsMax + closingMax
    if (this.isClosing || isFull) {
      if (!this.isClosing) onConnectionRefused?.()
      accepted.destroy()
      return
    }
    let connection: HttpConnection | undefined
    const onChunk = (bytes: Buffer): void => connection?.onChunk(bytes)
    const socket = accepted instanceof TLSSocket ? accepted : readInPlace(accepted, onChunk)
    if (socket === accepted) socket.on('data', onChunk)
    connection = new HttpConnection(this, socket, certificatesOf)
    attach(connection, socket)
    this.#connections.add(connection)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.resume()
  }

  /** HOT: per request. */
  begin(head: RequestHead, connection: HttpConnection): Exchange | undefined {
    if (head.upgrade === 'websocket') {
      const route = this.#upgrades.find('GET', head.path, this.#parameters)
      if (route !== undefined) {
        this.#upgrade(route, head, connection)
        return undefined
      }
    } else if (head.upgrade !== undefined && this.#options.requestLinks) {
      this.#link(head, connection)
      return undefined
    }
    return this.exchange(head, connection)
  }

  /** HOT: per request. */
  exchange(head: RequestHead, connection: ExchangeConnection & HttpClient): Exchange {
    this.#options.onStep?.()
    const sent = this.#routes.find(head.method, head.path, this.#parameters)
    const meant = sent?.method !== 'POST' && isPatchByPost(head) ? { ...head, method: 'PATCH' } : head
    const route = meant === head ? sent : this.#routes.find(meant.method, meant.path, this.#parameters)
    const request = new ReadRequest(meant, this.#parameters.slice(), connection)
    const lengthBytes = head.isChunked ? undefined : head.contentLength
    const found = route ?? this.#noRoute(meant)
    return new Exchange(this.#options, this.#open, this.#bodies, found, connection, request, lengthBytes)
  }

  left(connection: HttpConnection): void {
    this.#connections.delete(connection)
  }

  linkClosed(link: ServedLink): void {
    this.#links.delete(link)
  }

  close(drainMs = 2_000): Promise<void> {
    this.#closed ??= this.#close(drainMs)
    return this.#closed
  }

  async #close(drainMs: number): Promise<void> {
    this.isClosing = true
    for (const connection of this.#connections) if (connection.isIdle) connection.end()
    for (const link of this.#links) link.goodbye()
    await this.#open.drained(drainMs)
    clearInterval(this.#sweep)
    for (const connection of this.#connections) connection.end()
    for (const link of this.#links) link.end()
    // Answers that were just handed to their sockets leave. A client that is told the end closes its side.
    const closed = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    const timer = setTimeout(
      () => {
        for (const socket of this.#sockets) socket.destroy()
      },
      Math.min(drainMs, farewellMsMax),
    )
    await Promise.all(closed)
    clearTimeout(timer)
  }

  #onSecond(): void {
    this.seconds++
    for (const connection of this.#connections) connection.onSecond()
    for (const link of this.#links) link.onSecond()
  }

  #link(head: RequestHead, connection: HttpConnection): void {
    this.#options.onStep?.()
    const refusal =
      callerRefusal(this.#options.callers, new ReadRequest(head, [], connection)) ??
      (this.#links.size >= limits.linksMax ? textAnswer(503, 'there are links enough\n') : undefined)
    if (refusal !== undefined || head.contentLength > 0 || head.isChunked) {
      connection.answer(refusal ?? textAnswer(400, 'a request for a link has no body\n'), true)
      return
    }
    connection.socket.write(answerHead(101, { Upgrade: requestLinkProtocol }, undefined, 'Upgrade'))
    const link = new ServedLink(this, connection)
    this.#links.add(link)
    connection.take(link)
    if (this.isClosing) link.goodbye()
  }

  #upgrade(route: HttpUpgrade, head: RequestHead, connection: HttpConnection): void {
    this.#options.onStep?.()
    const request = new ReadRequest(head, [], connection)
    const hasBody = head.contentLength > 0 || head.isChunked
    const refusal =
      callerRefusal(this.#options.callers, request) ??
      (hasBody ? textAnswer(400, 'a request for a WebSocket has no body\n') : route.upgrade(request, connection))
    if (refusal) connection.answer(refusal, true)
  }

  /** For paths and methods that nobody serves. */
  #noRoute({ path }: RequestHead): AnyRoute {
    const methods = path === '*' ? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] : this.#routes.methodsOf(path)
    const allowed = { Allow: methods.join(', ') }
    const answer = (): HttpAnswer => {
      if (path === '*') return { status: 204, headers: allowed }
      if (methods.length > 0) return textAnswer(405, 'this method is not served here\n', allowed)
      return textAnswer(404, 'nothing is served under this path\n')
    }
    return { method: 'ANY', pattern: '', handle: answer }
  }
}

function attach(connection: HttpConnection, socket: Socket): void {
  socket.on('end', () => connection.onClosed())
  socket.on('close', () => connection.onClosed())
  socket.on('drain', () => connection.onDrained())
  socket.on('timeout', () => connection.onStalled())
  socket.on('error', ignoreError) // a `close` follows, and says enough
}

function ignoreError(): void {}
