/** What whoever serves over HTTP says and is given: routes, and what holds for all of them. */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { RouteTold } from '../api/told.ts'
import type { Logger } from '../logger.ts'
import type { HttpAnswer } from './answer.ts'
import type { BodyRoom } from './bodies.ts'
import type { HttpRequest } from './request.ts'
import type { BodyStream } from './streamed-body.ts'
import type { WebCallers } from './web-callers.ts'

export type HttpMethod = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS' | 'ANY'

/** The same for all requests, or made for each. */
export type AnswerTo = HttpAnswer | ((request: HttpRequest) => HttpAnswer)

interface RouteOfAnyBody {
  readonly method: HttpMethod
  /** `/devices/:id`, `/static/*`: see `router.ts`. */
  readonly pattern: string
  /** For the document about the API; left out: the route is none of it. */
  readonly told?: RouteTold | undefined
  /** Largest body, bytes; larger is answered 413. 0 (default): a body is not read. */
  readonly bodyBytesMax?: number | undefined
  /** What a body above the limit is answered with; plain text by default. */
  readonly tooLargeAnswer?: AnswerTo
  /** What a body is answered with for which there is no room; plain text by default. */
  readonly noRoomAnswer?: AnswerTo
  /**
   * Looks at the headers before the body is read; an answer given here refuses the request, as does a fault. What comes of the body
   * while a promise is waited for counts against the room.
   */
  readonly admit?: (request: HttpRequest) => HttpAnswer | undefined | Promise<HttpAnswer | undefined>
  /** What a fault of this route is answered with; a fault thrown here goes to the server's `errorAnswer`. */
  readonly faultAnswer?: (error: unknown, request: HttpRequest) => HttpAnswer
}

/** A route that is given whole bodies. */
export interface HttpRoute extends RouteOfAnyBody {
  /** `body` is the handler's own. What it throws goes to `errorAnswer`. */
  readonly handle: (request: HttpRequest, body: Buffer) => HttpAnswer | Promise<HttpAnswer>
}

/** A route that is given bodies as they come in. What it has not read once its answer has left is discarded. */
export interface HttpStreamRoute extends RouteOfAnyBody {
  readonly bodyBytesMax: number
  /** What it throws before it has answered goes to `errorAnswer`. */
  readonly handleStream: (request: HttpRequest, body: BodyStream) => HttpAnswer | Promise<HttpAnswer>
}

export type AnyRoute = HttpRoute | HttpStreamRoute

/** A connection that a route may take over. */
export interface UpgradableConnection {
  readonly socket: Socket
  readonly remoteAddress: string
  readonly certificates: readonly X509Certificate[]
  /** From here on bytes go to `taken`; what already came behind the request follows. */
  take(taken: TakenConnection): void
}

/** Takes a connection's bytes, once it speaks another protocol. */
export interface TakenConnection {
  /** Valid during the call only, and the taker's own in it. */
  onChunk(bytes: Buffer): void
  onDrained(): void
  /** Once. */
  onClosed(): void
}

/** Takes connections over whose requests ask for a WebSocket. */
export interface HttpUpgrade {
  readonly pattern: string
  /** Looks at the request; an answer given here refuses it, else the connection was taken. */
  readonly upgrade: (request: HttpRequest, connection: UpgradableConnection) => HttpAnswer | undefined
}

export interface HttpRouter {
  route(route: AnyRoute): void
  upgrade(route: HttpUpgrade): void
}

export interface HttpServing {
  /** Refuses web pages with 403; left out: nobody. */
  readonly callers?: WebCallers | undefined
  /** Adds routes before the first request can arrive. */
  readonly routes?: ((router: HttpRouter) => void) | undefined
  /** What a fault thrown by a handler is answered with; by default 500 without details. */
  readonly errorAnswer?: (error: unknown, request: HttpRequest) => HttpAnswer
  /** Called once a request with its status; `route` is the pattern, never the path. */
  readonly observe?: (method: string, route: string, status: number) => void
  /** Room for bodies, to be shared by the servers of a process; by default the server's own, of `limits.httpBodiesBytesMax`. */
  readonly bodies?: BodyRoom
  /** Connections held at once, WebSockets not counted; more are closed at once. No bound by default. */
  readonly connectionsMax?: number
  readonly onConnectionRefused?: () => void
  /** Connections may become links, which carry many requests at once (`served-link.ts`). */
  readonly requestLinks?: boolean
  /** Called with each connection and each request: whoever sent it waits. */
  readonly onStep?: () => void
  readonly logger?: Logger
}
