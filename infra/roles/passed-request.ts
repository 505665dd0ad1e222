/** A request as an edge passes it on, whichever way it goes, and an answer as it passes it back. */
import type { Dispatcher } from 'undici'
import { clientAddressHeader } from '#control/rest/rest.ts'
import { type HttpAnswer, hasNoBody } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'

/** An answer up to this length is passed on as a whole, in one write with its head. */
const wholeAnswerBytesMax = 16 * 1024
/** Of one connection, not of the message (RFC 9110 section 7.6.1), and what each side says for itself. */
const hopHeaders: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['expect', 'content-length', 'date'],
])

/** What the edge says in its own words. */
const replaced: ReadonlySet<string> = new Set(['authorization', clientAddressHeader])

export function targetOf({ path, queryText }: HttpRequest): string {
  return queryText === '' ? path : `${path}?${queryText}`
}

/** Names and values of what is passed on. */
function passedFields(request: HttpRequest, authorization: string): [string, string][] {
  const ofThisHop = request
    .header('connection')
    .toLowerCase()
    .split(/[ \t]*,[ \t]*/)
  const fields: [string, string][] = []
  for (const [name, value] of request.headers) {
    if (hopHeaders.has(name) || ofThisHop.includes(name) || replaced.has(name)) continue
    fields.push([name, value])
  }
  if (authorization !== '') fields.push(['authorization', authorization])
  fields.push([clientAddressHeader, request.remoteAddress])
  return fields
}

/** As Node writes headers: each byte of UTF-8 as a character of Latin-1. */
export function passedHeaders(request: HttpRequest, authorization: string): Record<string, string> {
  const fields = passedFields(request, authorization)
  return Object.fromEntries(fields.map(([name, value]) => [name, Buffer.from(value).toString('latin1')]))
}

/** HOT: per call. The head of a request with a body of so many bytes, for UTF-8. */
export function passedHead(request: HttpRequest, authorization: string, origin: string, bodyBytes: number): string {
  let head = `${request.method} ${targetOf(request)} HTTP/1.1\r\n`
  let hasHost = false
  for (const [name, value] of passedFields(request, authorization)) {
    head += `${name}: ${value}\r\n`
    hasHost ||= name === 'host'
  }
  if (!hasHost) head += `host: ${new URL(origin).host}\r\n`
  return `${head}content-length: ${bodyBytes}\r\n\r\n`
}

/** @throws if a short answer breaks off */
export async function passedAnswer(
  { statusCode: status, headers: told, body }: Dispatcher.ResponseData,
  isHead: boolean,
): Promise<HttpAnswer> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(told)) {
    if (!hopHeaders.has(name) && value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  // Let go of before anybody reads it, it says so as an error, which would end the process: nobody listens yet.
  body.on('error', () => {})
  const length = told['content-length']
  const bodyBytes = length === undefined ? {} : { bodyBytes: Number(length) }
  if (!isHead && !hasNoBody(status)) {
    const isShort = length !== undefined && Number(length) <= wholeAnswerBytesMax
    return isShort ? { status, headers, body: await body.bytes() } : { status, headers, ...bodyBytes, stream: body }
  }
  await body.dump() // its connection is free for another request
  return { status, headers, ...bodyBytes }
}
