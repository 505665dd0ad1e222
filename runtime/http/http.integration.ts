import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { jsonAnswer, textAnswer } from './answer.ts'
import { type HttpServer, openHttpServer } from './http.ts'
import type { HttpRouter } from './serving.ts'

const servers: HttpServer[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
})

async function serverWith(routes: (router: HttpRouter) => void): Promise<{ server: HttpServer; url: string }> {
  const server = await openHttpServer({ host: '127.0.0.1', port: 0, routes })
  servers.push(server)
  return { server, url: `http://127.0.0.1:${server.port}` }
}

describe('the HTTP server', () => {
  test('a handler sees path parameters and query decoded, and its answer arrives whole', async () => {
    const { url } = await serverWith((router) =>
      router.route({
        method: 'GET',
        pattern: '/things/:id/parts/:part',
        handle: (request) =>
          jsonAnswer(200, [request.parameter(0), request.parameter(1), request.query('q'), request.header('x-a')]),
      }),
    )
    const response = await fetch(`${url}/things/a%2Fb/parts/%C3%A9?q=1%202`, { headers: { 'X-A': 'yes' } })
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(await response.json()).toEqual(['a/b', 'é', '1 2', 'yes'])
  })

  test('a header given twice is one, its values joined with a comma', async () => {
    const { url } = await serverWith((router) =>
      router.route({ method: 'GET', pattern: '/', handle: (request) => jsonAnswer(200, request.headers) }),
    )
    const [response] = (await once(get(url, { headers: { 'X-A': ['1', '2'], 'x-b': '3' } }), 'response')) as [
      IncomingMessage,
    ]
    const headers: [string, string][] = JSON.parse((await response.toArray()).join(''))
    expect(headers.filter(([name]) => name.startsWith('x-'))).toEqual([
      ['x-a', '1, 2'],
      ['x-b', '3'],
    ])
  })

  test('a PATCH said by a POST finds the route of PATCH, but where POST has one of its own', async () => {
    const { url } = await serverWith((router) => {
      for (const [method, pattern] of [
        ['PATCH', '/twin'],
        ['PATCH', '/both'],
        ['POST', '/both'],
      ] as const)
        router.route({ method, pattern, handle: (request) => jsonAnswer(200, request.method) })
    })
    const said = async (path: string, headers: Record<string, string> = { 'X-HTTP-Method-Override': 'PATCH' }) =>
      (await fetch(`${url}${path}`, { method: 'POST', headers })).text()
    expect(await Promise.all([said('/twin'), said('/both')])).toEqual(['"PATCH"', '"POST"'])
    expect(await said('/twin', {})).toBe('this method is not served here\n')
  })

  test('a path that is not percent-encoded UTF-8 gives no parameter instead of a fault', async () => {
    const { url } = await serverWith((router) =>
      router.route({
        method: 'GET',
        pattern: '/:id',
        handle: (request) => jsonAnswer(200, request.parameter(0) ?? null),
      }),
    )
    expect(await (await fetch(`${url}/%ff`)).json()).toBe(null)
  })

  test('a body of exactly the limit is read, one byte more is 413, with and without a length', async () => {
    const { url } = await serverWith((router) =>
      router.route({
        method: 'POST',
        pattern: '/echo',
        bodyBytesMax: 100_000,
        handle: async (_request, body) => ({ status: 200, body }),
      }),
    )
    const post = (body: string | ReadableStream) =>
      fetch(`${url}/echo`, { method: 'POST', body, duplex: 'half' } as RequestInit)
    const fits = 'x'.repeat(100_000)
    expect(await (await post(fits)).text()).toBe(fits)
    expect((await post(`${fits}y`)).status).toBe(413)
    expect(await (await post(new Blob([fits]).stream())).text()).toBe(fits)
    expect(await (await post('')).text()).toBe('')
  })

  test('admit refuses before any of the body is read', async () => {
    let handled = 0
    const { server } = await serverWith((router) =>
      router.route({
        method: 'PUT',
        pattern: '/guarded',
        bodyBytesMax: 1_000_000,
        admit: (request) => (request.header('authorization') === 'yes' ? undefined : textAnswer(401, 'no\n')),
        handle: () => {
          handled++
          return { status: 204 }
        },
      }),
    )
    const socket = connect(server.port, '127.0.0.1')
    socket.write('PUT /guarded HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n')
    const [first] = await once(socket, 'data')
    expect(String(first)).toMatch(/^HTTP\/1.1 401 Unauthorized/)
    socket.destroy()
    expect(handled).toBe(0)
  })

  test('a client that goes away while the handler works is never written to', async () => {
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let seen: { aborted: boolean } | undefined
    let entered = () => {}
    const inHandler = new Promise<void>((resolve) => {
      entered = resolve
    })
    const { server, url } = await serverWith((router) => {
      router.route({
        method: 'GET',
        pattern: '/slow',
        handle: async (request) => {
          seen = request
          entered()
          await released
          return textAnswer(200, 'late')
        },
      })
      router.route({ method: 'GET', pattern: '/ok', handle: () => textAnswer(200, 'ok') })
    })
    const socket = connect(server.port, '127.0.0.1')
    socket.write('GET /slow HTTP/1.1\r\nHost: h\r\n\r\n')
    await inHandler
    socket.destroy()
    await expect.poll(() => seen?.aborted).toBe(true)
    release()
    expect(await (await fetch(`${url}/ok`)).text()).toBe('ok')
  })

  test('a thrown fault is 500 without its text', async () => {
    const { url } = await serverWith((router) =>
      router.route({
        method: 'GET',
        pattern: '/broken',
        handle: () => {
          throw new Error('secret detail')
        },
      }),
    )
    const response = await fetch(`${url}/broken`)
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('secret')
  })

  test('an answer without a body says no length, and the next answer follows on the same connection', async () => {
    const { server } = await serverWith((router) => {
      router.route({
        method: 'POST',
        pattern: '/empty',
        bodyBytesMax: 10,
        handle: async () => ({ status: 204, body: '' }),
      })
      router.route({ method: 'GET', pattern: '/next', handle: () => textAnswer(200, 'next') })
    })
    const socket = connect(server.port, '127.0.0.1')
    socket.write('POST /empty HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab')
    const [first] = await once(socket, 'data')
    expect(String(first)).toMatch(/^HTTP\/1.1 204 No Content\r\n/)
    expect(String(first)).not.toMatch(/content-length|transfer-encoding/i)
    socket.write('GET /next HTTP/1.1\r\nHost: h\r\n\r\n')
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 200 OK[\s\S]*next$/)
    socket.destroy()
  })

  test('no header value can smuggle in a header', async () => {
    const { url } = await serverWith((router) =>
      router.route({ method: 'GET', pattern: '/', handle: () => ({ status: 200, headers: { X: 'a\r\nEvil: 1' } }) }),
    )
    const response = await fetch(`${url}/`)
    expect(response.headers.get('evil')).toBe(null)
    expect(response.headers.get('x')).toBe('a Evil: 1')
  })

  test('a port that is taken is PORT_UNAVAILABLE', async () => {
    const { server } = await serverWith(() => {})
    await expect(openHttpServer({ host: '127.0.0.1', port: server.port })).rejects.toMatchObject({
      code: 'PORT_UNAVAILABLE',
    })
  })

  test('closing waits for the answer under way', async () => {
    let entered = () => {}
    const inHandler = new Promise<void>((resolve) => {
      entered = resolve
    })
    let release = () => {}
    const { server, url } = await serverWith((router) =>
      router.route({
        method: 'GET',
        pattern: '/slow',
        handle: () =>
          new Promise((resolve) => {
            release = () => resolve(textAnswer(200, 'done'))
            entered()
          }),
      }),
    )
    const response = fetch(`${url}/slow`)
    await inHandler
    const closed = server.close(10_000)
    release()
    expect(await (await response).text()).toBe('done')
    await closed
  })
})
