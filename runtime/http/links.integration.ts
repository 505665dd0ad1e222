/** Both ends of a link, over a real connection. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import { type HttpAnswer, jsonAnswer, textAnswer } from '#runtime/http/answer.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpServing } from '#runtime/http/serving.ts'
import { WebCallers } from '#runtime/http/web-callers.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { type AskingLink, openLink } from './asking-link.ts'
import { FrameReader, FrameWriter, frameKinds } from './link-frames.ts'

const servers: HttpServer[] = []
const links: AskingLink[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const link of links.splice(0)) link.destroy()
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) await server.close(0)
})

/** A server whose requests are answered as the test says. */
async function start(serving: Partial<HttpServing> = {}) {
  const asked: { readonly request: HttpRequest; readonly answer: (answer: HttpAnswer) => void }[] = []
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    requestLinks: true,
    routes: (router) => {
      router.route({
        method: 'ANY',
        pattern: '/echo',
        bodyBytesMax: 1_000,
        handle: ({ method, queryText, headers, remoteAddress }, body) =>
          jsonAnswer(201, { method, queryText, headers, remoteAddress, body: String(body) }),
      })
      const handle = (request: HttpRequest) =>
        new Promise<HttpAnswer>((answer) => {
          asked.push({ request, answer })
        })
      router.route({ method: 'GET', pattern: '/wait', handle })
    },
    ...serving,
  })
  servers.push(server)
  return { server, asked, origin: `http://127.0.0.1:${server.port}` }
}

async function linkTo(origin: string, clock = systemClock): Promise<AskingLink> {
  const link = await openLink(origin, undefined, clock)
  links.push(link)
  return link
}

const headOf = (line: string, body = '', more = ''): string =>
  `${line} HTTP/1.1\r\nhost: hub.example\r\n${more}content-length: ${Buffer.byteLength(body)}\r\n\r\n`

const ask = (link: AskingLink, line: string, body = '', more = '') =>
  link.ask(headOf(line, body, more), Buffer.from(body), 60_000)

const textOf = ({ body }: HttpAnswer): string => String(body)

/** A client that says frames, whatever they are. */
async function rawLink(port: number) {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: penstock-requests\r\n\r\n')
  const [first] = (await once(socket, 'data')) as [Buffer]
  expect(String(first)).toMatch(/^HTTP\/1\.1 101 /)
  const heard: { readonly kind: number; readonly number: number; readonly status: number }[] = []
  const reader = new FrameReader(limits.linkAnswerBytesMax, {
    onFrame: (kind, number, bytes, at) =>
      heard.push({ kind, number, status: kind === frameKinds.answer ? bytes.readUInt16BE(at) : 0 }),
    onFault: () => {},
  })
  socket.on('data', (bytes) => reader.read(bytes))
  return { socket, heard, writer: new FrameWriter(socket) }
}

describe('requests of a link', () => {
  test('are served as those of a connection, each with its own answer', async () => {
    const { asked, origin } = await start()
    const link = await linkTo(origin)
    const [first, second] = [ask(link, 'GET /wait?1'), ask(link, 'GET /wait?2')]
    const echo = await ask(link, 'PUT /echo?q=1', 'Küche', 'x-name: Küche\r\n').answered
    expect([echo.status, JSON.parse(textOf(echo))]).toEqual([
      201,
      {
        method: 'PUT',
        queryText: 'q=1',
        headers: [
          ['host', 'hub.example'],
          ['x-name', 'Küche'],
          ['content-length', '6'],
        ],
        remoteAddress: '127.0.0.1',
        body: 'Küche',
      },
    ])
    expect(echo.headers).toMatchObject({ 'Content-Type': 'application/json; charset=utf-8' })
    for (const { request, answer } of asked.toReversed())
      answer({ status: 200, body: Buffer.from(request.queryText), headers: { 'X-Answer': 'é' } })
    const answers = await Promise.all([first.answered, second.answered])
    expect(answers.map(textOf)).toEqual(['1', '2'])
    expect(answers[0]?.headers).toEqual({ 'X-Answer': 'é' })
    const none = await ask(link, 'DELETE /wait').answered
    expect([none.status, none.headers?.Allow]).toEqual([405, 'GET, HEAD'])
  })

  test('keep to the bounds and rules of their routes', async () => {
    const { origin } = await start()
    const link = await linkTo(origin)
    expect((await ask(link, 'POST /echo', 'x'.repeat(1_001)).answered).status).toBe(413)
    expect(
      (await link.ask('GET /echo HTTP/1.1\r\ncontent-length: 0\r\n\r\n', Buffer.alloc(0), 1_000).answered).status,
    ).toBe(400)
    expect((await link.ask(headOf('GET /echo', 'four'), Buffer.from('five!'), 1_000).answered).status).toBe(400)
    expect((await link.ask('no head at all', Buffer.alloc(0), 1_000).answered).status).toBe(400)
    expect((await ask(link, 'GET /echo').answered).status).toBe(201)
  })

  test('end on both sides when who asked has gone', async () => {
    const { asked, origin } = await start()
    const link = await linkTo(origin)
    const call = ask(link, 'GET /wait')
    await expect.poll(() => asked.length).toBe(1)
    let isLeft = false
    asked[0]?.request.onLeft(() => {
      isLeft = true
    })
    call.leave()
    await expect(call.answered).rejects.toThrow('has gone')
    await expect.poll(() => isLeft).toBe(true)
    asked[0]?.answer(textAnswer(200, 'late'))
    expect((await ask(link, 'GET /echo').answered).status).toBe(201)
  })

  test('end with their link', async () => {
    const { asked, origin } = await start()
    const link = await linkTo(origin)
    const call = ask(link, 'GET /wait')
    await expect.poll(() => asked.length).toBe(1)
    link.destroy()
    await expect(call.answered).rejects.toThrow('lost')
    await expect.poll(() => asked[0]?.request.aborted).toBe(true)
    expect(link.hasRoom(1)).toBe(false)
  })

  test('whose answer is made while it is sent have none: it is let go of', async () => {
    const { asked, origin } = await start()
    const link = await linkTo(origin)
    const call = ask(link, 'GET /wait')
    await expect.poll(() => asked.length).toBe(1)
    const stream = new Readable({ read: () => {} })
    asked[0]?.answer({ status: 200, stream })
    await expect(call.answered).rejects.toThrow('broke off')
    expect(stream.destroyed).toBe(true)
  })

  test('whose answer is longer than a link takes have none, and end no other', async () => {
    const { asked, origin } = await start()
    const link = await linkTo(origin)
    const [long, other] = [ask(link, 'GET /wait'), ask(link, 'GET /wait')]
    await expect.poll(() => asked.length).toBe(2)
    asked[0]?.answer(textAnswer(200, 'x'.repeat(limits.linkAnswerBytesMax)))
    await expect(long.answered).rejects.toThrow('broke off')
    asked[1]?.answer(textAnswer(200, 'x'.repeat(limits.linkAnswerBytesMax - 1_000)))
    expect(textOf(await other.answered)).toHaveLength(limits.linkAnswerBytesMax - 1_000)
  })

  test('are answered by a server that ends, and no more come', async () => {
    const { server, asked, origin } = await start()
    const link = await linkTo(origin)
    const call = ask(link, 'GET /wait')
    await expect.poll(() => asked.length).toBe(1)
    const closed = server.close(10_000)
    await expect.poll(() => link.hasRoom(1)).toBe(false)
    asked[0]?.answer(textAnswer(200, 'last words'))
    expect(textOf(await call.answered)).toBe('last words')
    await Promise.all([closed, link.closed])
  })
})

describe('a link', () => {
  test('is not to be had where none is served', async () => {
    const { origin } = await start({ requestLinks: false })
    await expect(linkTo(origin)).rejects.toThrow('knows no links')
    await servers.pop()?.close(0)
    await expect(linkTo(origin)).rejects.toThrow('ECONNREFUSED')
  })

  test('of a web page is refused', async () => {
    const { server } = await start({ callers: new WebCallers([], true) })
    const socket = connect(server.port, '127.0.0.1')
    sockets.push(socket)
    socket.write(
      'GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\nConnection: Upgrade\r\nUpgrade: penstock-requests\r\n\r\n',
    )
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 403 /)
  })

  test('takes so many requests at once, and no more', async () => {
    const { server, asked } = await start()
    const { heard, writer } = await rawLink(server.port)
    for (let number = 0; number <= limits.linkRequestsMax; number++)
      writer.send(frameKinds.request, number, headOf('GET /wait'))
    await expect.poll(() => heard).toEqual([{ kind: frameKinds.answer, number: limits.linkRequestsMax, status: 503 }])
    expect(asked.length).toBe(limits.linkRequestsMax)
  })

  test.each([
    ['a number that is under way', frameKinds.request, headOf('GET /wait')],
    ['a frame of the other side', frameKinds.answer, ''],
    ['a frame that is not known', 99 as never, ''],
  ])('on which %s is said ends, and its requests with it', async (_, kind, head) => {
    const { server, asked } = await start()
    const { socket, writer } = await rawLink(server.port)
    const closed = once(socket, 'close')
    writer.send(frameKinds.request, 1, headOf('GET /wait'))
    writer.send(kind, 1, head)
    await closed
    await expect.poll(() => asked.map(({ request }) => request.aborted)).toEqual([true])
  })

  test('whose answers are not taken is not read from, so that what waits is bounded [G-4]', async () => {
    const answer = 'x'.repeat(100_000)
    let answered = 0
    const { server } = await start({
      routes: (router) =>
        router.route({
          method: 'GET',
          pattern: '/much',
          handle: () => {
            answered++
            return textAnswer(200, answer)
          },
        }),
    })
    const { socket, writer, heard } = await rawLink(server.port)
    socket.pause()
    const count = 2_000
    for (let number = 0; number < count; number++) {
      writer.send(frameKinds.request, number, headOf('GET /much'))
      writer.flush()
    }
    let before = -1
    while (before !== answered) {
      before = answered
      for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
    }
    expect(answered).toBeLessThan(count)
    socket.resume()
    await expect.poll(() => heard.length).toBe(count)
  })

  test('gives up what is not answered in time, is asked for signs of life, and ends where nobody asks', async () => {
    const clock = virtualClock()
    const { asked, origin } = await start()
    const link = await linkTo(origin, clock)
    const late = link.ask(headOf('GET /wait'), Buffer.alloc(0), 3_000).answered.catch((error: Error) => error.message)
    await expect.poll(() => asked.length).toBe(1)
    const passed = async (untilMs: number) => {
      while (clock.step(untilMs)) for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    }
    await passed(4_000)
    expect(await late).toBe('no answer came in time')
    await expect.poll(() => asked[0]?.request.aborted).toBe(true)
    const long = ask(link, 'GET /wait')
    await expect.poll(() => asked.length).toBe(2)
    // It answers pings, however long it takes.
    await passed(40_000)
    asked[1]?.answer(textAnswer(200, 'at last'))
    expect(textOf(await long.answered)).toBe('at last')
    await passed(40_000 + limits.linkSilenceMsMax)
    await link.closed
  })

  test('whose other side is silent ends, and whoever waits is told', async () => {
    const clock = virtualClock()
    const { server, asked } = await start()
    const link = await linkTo(`http://127.0.0.1:${server.port}`, clock)
    const call = ask(link, 'GET /wait').answered.catch((error: Error) => error.message)
    await expect.poll(() => asked.length).toBe(1)
    // No turn of the event loop, so no pong is heard.
    while (clock.step(3 * limits.linkHeartbeatMs));
    expect(await call).toBe('the link was lost')
  })
})
