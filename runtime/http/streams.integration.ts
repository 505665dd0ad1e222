/** Answers that are made while they are sent, and bodies that are read while they come in. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { get, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { afterEach, describe, expect, test } from 'vitest'
import { type HttpAnswer, textAnswer } from './answer.ts'
import { BodyRoom } from './bodies.ts'
import { type HttpServer, openHttpServer } from './http.ts'
import type { HttpRouter, HttpServing } from './serving.ts'
import { StreamedAnswer } from './streamed-answer.ts'
import type { BodyStream } from './streamed-body.ts'
import { RawClient } from './wire-fixture.ts'

const servers: HttpServer[] = []
const clients: { destroy(): void }[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  for (const server of servers.splice(0)) await server.close(0)
})

async function serverWith(routes: (router: HttpRouter) => void, serving: HttpServing = {}): Promise<HttpServer> {
  const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes, ...serving })
  servers.push(server)
  return server
}

function answering(make: () => HttpAnswer): (router: HttpRouter) => void {
  return (router) => router.route({ method: 'GET', pattern: '/*', handle: make })
}

function raw(port: number): RawClient {
  const client = new RawClient(port)
  clients.push(client)
  return client
}

/** Says what became of it. */
function pieces(texts: readonly string[], fault?: Error) {
  const state = { asked: 0, isLeft: false }
  async function* stream(): AsyncGenerator<Buffer> {
    try {
      for (const text of texts) {
        state.asked++
        yield Buffer.from(text)
      }
      if (fault !== undefined) throw fault
    } finally {
      state.isLeft = true
    }
  }
  return { state, stream }
}

const getLine = (version: string, path = '/'): string => `GET ${path} HTTP/${version}\r\nHost: h\r\n\r\n`

describe('a streamed answer', () => {
  test('leaves in chunks, and the connection serves the next request', async () => {
    const { stream } = pieces(['a', '', 'bc'])
    const { port } = await serverWith(answering(() => ({ status: 200, stream: stream() })))
    const client = raw(port)
    await client.say([getLine('1.1'), getLine('1.1')])
    await expect.poll(() => client.heard.match(/\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n/g)?.length).toBe(2)
    expect(client.heard).toContain('Transfer-Encoding: chunked')
    expect(client.heard).not.toContain('Content-Length')
  })

  test('of a known length is told so, and leaves as it is', async () => {
    const { stream } = pieces(['a', 'bc'])
    const { port } = await serverWith(answering(() => ({ status: 200, stream: stream(), bodyBytes: 3 })))
    const client = raw(port)
    await client.say([getLine('1.1'), getLine('1.1')])
    await expect.poll(() => client.heard.match(/Content-Length: 3\r\n\r\nabc/g)?.length).toBe(2)
  })

  test('to HTTP/1.0 ends with its connection', async () => {
    const { stream } = pieces(['a', 'bc'])
    const { port } = await serverWith(answering(() => ({ status: 200, stream: stream() })))
    const client = raw(port)
    await client.say([getLine('1.0')])
    await expect.poll(() => client.closed).toBe(true)
    expect(client.heard).toMatch(/Connection: close\r\n\r\nabc$/)
    expect(client.heard).not.toContain('chunked')
  })

  test.each([
    ['HEAD', 200, undefined],
    ['HEAD', 200, 3],
    ['GET', 304, undefined],
    ['GET', 204, undefined],
  ])('to %s with status %i has no body, and nothing is asked of it', async (method, status, bodyBytes) => {
    const destroyed: Readable[] = []
    const { port } = await serverWith((router) =>
      router.route({
        method: 'GET',
        pattern: '/',
        handle: () => {
          const stream = new Readable({ read: () => expect.unreachable('it is not read') })
          destroyed.push(stream)
          return { status, stream, ...(bodyBytes === undefined ? {} : { bodyBytes }) }
        },
      }),
    )
    const client = raw(port)
    const line = `${method} / HTTP/1.1\r\nHost: h\r\n\r\n`
    await client.say([line, line])
    await expect.poll(() => client.statuses).toEqual([status, status])
    expect(client.heard.includes('Content-Length: 3')).toBe(bodyBytes !== undefined)
    expect(client.heard).not.toMatch(/chunked|Content-Length: 0/)
    expect(destroyed.map((stream) => stream.destroyed)).toEqual([true, true])
  })

  test('is asked for no more than its client takes: one piece beside what the socket holds [G-4]', async () => {
    const socket = new Writable({ highWaterMark: 1_000, write: () => {} })
    const { state, stream } = pieces(new Array(1_000).fill('x'.repeat(400)))
    const sent = new StreamedAnswer(
      Object.assign(socket, { setTimeout: () => {} }) as unknown as Socket,
      { kind: 'chunked' },
      stream(),
      1_000,
    )
    void sent.send()
    await expect.poll(() => sent.isBlocked).toBe(true)
    expect([state.asked, socket.writableLength < 1_000 + 2 * 420]).toEqual([3, true])
    sent.abort()
    await expect.poll(() => state.isLeft).toBe(true)
    expect(state.asked).toBe(3)
  })

  test('to a client that reads late arrives whole', async () => {
    const piece = Buffer.alloc(64 * 1024, 'y')
    const stream = async function* (): AsyncGenerator<Buffer> {
      for (let count = 0; count < 400; count++) yield piece
    }
    const { port } = await serverWith(answering(() => ({ status: 200, stream: stream() })))
    const [response] = (await once(get({ port, agent: false }), 'response')) as [IncomingMessage]
    for (let count = 0; count < 50; count++) await new Promise(setImmediate)
    let bytes = 0
    for await (const chunk of response) bytes += chunk.length
    expect(bytes).toBe(400 * piece.length)
  })

  test('is let go of once its client has gone, also while it has nothing to say', async () => {
    const silent = new Readable({ read: () => {} })
    const { port } = await serverWith(answering(() => ({ status: 200, stream: silent })))
    const client = raw(port)
    await client.say([getLine('1.1')])
    await expect.poll(() => client.statuses).toEqual([200])
    client.destroy()
    await expect.poll(() => silent.destroyed).toBe(true)
  })

  test('that comes for a client that has gone is let go of', async () => {
    const silent = new Readable({ read: () => {} })
    let decide: (answer: HttpAnswer) => void = () => {}
    let isAborted = (): boolean => false
    const { port } = await serverWith((router) =>
      router.route({
        method: 'GET',
        pattern: '/',
        handle: (request) => {
          isAborted = () => request.aborted
          return new Promise((resolve) => (decide = resolve))
        },
      }),
    )
    const client = raw(port)
    await client.say([getLine('1.1')])
    await expect.poll(() => decide.length).toBe(1)
    client.destroy()
    await expect.poll(() => isAborted()).toBe(true)
    decide({ status: 200, stream: silent })
    await expect.poll(() => silent.destroyed).toBe(true)
  })

  test.each([
    ['1.1', {}, '@', new Error('lost')],
    ['1.0', {}, '@', new Error('lost')],
    ['1.1', { bodyBytes: 3 }, '@', undefined],
    ['1.0', { bodyBytes: 3 }, '@', undefined],
  ])('that breaks off (HTTP/%s, %j) never looks whole: the connection is reset', async (version, told, text, fault) => {
    let goOn: () => void = () => {}
    const stream = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from(text)
      await new Promise<void>((resolve) => (goOn = resolve))
      if (fault !== undefined) throw fault
    }
    const { port } = await serverWith(answering(() => ({ status: 200, stream: stream(), ...told })))
    const socket = connect(port, '127.0.0.1')
    clients.push(socket)
    let heard = ''
    socket.on('data', (bytes) => {
      heard += bytes
      // Not before: Node takes a reset that comes with bytes for an end.
      if (heard.includes(text)) goOn()
    })
    socket.write(getLine(version))
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ECONNRESET')
  })

  test('that is longer than it told is not sent beyond it', async () => {
    const { state, stream } = pieces(['abcd'])
    const { port } = await serverWith(answering(() => ({ status: 200, stream: stream(), bodyBytes: 3 })))
    const client = raw(port)
    await client.say([getLine('1.1')])
    await expect.poll(() => client.closed).toBe(true)
    expect([client.heard.endsWith('\r\n\r\n'), state.isLeft]).toEqual([true, true])
  })

  test('is waited for by a server that ends', async () => {
    let push: (text: string | null) => void = () => {}
    const stream = new Readable({ read: () => {} })
    push = (text) => void stream.push(text)
    const server = await serverWith(answering(() => ({ status: 200, stream })))
    const client = raw(server.port)
    await client.say([getLine('1.1')])
    await expect.poll(() => client.statuses).toEqual([200])
    const closed = server.close(10_000)
    push('last words')
    push(null)
    await closed
    expect(client.heard).toMatch(/last words\r\n0\r\n\r\n$/)
  })
})

describe('a streamed body', () => {
  const bytesMax = 64 * 1024 * 1024

  function streaming(handle: (body: BodyStream) => Promise<HttpAnswer>, bodyBytesMax = bytesMax) {
    return (router: HttpRouter): void => {
      router.route({ method: 'POST', pattern: '/*', bodyBytesMax, handleStream: (_, body) => handle(body) })
      router.route({ method: 'GET', pattern: '/*', handle: () => textAnswer(200, 'next') })
    }
  }

  const postHead = (length: number): string => `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n`

  async function lengthOf(body: BodyStream): Promise<number> {
    let bytes = 0
    for await (const piece of body) bytes += piece.length
    return bytes
  }

  test.each([['with a length'], ['in chunks']])(
    'is held in small part while its reader does not read, %s [G-4]',
    async (kind) => {
      const room = new BodyRoom(bytesMax)
      let goOn: () => void = () => {}
      const gate = new Promise<void>((resolve) => (goOn = resolve))
      const { port } = await serverWith(
        streaming(async (body) => {
          await gate
          return textAnswer(200, `${await lengthOf(body)}`)
        }),
        { bodies: room },
      )
      const bytes = 32 * 1024 * 1024
      const headers = kind === 'with a length' ? { 'content-length': bytes } : {}
      const sending = httpRequest({ port, method: 'POST', headers, agent: false })
      clients.push(sending)
      const answered = once(sending, 'response') as Promise<[IncomingMessage]>
      sending.end(Buffer.alloc(bytes))
      await expect.poll(() => room.bytes).toBeGreaterThan(64 * 1024)
      for (let count = 0; count < 200; count++) await new Promise(setImmediate)
      expect(room.bytes).toBeLessThan(192 * 1024)
      goOn()
      const [response] = await answered
      expect(String(await response.toArray())).toBe(`${bytes}`)
      expect(room.bytes).toBe(0)
    },
  )

  test('passes through a handler both ways at once', async () => {
    const room = new BodyRoom(bytesMax)
    let heldBytesMax = 0
    const { port } = await serverWith(
      streaming(async (body) => {
        const echo = async function* (): AsyncGenerator<Buffer> {
          for await (const piece of body) {
            heldBytesMax = Math.max(heldBytesMax, room.bytes)
            yield piece
          }
        }
        return { status: 200, stream: echo() }
      }),
      { bodies: room },
    )
    const sent = createHash('sha256')
    const source = async function* (): AsyncGenerator<Buffer> {
      for (let count = 0; count < 300; count++) {
        const piece = Buffer.alloc(50_000, String(count))
        sent.update(piece)
        yield piece
      }
    }
    const sending = httpRequest({ port, method: 'POST', agent: false })
    clients.push(sending)
    const answered = once(sending, 'response') as Promise<[IncomingMessage]>
    Readable.from(source()).pipe(sending)
    const [response] = await answered
    const heard = createHash('sha256')
    for await (const chunk of response) heard.update(chunk)
    expect(heard.digest('hex')).toBe(sent.digest('hex'))
    expect(heldBytesMax).toBeLessThan(192 * 1024)
  })

  test('that grows too large midway is 413, and its reader learns it', async () => {
    const reasons: unknown[] = []
    const { port } = await serverWith(
      streaming(async (body) => {
        await lengthOf(body).catch((fault) => reasons.push(fault.reason))
        return textAnswer(200, 'not heard')
      }, 5),
    )
    const client = raw(port)
    await client.say([
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n',
      '3\r\nabc\r\n',
      '3\r\ndef\r\n',
    ])
    await expect.poll(() => client.statuses).toEqual([413])
    expect(reasons).toEqual(['too large'])
  })

  test('is asked for only once it is read', async () => {
    let goOn: () => void = () => {}
    const gate = new Promise<void>((resolve) => (goOn = resolve))
    let handled = false
    const { port } = await serverWith(
      streaming(async (body) => {
        handled = true
        await gate
        return textAnswer(200, `${await lengthOf(body)}`)
      }),
    )
    const client = raw(port)
    await client.say(['POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n'])
    await expect.poll(() => handled).toBe(true)
    expect(client.heard).toBe('')
    goOn()
    await expect.poll(() => client.heard).toContain('100 Continue')
    await client.say(['abc'])
    await expect.poll(() => client.statuses).toEqual([100, 200])
  })

  test('of a client that has gone ends with a fault', async () => {
    const reasons: unknown[] = []
    const { port } = await serverWith(
      streaming(async (body) => {
        await lengthOf(body).catch((fault) => reasons.push(fault.reason))
        return textAnswer(200, '')
      }),
    )
    const client = raw(port)
    await client.say([postHead(10), 'abc'])
    client.destroy()
    await expect.poll(() => reasons).toEqual(['client gone'])
  })

  test('gives way where the room is full, with 503', async () => {
    const room = new BodyRoom(1_000)
    const never = new Promise<void>(() => {})
    const { port } = await serverWith(
      streaming(async () => {
        await never
        return textAnswer(200, '')
      }),
      { bodies: room },
    )
    const client = raw(port)
    await client.say([postHead(100_000), 'x'.repeat(2_000)])
    await expect.poll(() => client.statuses).toEqual([503])
    expect(room.bytes).toBe(0)
  })

  test('that is not read is discarded behind the answer, and the next request is served', async () => {
    const { port } = await serverWith(streaming(async () => textAnswer(200, 'at once\n')))
    const client = raw(port)
    await client.say([postHead(200_000), 'x'.repeat(100_000), 'x'.repeat(100_000), getLine('1.1')])
    await expect.poll(() => client.statuses).toEqual([200, 200])
  })

  test('whose answer has begun cannot be refused any more: the connection is reset', async () => {
    const { port } = await serverWith(
      streaming(async (body) => {
        const echo = async function* (): AsyncGenerator<Buffer> {
          for await (const piece of body) yield piece
        }
        return { status: 200, stream: echo() }
      }, 5),
    )
    const socket = connect(port, '127.0.0.1')
    clients.push(socket)
    socket.write('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    await once(socket, 'data')
    socket.resume()
    socket.write('3\r\ndef\r\n')
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ECONNRESET')
  })
})
