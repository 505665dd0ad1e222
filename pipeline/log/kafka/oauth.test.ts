import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import { OauthTokens } from './oauth.ts'

let server: Server | undefined
afterEach(() => void server?.close())

/** Tokens of an endpoint that answers so; `asked` is what reached it. */
async function tokensOf(answer: RequestListener, nowMs: () => number = () => 0) {
  const asked: { authorization: string | undefined; form: string }[] = []
  server = createServer(async (request, response) => {
    const form = Buffer.concat(await request.toArray()).toString()
    asked.push({ authorization: request.headers.authorization, form })
    answer(request, response)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const tokenUrl = `http://127.0.0.1:${port}/token`
  const oauth = { mechanism: 'oauthbearer', tokenUrl, clientId: 'a:b', clientSecret: 's c', scope: 'x y' } as const
  return { asked, tokens: new OauthTokens(oauth, nowMs) }
}

/** Numbered tokens that live for so long; `undefined`: it does not say. */
function numbered(lifeSeconds?: number): RequestListener {
  let number = 0
  return (_, response) =>
    response.end(JSON.stringify({ access_token: `t${++number}`, token_type: 'bearer', expires_in: lifeSeconds }))
}

it('a token is asked for once, whoever needs it, and again shortly before it expires', async () => {
  let nowMs = 0
  const { asked, tokens } = await tokensOf(numbered(3_600), () => nowMs)
  expect(await Promise.all([tokens.current(), tokens.current(), tokens.current()])).toEqual(['t1', 't1', 't1'])
  expect(asked).toEqual([
    {
      authorization: `Basic ${Buffer.from('a%3Ab:s%20c').toString('base64')}`,
      form: 'grant_type=client_credentials&scope=x+y',
    },
  ])
  nowMs = 3_539_999
  expect(await tokens.current()).toBe('t1')
  nowMs = 3_540_000
  expect(await tokens.current()).toBe('t2')
  tokens.forget()
  expect(await tokens.current()).toBe('t3')
})

it('a token of a short life is renewed in the middle of it, and one of an unknown life used once', async () => {
  let nowMs = 0
  const short = await tokensOf(numbered(10), () => nowMs)
  await short.tokens.current()
  nowMs = 4_999
  expect(await short.tokens.current()).toBe('t1')
  nowMs = 5_000
  expect(await short.tokens.current()).toBe('t2')
  server?.close()
  const unknown = await tokensOf(numbered())
  expect([await unknown.tokens.current(), await unknown.tokens.current()]).toEqual(['t1', 't2'])
})

it.each<[string, RequestListener, string, RegExp]>([
  [
    'a refusal',
    (_, response) => response.writeHead(401).end('{"error":"invalid_client"}'),
    'LOG_ACCESS_REFUSED',
    /refuses the client with 401 invalid_client; see PENSTOCK_KAFKA_USER/,
  ],
  ['a fault of the endpoint', (_, response) => response.writeHead(503).end('<p>'), 'LOG_UNAVAILABLE', /answers 503/],
  ['too many requests', (_, response) => response.writeHead(429).end(), 'LOG_UNAVAILABLE', /answers 429/],
  ['an answer without a token', (_, response) => response.end('[]'), 'LOG_UNAVAILABLE', /answers 200 and no token/],
  ['an answer cut off', (request) => request.socket.destroy(), 'LOG_UNAVAILABLE', /does not answer/],
  [
    'another address',
    (_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
    'LOG_UNAVAILABLE',
    /does not answer/,
  ],
])('%s is told as what it is, and asked again the next time', async (_, answer, code, message) => {
  let first = true
  const after = numbered(60)
  const { tokens } = await tokensOf((request, response) => {
    if (first) answer(request, response)
    else after(request, response)
    first = false
  })
  await expect(tokens.current()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  expect(await tokens.current()).toBe('t1')
})
