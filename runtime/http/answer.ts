export interface HttpAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /**
   * In place of `body`: made while it is sent, and asked for as the client takes it. A fault of it, or another length than `bodyBytes`,
   * ends the connection so that the client sees it. Once the client has gone it is let go of: a Node stream is destroyed, of any other
   * the iterator's `return` is called.
   */
  readonly stream?: AsyncIterable<Uint8Array>
  /** Length that an answer to HEAD tells of, where its body is not at hand; that of `stream` where it is known. */
  readonly bodyBytes?: number
}

/** Status line by code. A code that is not here is sent without a name. */
const statusTexts: Readonly<Record<number, string>> = {
  101: '101 Switching Protocols',
  200: '200 OK',
  201: '201 Created',
  202: '202 Accepted',
  204: '204 No Content',
  302: '302 Found',
  304: '304 Not Modified',
  400: '400 Bad Request',
  401: '401 Unauthorized',
  403: '403 Forbidden',
  404: '404 Not Found',
  405: '405 Method Not Allowed',
  409: '409 Conflict',
  411: '411 Length Required',
  412: '412 Precondition Failed',
  413: '413 Payload Too Large',
  415: '415 Unsupported Media Type',
  417: '417 Expectation Failed',
  426: '426 Upgrade Required',
  429: '429 Too Many Requests',
  431: '431 Request Header Fields Too Large',
  500: '500 Internal Server Error',
  501: '501 Not Implemented',
  502: '502 Bad Gateway',
  503: '503 Service Unavailable',
  504: '504 Gateway Timeout',
  505: '505 HTTP Version Not Supported',
}

/**
 * JSON with the content type that clients of the hub require. Nothing keeps it unless its headers say so: with `Last-Modified` alone a
 * browser shows what was true a while ago (RFC 9111 section 4.2.2), and what answers an API may hold keys.
 */
export function jsonAnswer(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return jsonTextAnswer(status, JSON.stringify(value), headers)
}

/** The same of JSON that is text already. */
export function jsonTextAnswer(
  status: number,
  json: string,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return textAnswer(status, json, {
    'Content-Type': 'application/json; charset=utf-8',
    'Cache-Control': 'no-store',
    ...headers,
  })
}

export function textAnswer(status: number, text: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body: text }
}

/** What becomes of the connection after an answer. Empty: the default of the HTTP version. */
export type ConnectionHeader = '' | 'close' | 'keep-alive' | 'Upgrade'

/**
 * The head of an answer. Header values lose line breaks, so that no value can add a header. HOT: per request.
 * @param lengthBytes `undefined`: it says no length, having no body, or one that ends with the connection
 */
export function answerHead(
  status: number,
  headers: HttpAnswer['headers'],
  lengthBytes: number | 'chunked' | undefined,
  connection: ConnectionHeader,
): string {
  let head = `HTTP/1.1 ${statusTexts[status] ?? `${status} `}\r\nDate: ${httpDate()}\r\n`
  if (headers) for (const name in headers) head += `${name}: ${headerText(headers[name] ?? '')}\r\n`
  if (lengthBytes === 'chunked') head += 'Transfer-Encoding: chunked\r\n'
  else if (lengthBytes !== undefined) head += `Content-Length: ${lengthBytes}\r\n`
  return connection === '' ? `${head}\r\n` : `${head}Connection: ${connection}\r\n\r\n`
}

/** Copying a body of so many bytes behind its head costs less than to write the two. */
const copiedBytesMax = 16 * 1024

/** Both for one write, in UTF-8; `undefined`: the body has too many bytes. */
export function headAndBody(head: string, body: string | Uint8Array): string | Buffer | undefined {
  if (typeof body === 'string') return head + body
  if (body.length > copiedBytesMax) return undefined
  const bytes = Buffer.allocUnsafe(Buffer.byteLength(head) + body.length)
  bytes.set(body, bytes.write(head))
  return bytes
}

/** Answers to these have no body, whatever they say (RFC 9110 section 6.4.1). */
export function hasNoBody(status: number): boolean {
  return status === 204 || status === 304 || status < 200
}

let dateText = ''
let dateSecond = 0

/** The moment as HTTP writes it, made once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    dateText = new Date(second * 1000).toUTCString()
  }
  return dateText
}

function headerText(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  return /[\x00-\x1f\x7f]/.test(value) ? value.replace(/[\x00-\x1f\x7f]+/g, ' ') : value
}
