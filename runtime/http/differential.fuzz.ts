/**
 * Sends the same bytes, cut at random places, to this server and to `node:http` (llhttp). Both must see the same requests, or none.
 *
 * Where the two differ on purpose, this server refuses more (`strictness`). The exception is what `node:http` refuses against the standard
 * (`mistaken`).
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seededRandom } from '../seeded-random.ts'
import { openSeeingServer, RawClient, type SeeingServer, type SeenRequest, turn } from './wire-fixture.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const rounds = 1_500
const random = seededRandom(seed)

let ours: SeeingServer
let theirs: Server
const seenByTheirs: SeenRequest[] = []

beforeAll(async () => {
  ours = await openSeeingServer()
  theirs = createServer({ maxHeaderSize: 65_536 }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('error', () => {})
    request.on('end', () => {
      const { method = '', url = '', rawHeaders } = request
      const headers: Record<string, string> = {}
      for (let index = 0; index < rawHeaders.length; index += 2) {
        const [name, value] = [rawHeaders[index]?.toLowerCase() ?? '', rawHeaders[index + 1] ?? '']
        headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${value}` : value
      }
      seenByTheirs.push({ method, target: url, headers, body: Buffer.concat(chunks).toString('latin1') })
      response.setHeader('Content-Length', 0).end()
    })
  })
  theirs.keepAliveTimeout = 0
  await once(theirs.listen(0, '127.0.0.1'), 'listening')
})

afterAll(async () => {
  await ours.close()
  theirs.closeAllConnections()
  theirs.close()
})

const pick = <Value>(values: readonly Value[]): Value => values[random.below(values.length)] as Value

const targets = ['/', '/a?b=c', '/%41', 'http://g/x?y', '/a?b?c', '/"<>', '*', 'a', '/\x00', '/a b']
const names = [
  'X',
  'x-long-name',
  'Host',
  'Content-Length',
  'Transfer-Encoding',
  'Connection',
  'Expect',
  'A b',
  'B ',
  '',
]
const values = [
  '1',
  '',
  ' x ',
  'a, b',
  'chunked',
  'close',
  'keep-alive',
  '3',
  '03',
  '+3',
  '100-continue',
  'a\tb',
  'a\x00',
  'a\rb',
  '\xe9',
]
const bodies = ['', 'abc', 'GET / HTTP/1.1\r\n\r\n', '\r\n\r\n', '0\r\n\r\n']
const end = 'GET /end HTTP/1.1\r\nHost: h\r\n\r\n'
/** What may stand anywhere, or be missing. */
const slips = ['\r', '\n', '\r\n', ' ', '\t', '\x00', ':', ';', '0', '3', 'x', ',', '\x0b', '\xff']

function chunksOf(body: string): string {
  let text = ''
  for (let at = 0; at < body.length; ) {
    const size = random.integer(1, body.length - at)
    const extension = pick(['', '', '', ';a', ';a=b', ';a="b"'])
    text += `${pick(['', '0'])}${size.toString(16)}${extension}\r\n${body.slice(at, at + size)}\r\n`
    at += size
  }
  return `${text}0${pick(['', ';z'])}\r\n${pick(['', '', 'T: x\r\n', 'T: x\r\nU:\r\n'])}\r\n`
}

function request(): string {
  const body = pick(bodies)
  const framing = random.below(3)
  const lines = ['Host: h']
  if (framing === 1) lines.push(`Content-Length: ${body.length}`)
  if (framing === 2) lines.push('Transfer-Encoding: chunked')
  while (random.chance(0.3)) lines.splice(random.below(lines.length + 1), 0, `${pick(names)}: ${pick(values)}`)
  const target = random.chance(0.7) ? '/p' : pick(targets)
  const head = `${pick(['POST', 'POST', 'GET', 'PUT', 'HEAD'])} ${target} HTTP/1.${random.chance(0.1) ? 0 : 1}\r\n${lines.join('\r\n')}\r\n\r\n`
  return head + (framing === 0 ? '' : framing === 1 ? body : chunksOf(body))
}

function slipped(text: string): string {
  const at = random.below(text.length + 1)
  const removed = random.below(3)
  return text.slice(0, at) + (random.chance(0.6) ? pick(slips) : '') + text.slice(at + removed)
}

function cut(text: string): string[] {
  const pieces: string[] = []
  for (let at = 0; at < text.length; ) {
    const end = random.chance(0.5) ? text.length : at + random.integer(1, text.length - at)
    pieces.push(text.slice(at, end))
    at = end
  }
  return pieces
}

/** A size line with an extension against the grammar: without a name or value, or with text after a quoted value. */
const otherExtension =
  /^[\da-f]+(?=;)(?!(?:;[!#$%&'*+\-.^`|~\w]+(?:=(?:[!#$%&'*+\-.^`|~\w]+|"(?:[^"\\]|\\.)*"))?)*\r$)/im

/** Why `node:http` accepts what this server refuses, by this server's answer and the request. */
const strictness: readonly (readonly [says: RegExp, of?: RegExp])[] = [
  [/a request names its host, once/],
  [/the host is none/],
  [/the target of the request is none/], // a fragment, `GET *`
  [/the one transfer coding here is chunked/],
  [/the end of the body could be read in two ways/], // chunks in HTTP/1.0: it calls the handler before it refuses them
  [/the request line is not as in/], // several spaces, HTTP/0.9 without a version
  [/HTTP\/1.1 and HTTP\/1.0 are spoken here/],
  [/this method is not served/],
  [/the one expectation here/],
  [/the chunks of the body are not as in/, otherExtension],
]

interface Outcome {
  readonly seen: SeenRequest[]
  readonly heard: string
  readonly statuses: number[]
  readonly closed: boolean
}

/** How this server reads a target. Of an absolute one it takes path and query, and its host wins over the header. */
function asOurs({ method, target, headers, body }: SeenRequest): SeenRequest {
  const absolute = /^http:\/\/([^/?]+)(.*)$/.exec(target)
  const rest = absolute === null ? target : absolute[2]?.replace(/^(?!\/)/, '/')
  const own = absolute === null ? headers : { ...headers, host: absolute[1] ?? '' }
  return { method, target: rest?.replace(/\?$/, '') ?? '', headers: own, body }
}

async function settled(clients: readonly RawClient[], isDone: () => boolean): Promise<void> {
  // Both servers answer in the turn of the event loop in which bytes come. If nothing changed for many turns, the answer is complete.
  let quiet = 0
  let before = ''
  while (quiet < 40 && !(quiet > 12 && isDone())) {
    await turn()
    const now = clients.map(({ heard, closed }) => `${heard.length} ${closed}`).join()
    quiet = now === before ? quiet + 1 : 0
    before = now
  }
}

const texts = (seen: readonly SeenRequest[]) =>
  seen.map((each) => JSON.stringify({ ...each, headers: Object.entries(each.headers).sort() }))

async function converse(pieces: readonly string[]): Promise<readonly [Outcome, Outcome]> {
  ours.seen.length = seenByTheirs.length = 0
  const clients = [new RawClient(ours.port), new RawClient((theirs.address() as AddressInfo).port)] as const
  await Promise.all(clients.map((client) => client.say(pieces)))
  await settled(clients, () => clients[0].closed === clients[1].closed && ours.seen.length === seenByTheirs.length)
  const outcomes = clients.map(({ heard, statuses, closed }, index) => {
    const seen = index === 0 ? [...ours.seen] : seenByTheirs.map(asOurs)
    return { seen, heard, statuses, closed }
  })
  for (const client of clients) client.destroy()
  return outcomes as [Outcome, Outcome]
}

/** Where `node:http` refuses what the standard allows. */
const mistaken: readonly (readonly [string, RegExp])[] = [
  ['a tab behind a length or coding', /^(Content-Length|Transfer-Encoding): *\w*[ \t]*\t[ \t]*\r$/im],
]

/** Why the two may differ here; `undefined`: they may not. */
function reason(text: string, own: Outcome, other: Outcome): string | undefined {
  const isRefused = own.statuses.some((status) => status >= 400)
  const strict = strictness.find(([says, of]) => says.test(own.heard) && (of === undefined || of.test(text)))
  if (isRefused && strict !== undefined && isPrefix(own.seen, other.seen)) return `stricter: ${strict[0].source}`
  return mistaken.find(([, pattern]) => pattern.test(text))?.[0]
}

function isPrefix(some: readonly SeenRequest[], all: readonly SeenRequest[]): boolean {
  const known = texts(all)
  return texts(some).every((text, index) => known[index] === text)
}

test(`any bytes are the same requests as for node:http, or fewer for a reason that is written here, SEED=${seed}`, async () => {
  const reasons = new Map<string, number>()
  let taken = 0
  for (let round = 0; round < rounds; round++) {
    let text = Array.from({ length: random.integer(1, 3) }, request).join('')
    while (random.chance(0.5)) text = slipped(text)
    // Ends a head that a change may have left open, since this server judges complete heads only.
    text += end
    const pieces = cut(text)
    const [own, other] = await converse(pieces)
    taken += own.seen.length
    const same = JSON.stringify(texts(own.seen)) === JSON.stringify(texts(other.seen)) && own.closed === other.closed
    const why = same ? 'same' : reason(text, own, other)
    reasons.set(why ?? '', (reasons.get(why ?? '') ?? 0) + 1)
    if (why === undefined) {
      const told = { round, pieces, own, other }
      expect.fail(`SEED=${seed}: ${JSON.stringify(told, undefined, 1)}`)
    }
  }
  expect(taken).toBeGreaterThan(rounds / 4)
  expect(reasons.get('same')).toBeGreaterThan(rounds / 2)
})
