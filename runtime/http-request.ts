import type { HttpRequest as NativeRequest, HttpResponse as NativeResponse } from 'uWebSockets.js'
import type { X509Certificate } from 'node:crypto'
import type { HttpPeer } from './http-peers.ts'

export type HttpHeader = readonly [name: string, value: string]

/** A request that outlives the native one, which is only valid during its handler's first tick. */
export interface HttpRequest {
  /** Upper case. */
  readonly method: string
  /** Without the query, still percent-encoded. */
  readonly path: string
  /** Without its `?`, still percent-encoded. */
  readonly queryText: string
  /** To be asked for before the answer is sent; empty if the client had gone before it was first asked for. */
  readonly remoteAddress: string
  /** What the client showed in the TLS handshake, leaf first; empty without, or where none is asked for. Not verified. */
  readonly certificates: readonly X509Certificate[]
  /** True once the client has gone; an answer would reach nobody. */
  aborted: boolean
  /** A header by its lower-case name; empty if absent. */
  header(name: string): string
  /** All headers with their lower-case names, in the order they came; values of one given twice are joined with a comma. */
  readonly headers: readonly HttpHeader[]
  /** First value of a query key, decoded; `undefined` if absent. What cannot be decoded is given as it stands. */
  query(key: string): string | undefined
  /** A `:name` of the pattern by position, percent-decoded; `undefined` if it is not valid percent-encoded UTF-8. */
  parameter(index: number): string | undefined
}

/**
 * Copies what is needed of a native request: method, path, query, headers, parameters. HOT: per request.
 * @param parameterCount how many `:name` the route's pattern has
 * @param method where the route has only one
 * @param peer who is at the far end, where the connection was passed on
 */
export function requestOf(
  native: NativeRequest,
  response: NativeResponse,
  parameterCount: number,
  method: string | undefined,
  peer: HttpPeer | undefined,
): HttpRequest {
  return new CopiedRequest(native, response, parameterCount, method, peer)
}

const noCertificates: readonly X509Certificate[] = []

/** How many `:name` a pattern has. */
export function parameterCountOf(pattern: string): number {
  return pattern.split('/').filter((segment) => segment.startsWith(':')).length
}

class CopiedRequest implements HttpRequest {
  readonly method: string
  readonly path: string
  readonly queryText: string
  /** Pairs and no table: they are few, and few are asked for. */
  readonly headers: HttpHeader[] = []
  aborted = false
  readonly #parameters: readonly string[]
  readonly #response: NativeResponse
  readonly #peer: HttpPeer | undefined
  #search: URLSearchParams | undefined = undefined
  #remoteAddress: string | undefined

  constructor(
    native: NativeRequest,
    response: NativeResponse,
    parameterCount: number,
    method: string | undefined,
    peer: HttpPeer | undefined,
  ) {
    this.method = method ?? native.getMethod().toUpperCase()
    this.#response = response
    this.#peer = peer
    this.#remoteAddress = peer?.remoteAddress
    this.path = native.getUrl()
    this.queryText = native.getQuery() ?? ''
    this.#parameters = parametersOf(native, parameterCount)
    const { headers } = this
    native.forEach((name, value) => {
      const at = headers.findIndex((header) => header[0] === name)
      if (at < 0) headers.push([name, value])
      else headers[at] = [name, `${headers[at]?.[1]}, ${value}`]
    })
  }

  get remoteAddress(): string {
    // The native response is gone with its client.
    if (this.#remoteAddress === undefined && !this.aborted)
      this.#remoteAddress = Buffer.from(this.#response.getRemoteAddressAsText()).toString('latin1')
    return this.#remoteAddress ?? ''
  }

  get certificates(): readonly X509Certificate[] {
    return this.#peer?.certificates ?? noCertificates
  }

  header(name: string): string {
    return this.headers.find((header) => header[0] === name)?.[1] ?? ''
  }

  query(key: string): string | undefined {
    if (this.queryText === '') return undefined
    this.#search ??= new URLSearchParams(this.queryText)
    return this.#search.get(key) ?? undefined
  }

  parameter(index: number): string | undefined {
    return percentDecoded(this.#parameters[index] ?? '')
  }
}

/** An array of that length at once: one that grows has room for 17 at first. */
function parametersOf(native: NativeRequest, count: number): readonly string[] {
  const parameters = new Array<string>(count)
  for (let index = 0; index < count; index++) parameters[index] = native.getParameter(index) ?? ''
  return parameters
}

/** `undefined` where `decodeURIComponent` would throw. `+` stays a plus. */
export function percentDecoded(text: string): string | undefined {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
