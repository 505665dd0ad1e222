import type { X509Certificate } from 'node:crypto'
import { assert } from '../assert.ts'
import type { HttpHeader, RequestHead } from './head.ts'

export type { HttpHeader } from './head.ts'

/** A request as its handler sees it; it may be kept. */
export interface HttpRequest {
  /** As it was sent; methods are upper case. */
  readonly method: string
  /** Without the query, still percent-encoded. */
  readonly path: string
  /** Without its `?`, still percent-encoded. */
  readonly queryText: string
  /** Empty if the client had gone before this was first read. */
  readonly remoteAddress: string
  /** Certificates that the client showed in the TLS handshake, leaf first, not verified. Empty if it showed none or was not asked. */
  readonly certificates: readonly X509Certificate[]
  /** True once the client has gone; an answer would reach nobody. */
  readonly aborted: boolean
  /** Calls back once the client goes before it has its answer; at once if it has gone. One listener a request. */
  onLeft(listener: () => void): void
  /** A header by its lower-case name; empty if absent. */
  header(name: string): string
  /** All headers with their names in lower case, in the order they came. Values of a header that is given twice are joined with a comma. */
  readonly headers: readonly HttpHeader[]
  /** First value of a query key, decoded; `undefined` if absent. What cannot be decoded is given as it stands. */
  query(key: string): string | undefined
  /** A `:name` of the pattern by position, percent-decoded; `undefined` if it is not valid percent-encoded UTF-8. */
  parameter(index: number): string | undefined
}

/** Who is at the far end of a connection. */
export interface HttpClient {
  readonly remoteAddress: string
  /** The same array each time. */
  readonly certificates: readonly X509Certificate[]
}

/** HOT: one a request. */
export class ReadRequest implements HttpRequest {
  readonly method: string
  readonly path: string
  readonly queryText: string
  readonly headers: readonly HttpHeader[]
  aborted = false
  #onLeft: (() => void) | undefined = undefined
  readonly #client: HttpClient
  readonly #parameters: readonly string[]
  #search: URLSearchParams | undefined = undefined

  constructor({ method, path, queryText, headers }: RequestHead, parameters: readonly string[], client: HttpClient) {
    this.method = method
    this.path = path
    this.queryText = queryText
    this.headers = headers
    this.#parameters = parameters
    this.#client = client
  }

  get remoteAddress(): string {
    return this.#client.remoteAddress
  }

  get certificates(): readonly X509Certificate[] {
    return this.#client.certificates
  }

  /** The client has gone. */
  left(): void {
    if (this.aborted) return
    this.aborted = true
    this.#onLeft?.()
  }

  onLeft(listener: () => void): void {
    assert(this.#onLeft === undefined, 'one is told that a client goes')
    this.#onLeft = listener
    if (this.aborted) listener()
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

/** The hub's SDK for Java says PATCH by a POST with a header: the client of its platform knows no other methods than those of 1999. */
export function isPatchByPost({ method, headers }: RequestHead): boolean {
  if (method !== 'POST') return false
  return headers.some(([name, value]) => name === 'x-http-method-override' && value.toUpperCase() === 'PATCH')
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
