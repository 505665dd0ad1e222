/** What bytes are which requests, or none (RFC 9112): each row whole, and byte by byte as the worst network brings it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { bodyBytesMax, openSeeingServer, RawClient, type SeeingServer } from './wire-fixture.ts'

let server: SeeingServer
const clients: RawClient[] = []

beforeAll(async () => {
  server = await openSeeingServer()
})
afterAll(async () => {
  for (const client of clients) client.destroy()
  await server.close()
})

const get = 'GET /a HTTP/1.1\r\nHost: h\r\n'
const post = 'POST /p HTTP/1.1\r\nHost: h\r\n'
const next = 'GET /next HTTP/1.1\r\nHost: h\r\n\r\n'
const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`
const three = 'Content-Length: 3\r\n\r\nabc'

/** What is said, and `METHOD target body` of each request that it is; the connection stays, or ends. */
type Row = readonly [what: string, bytes: string, seen: readonly string[], statuses: readonly number[], end?: 'closed']

const taken: readonly Row[] = [
  ['a request', `${get}\r\n`, ['GET /a'], [200]],
  ['two at once', `${get}\r\n${next}`, ['GET /a', 'GET /next'], [200, 200]],
  ['two POSTs at once', `${post}${three}${post}${three}`, ['POST /p abc', 'POST /p abc'], [200, 200]],
  ['a POST without a body', `${post}\r\n`, ['POST /p'], [200]],
  ['a length of nothing', `${post}Content-Length: 0\r\n\r\n`, ['POST /p'], [200]],
  ['a length with zeros before it', `${post}Content-Length: 0003\r\n\r\nabc`, ['POST /p abc'], [200]],
  ['a GET with a body', `${get}${three}`, ['GET /a abc'], [200]],
  ['empty lines before a request', `\r\n\r\n${next}`, ['GET /next'], [200]],
  ['an extra CRLF behind a body', `${post}${three}\r\n${next}`, ['POST /p abc', 'GET /next'], [200, 200]],
  ['a PATCH by a POST', `${post}X-HTTP-Method-Override: patch\r\n${three}`, ['PATCH /p abc'], [200]],
  ['another method by a POST', `${post}X-HTTP-Method-Override: DELETE\r\n${three}`, ['POST /p abc'], [200]],
  ['a PATCH by a GET', `${get}X-HTTP-Method-Override: PATCH\r\n\r\n`, ['GET /a'], [200]],
  ['no space before a value', 'GET /a HTTP/1.1\r\nHost:h\r\n\r\n', ['GET /a'], [200]],
  ['space around a value', `${get}X: \t b \t\r\n\r\n`, ['GET /a'], [200]],
  ['an empty value', `${get}X:\r\n\r\n`, ['GET /a'], [200]],
  ['an empty host', 'GET /a HTTP/1.1\r\nHost:\r\n\r\n', ['GET /a'], [200]],
  ['an IPv6 host', 'GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', ['GET /a'], [200]],
  ['text beyond ASCII in a value', `${get}X: caf\xc3\xa9 \xe9\r\n\r\n`, ['GET /a'], [200]],
  ['signs that URLs should not have', 'GET /<>"{}|\\^` HTTP/1.1\r\nHost: h\r\n\r\n', ['GET /<>"{}|\\^`'], [200]],
  ['a query', 'GET /a?b=c?d HTTP/1.1\r\nHost: h\r\n\r\n', ['GET /a?b=c?d'], [200]],
  ['an absolute target', 'GET http://g:8/b?c=d HTTP/1.1\r\nHost: h\r\n\r\n', ['GET /b?c=d'], [200]],
  ['an absolute target without a path', 'GET HTTP://g HTTP/1.1\r\nHost: h\r\n\r\n', ['GET /'], [200]],
  ['an absolute target, a query and no path', 'GET http://g?c HTTP/1.1\r\nHost: h\r\n\r\n', ['GET /?c'], [200]],
  ['OPTIONS *', `OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n${next}`, ['GET /next'], [204, 200]],
  ['HEAD', `HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n${next}`, ['HEAD /a', 'GET /next'], [200, 200]],
  [
    'an upgrade to what is not offered',
    `${get}Upgrade: h2c\r\nConnection: upgrade\r\n\r\n${next}`,
    ['GET /a', 'GET /next'],
    [200, 200],
  ],
  ['chunks', `${chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n${next}`, ['POST /p abcde', 'GET /next'], [200, 200]],
  ['no chunk', `${chunked}0\r\n\r\n${next}`, ['POST /p', 'GET /next'], [200, 200]],
  ['a chunk of a size with zeros before it', `${chunked}003\r\nabc\r\n00\r\n\r\n`, ['POST /p abc'], [200]],
  ['a size in capitals', `${chunked}A\r\n0123456789\r\n0\r\n\r\n`, ['POST /p 0123456789'], [200]],
  [
    'chunk extensions',
    `${chunked}3;a=b;c="d;\\"e";f\r\nabc\r\n0;f\r\n\r\n${next}`,
    ['POST /p abc', 'GET /next'],
    [200, 200],
  ],
  ['a trailer', `${chunked}3\r\nabc\r\n0\r\nT: x\r\nU: y\r\n\r\n${next}`, ['POST /p abc', 'GET /next'], [200, 200]],
  [
    'a trailer that would be a length',
    `${chunked}3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n${next}`,
    ['POST /p abc', 'GET /next'],
    [200, 200],
  ],
  ['a coding in capitals', `${post}Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n`, ['POST /p'], [200]],
  ['a client that waits to be told', `${post}Expect: 100-continue\r\n${three}`, ['POST /p abc'], [100, 200]],
  [
    'HTTP/1.0 that would wait',
    `POST /p HTTP/1.0\r\nExpect: 100-continue\r\n${three}`,
    ['POST /p abc'],
    [200],
    'closed',
  ],
  ['HTTP/1.0', 'GET /a HTTP/1.0\r\n\r\n', ['GET /a'], [200], 'closed'],
  ['HTTP/1.0 with a body', `POST /p HTTP/1.0\r\n${three}`, ['POST /p abc'], [200], 'closed'],
  ['HTTP/1.0 that stays', 'GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n', ['GET /a'], [200]],
  ['an announced end', `${get}Connection: close\r\n\r\n${next}`, ['GET /a'], [200], 'closed'],
  ['an announced end in a list', `${get}Connection: x, Close\r\n\r\n`, ['GET /a'], [200], 'closed'],
  [
    'an announced end in a second header',
    `${get}Connection: x\r\nConnection: close\r\n\r\n`,
    ['GET /a'],
    [200],
    'closed',
  ],
]

const line = (text: string): Row => [JSON.stringify(text), `${text}\r\nHost: h\r\n\r\n${next}`, [], [400], 'closed']
const header = (text: string): Row => [JSON.stringify(text), `${get}${text}\r\n\r\n${next}`, [], [400], 'closed']
const length = (text: string): Row => header(`Content-Length: ${text}`)
const host = (text: string): Row => [
  `host ${text}`,
  `GET /a HTTP/1.1\r\nHost: ${text}\r\n\r\n${next}`,
  [],
  [400],
  'closed',
]
const coding = (text: string, status = 400): Row => {
  const bytes = `${post}Transfer-Encoding: ${text}\r\n\r\n0\r\n\r\n${next}`
  return [`coding ${JSON.stringify(text)}`, bytes, [], [status], 'closed']
}
const chunk = (text: string): Row => [`chunks ${JSON.stringify(text)}`, `${chunked}${text}${next}`, [], [400], 'closed']

const refused: readonly Row[] = [
  ['lines without CR', `GET /a HTTP/1.1\nHost: h\n\n${next}`, [], [400], 'closed'],
  ['a line without CR', `GET /a HTTP/1.1\r\nHost: h\n\r\n${next}`, [], [400], 'closed'],
  line('GET /a'),
  line('GET /a http/1.1'),
  line('GET /a HTTP/1.1 '),
  line('GET /a HTTP/11'),
  line('GET /a HTTX/1.1'),
  line('GET  /a HTTP/1.1'),
  line('GET /a  HTTP/1.1'),
  line('GET /a b HTTP/1.1'),
  line('GET\t/a HTTP/1.1'),
  line(' GET /a HTTP/1.1'),
  line('GET a HTTP/1.1'),
  line('GET * HTTP/1.1'),
  line('GET ftp://h/a HTTP/1.1'),
  line('GET http:///a HTTP/1.1'),
  line('GET http://user@h/a HTTP/1.1'),
  line('GET /a#b HTTP/1.1'),
  line('GET /\xe9 HTTP/1.1'),
  line('GET /\x00 HTTP/1.1'),
  line('GET /\x7f HTTP/1.1'),
  line('G(T /a HTTP/1.1'),
  line('GET /a\rb HTTP/1.1'),
  ['another version', `GET /a HTTP/1.2\r\nHost: h\r\n\r\n${next}`, [], [505], 'closed'],
  ['HTTP/0.9', `GET /a HTTP/0.9\r\nHost: h\r\n\r\n${next}`, [], [505], 'closed'],
  ['HTTP/2', 'GET /a HTTP/2.0\r\nHost: h\r\n\r\n', [], [505], 'closed'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [], [501], 'closed'],
  ['a tunnel', `CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n${next}`, [], [501], 'closed'],
  ['a method in small letters', `get /a HTTP/1.1\r\nHost: h\r\n\r\n${next}`, [], [501], 'closed'],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [], [400], 'closed'],
  header('A : b'),
  header(' A: b'),
  header('A'),
  header(': b'),
  header('A(: b'),
  header('A\xe9: b'),
  header('A: b\r\n c'),
  header('A:\r\n b'),
  header('A: b\r\n\tc'),
  header('A: b\rc'),
  header('A: b\x00c'),
  header('A: b\x01c'),
  header('A: b\x7fc'),
  header('A: b\nC: d'),
  header('A: b\r\r\nC: d'),
  ['no host', `GET /a HTTP/1.1\r\n\r\n${next}`, [], [400], 'closed'],
  header('Host: h'),
  header('Host: g'),
  host('a b'),
  host('a/b'),
  host('a@b'),
  host('a,b'),
  host('a:b'),
  host('[::1'),
  length('3\r\nContent-Length: 3'),
  length('3\r\nContent-Length: 4'),
  length('3, 3'),
  length('+3'),
  length('-3'),
  length('0x3'),
  length('3 4'),
  length('3;'),
  length(''),
  length('9999999999999999'),
  coding('chunked\r\nContent-Length: 3'),
  coding('chunked\r\nContent-Length: 5'),
  coding('chunked\r\nContent-Length: 0'),
  [
    'a length before a coding',
    `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${next}`,
    [],
    [400],
    'closed',
  ],
  header('Content-Length : 3'),
  header('Transfer-Encoding : chunked'),
  header('Transfer-Encoding\x00: chunked'),
  coding('identity'),
  coding('chunked, identity'),
  coding('chunked, chunked'),
  coding('chunked\r\nTransfer-Encoding: chunked'),
  coding('chunked\r\nTransfer-Encoding: identity'),
  coding('chunked,'),
  coding('xchunked'),
  coding('"chunked"'),
  coding('\x0bchunked'),
  coding(''),
  coding('gzip, chunked', 501),
  ['chunks in HTTP/1.0', `POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${next}`, [], [400], 'closed'],
  chunk('\r\nabc\r\n0\r\n\r\n'),
  chunk(' 3\r\nabc\r\n0\r\n\r\n'),
  chunk('3 \r\nabc\r\n0\r\n\r\n'),
  chunk('0x3\r\nabc\r\n0\r\n\r\n'),
  chunk('+3\r\nabc\r\n0\r\n\r\n'),
  chunk('-3\r\nabc\r\n0\r\n\r\n'),
  chunk('3_0\r\nabc\r\n0\r\n\r\n'),
  chunk('123456789\r\nabc\r\n0\r\n\r\n'),
  ...[';', ' ;a', '; a', ';a ', ';a=', ';a =b', ';a="b', ';a="b"c', ';a="\\"', ';;a'].map((text) =>
    chunk(`3${text}\r\nabc\r\n0\r\n\r\n`),
  ),
  chunk('3;a\rb\r\nabc\r\n0\r\n\r\n'),
  chunk('3;a\nb\r\nabc\r\n0\r\n\r\n'),
  chunk('3;a\x00\r\nabc\r\n0\r\n\r\n'),
  chunk('3\nabc\r\n0\r\n\r\n'),
  chunk('3\rXabc\r\n0\r\n\r\n'),
  chunk('3\r\nabc0\r\n\r\n'),
  chunk('3\r\nabcd\r\n0\r\n\r\n'),
  chunk('3\r\nabc\n0\r\n\r\n'),
  chunk('3\r\nabc\r\r\n0\r\n\r\n'),
  chunk('3\r\nabc\r\n0\r\nT : x\r\n\r\n'),
  chunk('3\r\nabc\r\n0\r\nT: x\n\r\n'),
  chunk('3\r\nabc\r\n0\r\nT: x\r\n y\r\n\r\n'),
  chunk('3\r\nabc\r\n0\r\n: x\r\n\r\n'),
  chunk('3\r\nabc\r\n0\r\n\n'),
  chunk('3\r\nabc\r\n0\r\n\rX'),
  ['an unknown expectation', `${post}Expect: x\r\n${three}${next}`, [], [417], 'closed'],
]

async function say(
  bytes: string,
  pieces: readonly string[],
  statuses: readonly number[],
  end?: 'closed',
): Promise<string[]> {
  server.seen.length = 0
  const client = new RawClient(server.port)
  clients.push(client)
  await client.say(pieces)
  await expect.poll(() => [client.statuses, client.closed], { interval: 1 }).toEqual([statuses, end === 'closed'])
  if (end === undefined) {
    // The next request is understood as such, so nothing was left over, and nothing is missing.
    await client.say(['PUT /probe HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok'])
    await expect.poll(() => client.statuses, { interval: 1 }).toEqual([...statuses, 200])
    expect(server.seen.pop(), bytes).toMatchObject({ method: 'PUT', target: '/probe', body: 'ok' })
  }
  client.destroy()
  return server.seen.map(({ method, target, body }) => `${method} ${target} ${body}`.trim())
}

const outcomes: readonly (readonly [string, readonly Row[]])[] = [
  ['is taken', taken],
  ['is refused, and nothing behind it is read as a request', refused],
]

describe.each(outcomes)('%s', (_outcome, rows) => {
  test.each(rows.map((row) => ({ what: row[0], row })))('$what', async ({ row: [, bytes, seen, statuses, end] }) => {
    expect(await say(bytes, [bytes], statuses, end)).toEqual(seen)
    expect(await say(bytes, [...bytes], statuses, end)).toEqual(seen)
  })
})

describe('headers', () => {
  const headersOf = async (lines: string) => {
    await say(lines, [`${get}${lines}\r\n`], [200])
    return server.seen[0]?.headers
  }

  test('have names in lower case and values without the space around them; one given twice is one', async () => {
    expect(await headersOf('X-A: 1 \r\nx-a:\t2\r\nY: a  b\r\n')).toEqual({ host: 'h', 'x-a': '1, 2', y: 'a  b' })
  })

  test('beyond ASCII are UTF-8, and Latin-1 where they are not', async () => {
    expect(await headersOf('A: caf\xc3\xa9\r\nB: caf\xe9\r\n')).toEqual({ host: 'h', a: 'café', b: 'café' })
  })

  test('name the host of an absolute target, whatever Host says', async () => {
    await say('', ['GET http://g:8/b HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n'], [200])
    expect(server.seen[0]?.headers).toEqual({ host: 'g:8', x: 'y' })
    await say('', ['GET http://g/b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'], [200])
    expect(server.seen[0]?.headers).toEqual({ host: 'g', connection: 'keep-alive' })
  })

  test('up to the limits are taken, more are 431', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `N${index}: ${index}\r\n`).join('')
    expect(Object.keys((await headersOf(many(limits.httpHeadersMax - 1))) ?? {}).length).toBe(limits.httpHeadersMax)
    await say('', [`${get}${many(limits.httpHeadersMax)}\r\n`], [431], 'closed')
    const frame = `${get}X: \r\n\r\n`.length
    const large = 'x'.repeat(limits.httpHeadBytesMax - frame)
    expect((await headersOf(`X: ${large}\r\n`))?.x).toBe(large)
    await say('', [`${get}X: ${large}y\r\n\r\n`], [431], 'closed')
    // Without an end.
    await say('', [`${get}X: ${large}`, large], [431], 'closed')
  })
})

describe('bodies', () => {
  test('in many chunks cost what they hold; extensions and trailers beyond their bound are refused', async () => {
    const body = 'x'.repeat(bodyBytesMax)
    const small = [...body].map((byte) => `1\r\n${byte}\r\n`).join('')
    expect(await say('', [`${chunked}${small}0\r\n\r\n`], [200])).toEqual([`POST /p ${body}`])
    const extension = `3;${'a'.repeat(limits.httpChunkOverheadBytesMax / 2)}\r\nabc\r\n`
    await say('', [`${chunked}${extension}${extension}0\r\n\r\n`], [400], 'closed')
    const trailer = `T: ${'a'.repeat(limits.httpChunkOverheadBytesMax)}\r\n`
    await say('', [`${chunked}0\r\n${trailer}\r\n`], [400], 'closed')
  })

  test('above their limit are 413, and what is behind them is no request', async () => {
    await say('', [`${post}Content-Length: ${bodyBytesMax + 1}\r\n\r\n${next}`], [413], 'closed')
    const size = (bodyBytesMax + 1).toString(16)
    await say('', [`${chunked}${size}\r\n`, `${'x'.repeat(bodyBytesMax + 1)}${next}`], [413], 'closed')
    expect(server.seen).toEqual([])
  })
})

test('a client that waits to be told is told once its body is wanted, and not at all when it is not', async () => {
  const waits = (more: string) => `${post}Expect: 100-continue\r\n${more}\r\n\r\n`
  const client = new RawClient(server.port)
  clients.push(client)
  await client.say([waits('Content-Length: 3')])
  await expect.poll(() => client.statuses).toEqual([100])
  await client.say(['abc'])
  await expect.poll(() => client.statuses).toEqual([100, 200])
  await say('', [waits(`Content-Length: ${bodyBytesMax + 1}`)], [413], 'closed')
})

test('an answer to HEAD has the length that GET would tell, and no body', async () => {
  const client = new RawClient(server.port)
  clients.push(client)
  await client.say(['HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n'])
  await expect.poll(() => client.statuses).toEqual([200])
  expect(client.heard).toMatch(/^HTTP\/1\.1 200 OK\r\nDate: \w{3}, [^\r]+ GMT\r\nContent-Length: 0\r\n\r\n$/)
})
