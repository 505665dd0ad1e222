import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { publicReason } from '#control/auth/auth.ts'
import { faultAnswer } from '#control/rest/rest.ts'
import { limitFailures } from '#ingest/quotas/limit-failures.ts'
import type { Quotas } from '#ingest/quotas/quotas.ts'
import { systemClock } from '#runtime/clock.ts'
import { type HttpAnswer, textAnswer } from '#runtime/http/answer.ts'
import type { LinkedCall } from '#runtime/http/asking-link.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { BodyStream } from '#runtime/http/streamed-body.ts'
import { isLoopbackAddress } from '#runtime/loopback.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { ControlAddress } from './control-address.ts'
import { ControlLink } from './control-link.ts'
import { passedAnswer, passedHead, passedHeaders, targetOf } from './passed-request.ts'

/** A long answer and a large body each hold one for as long as they last. */
const connectionsMax = 256
/** So long either side may say nothing; how long all of it takes does not matter. */
const silenceMsMax = 60_000
/** A method is answered when its device is, or when its two times are over. */
const methodSilenceMsMax = (limits.methodConnectSecondsMax + limits.methodResponseSecondsMax) * 1_000 + silenceMsMax
/** Methods are called over connections of their own: those that wait for their devices keep no other request waiting. */
const methodPath =
  /^\/(twins\/[^/]+(\/modules\/[^/]+)?\/methods|digitaltwins\/[^/]+(\/components\/[^/]+)?\/commands\/[^/]+)\/?$/
/** As many as an edge process and the control role take, with room. */
const methodConnectionsMax = 2 * limits.methodsWaitingMax
/** A body up to this length comes in whole before the control role hears of it, so that whoever sends slowly holds no connection to it. */
const beginningBytesMax = 64 * 1024
const connectMsMax = 10_000
/** Less than `httpSilenceMsMax`, after which the server behind closes. */
const idleMsMax = 5_000
/** Requests with a short answer: a call, a twin, one device or module. They go over the link, where there is one. */
const shortPath =
  /^\/(twins\/[^/]+(\/modules\/[^/]+)?(\/methods)?|devices\/(?!query\/?$)[^/]+(\/modules\/[^/]+)?|digitaltwins\/[^/]+(\/(components\/[^/]+\/)?commands\/[^/]+)?)\/?$/

/**
 * Passes every request that no other route takes to the control role, so that one port serves devices and services. Both ways bytes
 * pass as they come, and no faster than they are taken.
 * @param control finds the control role; where there is none such a request is answered 404, and 503 where it does not run for now
 * @param authority certificate that the control role's own is signed by; `undefined`: those that Node trusts
 * @param tls true if the server speaks TLS; without it credentials are passed on from this machine only: others have seen them
 *   already, and would see the keys in the answer
 * @param authorizationOf what a request proves itself with
 * @param quotas count requests that the control role refused for their credentials, and keep off who fails too often
 */
export function passToControl(
  router: HttpRouter,
  control: Pick<ControlAddress, 'find'>,
  authority: string | undefined,
  quotas: Quotas,
  authorizationOf: (request: HttpRequest) => string,
  tls: boolean,
): void {
  const placeOf = lastOf(placeAt)
  const link = new ControlLink(authority, systemClock)
  let ways: Promise<Ways> | undefined
  limitFailures(router, quotas, ({ remoteAddress }) => remoteAddress).route({
    method: 'ANY',
    pattern: '/*',
    bodyBytesMax: limits.httpBodyBytesMax,
    admit: (request) => (tls ? undefined : insecureAnswer(request, authorizationOf(request))),
    handleStream: async (request, body) => {
      const beginning = await beginningOf(body)
      const found = await control.find()
      switch (found.kind) {
        case 'none':
          return textAnswer(404, 'nothing is served under this path\n')
        case 'away':
          return unavailableAnswer('the control role does not run\n', found.retryAfterMs)
        case 'at': {
          const place = placeOf(found.url)
          const isCall = methodPath.test(request.path)
          const waitMs = isCall ? methodSilenceMsMax : silenceMsMax
          const call = linkedCall(link, place, request, authorizationOf(request), beginning, waitMs)
          if (call !== undefined) return linked(call, request)
          ways ??= openWays(authority)
          const { methods, usual } = await ways
          return passed(isCall ? methods : usual, place, request, authorizationOf(request), beginning)
        }
      }
    },
  })
}

function unavailableAnswer(text: string, retryAfterMs: number): HttpAnswer {
  return textAnswer(503, text, { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) })
}

function insecureAnswer(request: HttpRequest, authorization: string): HttpAnswer | undefined {
  if (authorization === '' || isLoopbackAddress(request.remoteAddress)) return undefined
  const code = 'AUTH_TRANSPORT_INSECURE'
  return faultAnswer(new PenstockError(code, publicReason({ code })))
}

/** What came first of a body, and what is still to come; `undefined`: that was all. */
interface BegunBody {
  readonly lengthBytes: number | undefined
  readonly beginning: Buffer
  readonly rest: AsyncIterable<Buffer> | undefined
}

async function beginningOf(body: BodyStream): Promise<BegunBody> {
  const pieces: Buffer[] = []
  let bytes = 0
  const iterator = body[Symbol.asyncIterator]()
  while (bytes <= beginningBytesMax) {
    const { done, value } = await iterator.next()
    if (done === true) return { lengthBytes: bytes, beginning: Buffer.concat(pieces), rest: undefined }
    pieces.push(value)
    bytes += value.length
  }
  return {
    lengthBytes: body.lengthBytes,
    beginning: Buffer.concat(pieces),
    rest: { [Symbol.asyncIterator]: () => iterator },
  }
}

/** Where the control role listens. */
interface Place {
  readonly origin: string
  /** What its address has before every path; mostly nothing. */
  readonly path: string
}

function placeAt(url: string): Place {
  const { origin, pathname } = new URL(url)
  return { origin, path: pathname.replace(/\/$/, '') }
}

/** The function, which keeps its last answer. */
function lastOf<Key, Value>(of: (key: Key) => Value): (key: Key) => Value {
  let last: { readonly key: Key; readonly value: Value } | undefined
  return (key) => {
    if (last === undefined || last.key !== key) last = { key, value: of(key) }
    return last.value
  }
}

interface Ways {
  readonly usual: Dispatcher
  readonly methods: Dispatcher
}

/** Read once somebody asks the control role for something: most edges of a fleet are never asked to. */
async function openWays(authority: string | undefined): Promise<Ways> {
  const { Agent, buildConnector } = await import('undici')
  const connector = buildConnector({ timeout: connectMsMax, ...(authority === undefined ? {} : { ca: authority }) })
  const way = (connections: number, silentMsMax: number): Dispatcher =>
    new Agent({
      connections,
      // Given up before the server behind gives them up: a request on a connection that is just closing would be lost.
      keepAliveTimeout: idleMsMax,
      headersTimeout: silentMsMax,
      bodyTimeout: silentMsMax,
      // Its certificate is of the name that it is reached by, not of the one by which a client calls the hub in its Host header.
      connect: ({ servername: _ofClient, ...place }, callback) => connector(place, callback),
    })
  return { usual: way(connectionsMax, silenceMsMax), methods: way(methodConnectionsMax, methodSilenceMsMax) }
}

/** `undefined`: it goes another way. */
function linkedCall(
  link: ControlLink,
  { origin, path }: Place,
  request: HttpRequest,
  authorization: string,
  { beginning, rest }: BegunBody,
  waitMs: number,
): LinkedCall | undefined {
  // A link has one request whole, and its answer. Whatever else stands before the control role may know of no links.
  if (rest !== undefined || path !== '' || request.method === 'HEAD' || !shortPath.test(request.path)) return undefined
  const head = passedHead(request, authorization, origin, beginning.length)
  // Text beyond ASCII is longer in UTF-8, and a link on which more is sent than may be is lost with all that it carries.
  return link.find(origin, Buffer.byteLength(head) + beginning.length)?.ask(head, beginning, waitMs)
}

function linked(call: LinkedCall, request: HttpRequest): Promise<HttpAnswer> {
  request.onLeft(() => call.leave())
  return call.answered.catch(noAnswer)
}

async function passed(
  way: Dispatcher,
  { origin, path }: Place,
  request: HttpRequest,
  authorization: string,
  { lengthBytes, beginning, rest }: BegunBody,
): Promise<HttpAnswer> {
  const headers = passedHeaders(request, authorization)
  if (lengthBytes !== undefined) headers['content-length'] = String(lengthBytes)
  const body = rest === undefined ? beginning : Readable.from(wholeOf(beginning, rest), { objectMode: false })
  const left = new AbortController()
  request.onLeft(() => left.abort())
  try {
    const method = request.method as Dispatcher.HttpMethod
    const asked = { origin, path: `${path}${targetOf(request)}`, method, headers, body, signal: left.signal }
    return await passedAnswer(await way.request(asked), request.method === 'HEAD')
  } catch {
    // A fault of either side ends both.
    return noAnswer()
  }
}

function noAnswer(): HttpAnswer {
  return unavailableAnswer('the control role does not answer\n', 1_000)
}

async function* wholeOf(beginning: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield beginning
  yield* rest
}
