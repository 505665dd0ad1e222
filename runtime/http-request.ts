import type { HttpRequest as NativeRequest, HttpResponse as NativeResponse } from 'uWebSockets.js'

/** A request that outlives the native one, which is only valid during its handler's first tick. */
export interface HttpRequest {
  /** Upper case. */
  readonly method: string
  /** Without the query, still percent-encoded. */
  readonly path: string
  /** Without its `?`, still percent-encoded. */
  readonly queryText: string
  readonly remoteAddress: string
  /** True once the client has gone; an answer would reach nobody. */
  aborted: boolean
  /** A header by its lower-case name; empty if absent. */
  header(name: string): string
  /** All headers by their lower-case names; values of one given twice are joined with a comma. */
  readonly headers: ReadonlyMap<string, string>
  /** First value of a query key, decoded; `undefined` if absent. What cannot be decoded is given as it stands. */
  query(key: string): string | undefined
  /** A `:name` of the pattern by position, percent-decoded; `undefined` if it is not valid percent-encoded UTF-8. */
  parameter(index: number): string | undefined
}

/** Copies what is needed of a native request: method, path, query, headers, parameters. */
export function requestOf(native: NativeRequest, response: NativeResponse, pattern: string): HttpRequest {
  const headers = new Map<string, string>()
  native.forEach((name, value) => {
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  })
  const parameters: string[] = []
  const parameterCount = pattern.split('/').filter((segment) => segment.startsWith(':')).length
  for (let index = 0; index < parameterCount; index++) parameters.push(native.getParameter(index) ?? '')
  const queryText = native.getQuery() ?? ''
  let search: URLSearchParams | undefined
  return {
    method: native.getMethod().toUpperCase(),
    path: native.getUrl(),
    queryText,
    remoteAddress: Buffer.from(response.getRemoteAddressAsText()).toString('latin1'),
    aborted: false,
    headers,
    header: (name) => headers.get(name) ?? '',
    query(key) {
      search ??= new URLSearchParams(queryText)
      return search.get(key) ?? undefined
    },
    parameter: (index) => percentDecoded(parameters[index] ?? ''),
  }
}

/** `undefined` where `decodeURIComponent` would throw. `+` stays a plus. */
export function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
