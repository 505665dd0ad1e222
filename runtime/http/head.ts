/**
 * The head of an HTTP/1.x request, read strictly and in place (RFC 9112):
 *
 *   method SP target SP HTTP/1.0 | HTTP/1.1 CRLF
 *   name: value CRLF                               any number of times
 *   CRLF
 *
 * What two readers could understand differently is refused, since a proxy in front of this one may have understood it the other way: a
 * line that ends without CR, a CR or control character in a line, white space before a colon, a folded line, two lengths, a length beside
 * a transfer coding, two hosts.
 */
import { isUtf8 } from 'node:buffer'
import { limits } from '#schemas/limits.ts'
import { InternedTexts } from '../interned-texts.ts'

export type HttpHeader = readonly [name: string, value: string]

/** Why a request cannot be read. Nobody knows where the next one begins, so the connection ends. */
export interface HttpFault {
  readonly status: 400 | 408 | 417 | 431 | 501 | 505
  readonly text: string
}

/** Of a link that carries many requests (`served-link.ts`). */
export const requestLinkProtocol = 'penstock-requests'

/** What a connection can be asked to become. */
const upgrades = ['websocket', requestLinkProtocol] as const

export interface RequestHead {
  readonly method: string
  /** Without the query, still percent-encoded; `*` of `OPTIONS *`. */
  readonly path: string
  /** Without its `?`, still percent-encoded. */
  readonly queryText: string
  /** Names in lower case, each once. If the target names a host, that is `host`. */
  readonly headers: HttpHeader[]
  /** Content-Length; 0 without a body. */
  readonly contentLength: number
  readonly isChunked: boolean
  readonly isHttp10: boolean
  /** Whether the client means to send another request on this connection. */
  readonly keepsAlive: boolean
  /** The client waits for `100 Continue` before it sends its body. */
  readonly expectsContinue: boolean
  /** What the connection is asked to become, in lower case, where that is something served here. */
  readonly upgrade: (typeof upgrades)[number] | undefined
}

const [tab, lineFeed, carriageReturn, space, hash, star, slash, colon, questionMark] = [
  0x09, 0x0a, 0x0d, 0x20, 0x23, 0x2a, 0x2f, 0x3a, 0x3f,
]
const [zero, nine, del] = [0x30, 0x39, 0x7f]

/** Each byte as a header name has it, in lower case; 0 if no name may contain it (RFC 9110 section 5.6.2). */
export const nameBytes = new Uint8Array(256)
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
  nameBytes[character.charCodeAt(0)] = character.charCodeAt(0)
  nameBytes[character.toUpperCase().charCodeAt(0)] = character.charCodeAt(0)
}
/** 1 for each byte that a header value may contain, text beyond ASCII included (RFC 9110 section 5.5). */
export const valueBytes = new Uint8Array(256)
  .fill(1, space)
  .fill(1, tab, tab + 1)
  .fill(0, del, del + 1)

const names = new InternedTexts([
  ...[
    'accept',
    'accept-encoding',
    'accept-language',
    'authorization',
    'connection',
    'content-encoding',
    'content-length',
  ],
  ...[
    'content-type',
    'expect',
    'host',
    'iothub-contenttype',
    'iothub-messageid',
    'origin',
    'transfer-encoding',
    'upgrade',
  ],
  ...['user-agent', 'sec-websocket-key', 'sec-websocket-protocol', 'sec-websocket-version', 'sec-websocket-extensions'],
])
const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
const methods = new InternedTexts([...knownMethods])

/** What the headers said so far, in one object that is reused for each head. */
const seen = { hosts: 0, host: '', lengths: 0, lengthBytes: 0, coding: '', connection: '', expect: '', upgrade: '' }

/**
 * Reads `bytes[start…end)`, which ends with an empty line. HOT: per request. Allocates one text each for method, path and values, one
 * array for the headers, and a pair for each header.
 */
export function readHead(bytes: Buffer, start: number, end: number): RequestHead | HttpFault {
  let at = start
  let hash32 = 0
  for (; nameBytes[bytes[at] as number] !== 0; at++) hash32 = (hash32 * 31 + (bytes[at] as number)) | 0
  if (at === start || bytes[at] !== space) return malformedLine
  const method = methods.of(bytes, start, at, hash32)
  if (!knownMethods.has(method)) return unknownMethod
  const targetStart = ++at
  let queryStart = -1
  for (; ; at++) {
    const byte = bytes[at] as number
    if (byte <= space || byte >= del || byte === hash) break
    if (byte === questionMark && queryStart < 0) queryStart = at + 1
  }
  if (at === targetStart || bytes[at] !== space) return malformedTarget
  const targetEnd = at++
  const version = versionAt(bytes, at)
  if (typeof version !== 'number') return version
  at += versionBytes

  const headers: HttpHeader[] = []
  const fault = readFields(bytes, at, end, headers)
  if (fault !== undefined) return fault

  let path: string
  let queryText = ''
  if (bytes[targetStart] === slash) {
    path = bytes.toString('latin1', targetStart, queryStart < 0 ? targetEnd : queryStart - 1)
    if (queryStart >= 0) queryText = bytes.toString('latin1', queryStart, targetEnd)
  } else if (bytes[targetStart] === star && targetEnd === targetStart + 1) {
    if (method !== 'OPTIONS') return malformedTarget
    path = '*'
  } else {
    const absolute = /^https?:\/\/([^/?@]+)(\/[^?]*)?(?:\?(.*))?$/i.exec(
      bytes.toString('latin1', targetStart, targetEnd),
    )
    if (absolute === null) return malformedTarget
    const [, authority = '', rest = '', query = ''] = absolute
    path = rest === '' ? '/' : rest
    queryText = query
    // The host of the target counts, whatever the header says (RFC 9112 section 3.2.2).
    const hostAt = headers.findIndex(([name]) => name === 'host')
    headers.splice(hostAt < 0 ? headers.length : hostAt, 1, ['host', authority])
    seen.host = authority
  }
  return framed(method, path, queryText, headers, version === 0)
}

/** Of an `HttpFault`; a head has none. */
export function isFault(read: RequestHead | HttpFault): read is HttpFault {
  return 'status' in read
}

/** HOT: per request one comparison, since most clients call this server by the same name. */
let lastHost = ''

/** What the headers say together about body and connection (RFC 9112 section 6.3). */
function framed(
  method: string,
  path: string,
  queryText: string,
  headers: HttpHeader[],
  isHttp10: boolean,
): RequestHead | HttpFault {
  const { hosts, host, lengths, lengthBytes, coding, connection, expect, upgrade } = seen
  if (hosts > 1 || (hosts === 0 && !isHttp10)) return notOneHost
  if (host !== lastHost && !hostPattern.test(host)) return malformedHost
  lastHost = host
  if (coding !== '') {
    if (lengths > 0 || isHttp10) return twoLengths
    if (coding.toLowerCase() !== 'chunked') return codedChunks.test(coding) ? unknownCoding : twoLengths
  }
  if (lengths > 1 || lengthBytes < 0) return malformedLength
  if (expect !== '' && expect.toLowerCase() !== '100-continue') return unknownExpectation
  const closes = connection !== '' && hasToken(connection, 'close')
  return {
    method,
    path,
    queryText,
    headers,
    contentLength: lengthBytes,
    isChunked: coding !== '',
    isHttp10,
    keepsAlive: !closes && (!isHttp10 || hasToken(connection, 'keep-alive')),
    // An older client cannot be told (RFC 9110 section 10.1.1).
    expectsContinue: expect !== '' && !isHttp10,
    upgrade:
      upgrade !== '' && !isHttp10 && method === 'GET' && hasToken(connection, 'upgrade')
        ? upgrades.find((known) => hasToken(upgrade, known))
        : undefined,
  }
}

/** Header lines up to the empty one, into `headers` and `seen`. */
function readFields(bytes: Buffer, start: number, end: number, headers: HttpHeader[]): HttpFault | undefined {
  seen.hosts = seen.lengths = seen.lengthBytes = 0
  seen.host = seen.coding = seen.connection = seen.expect = seen.upgrade = ''
  let at = start
  while (bytes[at] !== carriageReturn) {
    if (headers.length === limits.httpHeadersMax) return tooManyHeaders
    const nameStart = at
    let hash32 = 0
    for (let byte = 0; ; at++) {
      byte = nameBytes[bytes[at] as number] as number
      if (byte === 0) break
      hash32 = (hash32 * 31 + byte) | 0
    }
    if (at === nameStart || bytes[at] !== colon) return malformedHeader
    const name = names.of(bytes, nameStart, at, hash32)
    at++
    while (bytes[at] === space || bytes[at] === tab) at++
    const valueStart = at
    let isAscii = true
    for (; valueBytes[bytes[at] as number] !== 0; at++) if ((bytes[at] as number) > del) isAscii = false
    if (bytes[at] !== carriageReturn || bytes[at + 1] !== lineFeed) return malformedHeader
    let valueEnd = at
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === space || bytes[valueEnd - 1] === tab)) valueEnd--
    at += 2
    const value = isAscii
      ? bytes.toString('latin1', valueStart, valueEnd)
      : textOf(bytes.subarray(valueStart, valueEnd))
    note(name, value)
    addHeader(headers, name, value)
  }
  return at + 2 === end && bytes[at + 1] === lineFeed ? undefined : malformedHeader
}

/** A value beyond ASCII has no defined encoding (RFC 9110 section 5.5). It is read as UTF-8 if it is valid, else as Latin-1, which loses nothing. */
function textOf(value: Buffer): string {
  return value.toString(isUtf8(value) ? 'utf8' : 'latin1')
}

/** A header that is given twice becomes one, its values joined (RFC 9110 section 5.3). */
function addHeader(headers: HttpHeader[], name: string, value: string): void {
  for (let index = 0; index < headers.length; index++) {
    const header = headers[index] as HttpHeader
    if (header[0] !== name) continue
    headers[index] = [name, `${header[1]}, ${value}`]
    return
  }
  headers.push([name, value])
}

function note(name: string, value: string): void {
  switch (name) {
    case 'host':
      seen.hosts++
      seen.host = value
      return
    case 'content-length':
      seen.lengths++
      seen.lengthBytes = lengthOf(value)
      return
    case 'transfer-encoding':
      // Given twice, or empty, it is no known coding.
      seen.coding = seen.coding === '' && value !== '' ? value : 'unknown'
      return
    case 'connection':
      seen.connection = seen.connection === '' ? value : `${seen.connection},${value}`
      return
    case 'expect':
      seen.expect = seen.expect === '' && value !== '' ? value : 'unknown'
      return
    case 'upgrade':
      seen.upgrade = seen.upgrade === '' ? value : `${seen.upgrade},${value}`
  }
}

/** Digits only, no sign and no list, so that nobody can read it differently. Negative if it is no length. */
function lengthOf(text: string): number {
  if (text.length === 0 || text.length > lengthDigitsMax) return -1
  let length = 0
  for (let index = 0; index < text.length; index++) {
    const digit = text.charCodeAt(index)
    if (digit < zero || digit > nine) return -1
    length = length * 10 + digit - zero
  }
  return length
}

/** So many digits stay exact in a number. */
const lengthDigitsMax = 15

/** @param list of tokens, separated by commas; @param token in lower case */
function hasToken(list: string, token: string): boolean {
  if (list.length === token.length) return list.toLowerCase() === token
  return list
    .toLowerCase()
    .split(',')
    .some((each) => each.trim() === token)
}

const versionBytes = 'HTTP/1.1\r\n'.length

/** The minor version, or why there is none. */
function versionAt(bytes: Buffer, at: number): number | HttpFault {
  const isHttp =
    bytes[at] === 0x48 &&
    bytes[at + 1] === 0x54 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x50 &&
    bytes[at + 4] === slash
  if (!isHttp || bytes[at + 8] !== carriageReturn || bytes[at + 9] !== lineFeed) return malformedLine
  const [major, point, minor] = [bytes[at + 5] as number, bytes[at + 6], bytes[at + 7] as number]
  if (point !== 0x2e || major < zero || major > nine || minor < zero || minor > nine) return malformedLine
  return major === zero + 1 && minor <= zero + 1 ? minor - zero : unknownVersion
}

/** A host with an optional port (RFC 3986 section 3.2), or nothing. */
const hostPattern = /^(?:\[[\da-f:.v]+\]|[\w\-.~%!$&'()*+;=]*)(?::\d*)?$/i

const malformed = (text: string): HttpFault => ({ status: 400, text })
/** Also for bytes that cannot become a head, before the head is complete. */
export const malformedLine = malformed('the request line is not as in HTTP/1.1')
const malformedTarget = malformed('the target of the request is none')
const malformedHeader = malformed('a header line is not as in HTTP/1.1')
const malformedHost = malformed('the host is none')
const notOneHost = malformed('a request names its host, once')
const malformedLength = malformed('the length is not one number')
const twoLengths = malformed('the end of the body could be read in two ways')
const unknownMethod: HttpFault = { status: 501, text: 'this method is not served' }
/** True if `chunked` stands once and last: only then the body has an end (RFC 9112 section 6.3). */
const codedChunks = /^(?!.*chunked.*chunked).*, *chunked$/i
const unknownCoding: HttpFault = { status: 501, text: 'the one transfer coding here is chunked' }
const unknownVersion: HttpFault = { status: 505, text: 'HTTP/1.1 and HTTP/1.0 are spoken here' }
const unknownExpectation: HttpFault = { status: 417, text: 'the one expectation here is 100-continue' }
const tooManyHeaders: HttpFault = { status: 431, text: `more than ${limits.httpHeadersMax} headers` }
export const headTooLarge: HttpFault = {
  status: 431,
  text: `the headers are larger than ${limits.httpHeadBytesMax} bytes`,
}
