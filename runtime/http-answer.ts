import type { HttpResponse as NativeResponse } from 'uWebSockets.js'

export interface HttpAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** Status line by code; what is not named here is sent as the bare number. */
const statusTexts: Readonly<Record<number, string>> = {
  200: '200 OK',
  201: '201 Created',
  202: '202 Accepted',
  204: '204 No Content',
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
  429: '429 Too Many Requests',
  500: '500 Internal Server Error',
  501: '501 Not Implemented',
  503: '503 Service Unavailable',
  504: '504 Gateway Timeout',
}

/** JSON with the content type that clients of the hub insist on. */
export function jsonAnswer(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value),
  }
}

export function textAnswer(status: number, text: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body: text }
}

/**
 * Writes a whole answer in one corked system call. Must not be called once the request was aborted or answered.
 * Header values lose line breaks, so that no value can add a header.
 */
export function answer(
  response: NativeResponse,
  { status, headers, body }: HttpAnswer,
  withoutBody = false,
  closeConnection = false,
): void {
  response.cork(() => {
    response.writeStatus(statusTexts[status] ?? String(status))
    if (headers) for (const name in headers) response.writeHeader(name, headerText(headers[name] ?? ''))
    // Without arguments: an `undefined` length is sent as a length, and clients then wait for that body.
    if ((status === 204 || status === 304) && !closeConnection) response.endWithoutBody()
    else if (withoutBody) response.endWithoutBody(Buffer.byteLength(body ?? ''), closeConnection)
    else response.end(body ?? '', closeConnection)
  })
}

function headerText(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  return /[\x00-\x1f\x7f]/.test(value) ? value.replace(/[\x00-\x1f\x7f]+/g, ' ') : value
}
