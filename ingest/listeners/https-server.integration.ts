/** HTTPS that asks for client certificates, on real sockets. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectPlain, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import mqtt from 'mqtt'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { mqttInMessages } from '#ingest/protocols.ts'
import type { Credentials } from '#ingest/session/principal.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { jsonAnswer, textAnswer } from '#runtime/http/answer.ts'
import { httpService } from '#runtime/http/http.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openHttpsServer } from './https-server.ts'
import { routeWebSocket } from './websocket.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-front-'))
const times = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 3_600_000 }
const root = makeCertificate({ commonName: 'root', authority: true, ...times })
const middle = makeCertificate({ commonName: 'middle', authority: true, issuer: root, ...times })
const device = makeCertificate({ commonName: 'd1', issuer: middle, use: 'client', ...times })
const shown = { cert: device.certificatePem + middle.certificatePem, key: device.privateKeyPem }
const files = {
  certFile: join(folder, 'server.pem'),
  keyFile: join(folder, 'server.key'),
  ticketKeyFile: join(folder, 'ticket.key'),
}

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function writeServerCertificate(): void {
  const made = makeCertificate({
    commonName: 'server',
    hosts: ['localhost', '127.0.0.1'],
    issuer: root,
    use: 'server',
    ...times,
  })
  writeFileSync(files.keyFile, made.privateKeyPem)
  writeFileSync(files.certFile, made.certificatePem)
}
writeServerCertificate()

const bodyBytesMax = 100_000
/** More than all buffers on the way hold. */
const largeBytes = 32 * 1024 * 1024

function routes(router: HttpRouter): void {
  router.route({
    method: 'GET',
    pattern: '/who',
    handle: ({ remoteAddress, certificates }) =>
      jsonAnswer(200, [remoteAddress, ...certificates.map(({ subject }) => subject)]),
  })
  router.route({ method: 'GET', pattern: '/large', handle: () => textAnswer(200, 'x'.repeat(largeBytes)) })
  router.route({ method: 'POST', pattern: '/take', bodyBytesMax, handle: () => textAnswer(200, 'taken') })
}

async function start(more: (router: HttpRouter) => void = () => {}, asksForCertificates = true) {
  const service = httpService({
    routes: (router) => {
      routes(router)
      more(router)
    },
  })
  const server = await openHttpsServer(
    { host: '127.0.0.1', port: 0, files, asksForCertificates, connectionsMax: 100, logger: silentLogger },
    service,
  )
  closing.push(() => server.close())
  return { server, port: server.port }
}

async function open(
  port: number,
  options: ConnectionOptions = {},
  onSession: (session: Buffer) => void = () => {},
): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: root.certificatePem, ...options })
  closing.push(() => socket.destroy())
  socket.on('session', onSession)
  await once(socket, 'secureConnect')
  return socket
}

const whoRequest = 'GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n'

async function who(socket: Socket): Promise<unknown> {
  socket.write(whoRequest)
  return JSON.parse(String((await once(socket, 'data'))[0]).split('\r\n\r\n')[1] ?? '')
}

/** All that is said until the other side ends it. */
function untilClosed(socket: Socket): Promise<string> {
  socket.on('error', () => {})
  return text(socket).catch(() => '')
}

function proxyHeader(source: Buffer): Buffer {
  return Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540a21210024', 'hex'), source, Buffer.alloc(20)])
}

const onlyVersion = (version: 'TLSv1.2' | 'TLSv1.3') => ({ minVersion: version, maxVersion: version })

describe('HTTPS that asks for client certificates', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: each request knows its client: address and chain; anyone may show any, or none',
    async (version) => {
      const { port } = await start()
      const socket = await open(port, { ...shown, ...onlyVersion(version) })
      expect(await who(socket)).toEqual(['127.0.0.1', 'CN=d1', 'CN=middle'])
      expect(await who(socket)).toEqual(['127.0.0.1', 'CN=d1', 'CN=middle'])
      const stranger = makeCertificate({ commonName: 'stranger', ...times })
      const own = { cert: stranger.certificatePem, key: stranger.privateKeyPem, ...onlyVersion(version) }
      expect(await who(await open(port, own))).toEqual(['127.0.0.1', 'CN=stranger'])
      expect(await who(await open(port, onlyVersion(version)))).toEqual(['127.0.0.1'])
    },
  )

  test('MQTT over WebSocket: the chain reaches whoever decides [G-6]', async () => {
    const seen: Credentials[] = []
    const { edge, log } = edgeFixture({
      authenticate: (credentials) => {
        seen.push(credentials)
        return { deviceId: credentials.clientId, moduleId: undefined, expiresAtMs: undefined }
      },
    })
    const { port } = await start((router) => routeWebSocket(router, edge, [mqttInMessages(edge)], true))
    const client = await mqtt.connectAsync(`wss://localhost:${port}/mqtt`, {
      clientId: 'd1',
      wsOptions: { ca: root.certificatePem, ...shown },
    })
    await client.publishAsync('devices/d1/messages/events/', 'in', { qos: 1 })
    expect(log.envelopes().map(({ body }) => String(body))).toEqual(['in'])
    expect(seen[0]?.certificates.map(({ subject }) => subject)).toEqual(['CN=d1', 'CN=middle'])
    await client.endAsync()
  })

  test('a client that names itself in its stream, as a proxy would, is refused, and others keep their names [G-6]', async () => {
    const { port } = await start()
    const other = await open(port, shown)
    const socket = await open(port)
    expect(await who(socket)).toEqual(['127.0.0.1'])
    socket.write(Buffer.concat([proxyHeader(randomBytes(16)), Buffer.from(whoRequest)]))
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1.1 400 /)
    expect(await who(other)).toEqual(['127.0.0.1', 'CN=d1', 'CN=middle'])
  })

  test('where certificates are not asked for, none is shown', async () => {
    const { port } = await start(undefined, false)
    expect(await who(await open(port, shown))).toEqual(['127.0.0.1'])
  })

  test('TLS 1.1 is refused', async () => {
    const { port } = await start()
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(open(port, old)).rejects.toMatchObject({ code: expect.stringMatching(/^(ERR_SSL|ECONNRESET)/) })
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: a session is resumed at another process that shares the ticket key, with the leaf of its certificate',
    async (version) => {
      const [first, second] = [await start(), await start()]
      const options = { ...shown, ...onlyVersion(version) }
      let session: Buffer | undefined
      const socket = await open(first.port, options, (given) => {
        session = given
      })
      await who(socket)
      await expect.poll(() => session).toBeDefined()
      const again = await open(second.port, { ...options, session })
      expect(again.isSessionReused()).toBe(true)
      expect(await who(again)).toEqual(['127.0.0.1', 'CN=d1'])
    },
  )

  test('a replaced certificate is shown to new connections, and open ones go on', async () => {
    const { port } = await start()
    const before = await open(port, shown)
    const serialOf = async (): Promise<string> => {
      const socket = await open(port)
      const { serialNumber } = socket.getPeerCertificate()
      socket.destroy()
      return serialNumber
    }
    const old = await serialOf()
    writeFileSync(files.certFile, 'not a certificate')
    writeServerCertificate()
    await expect.poll(serialOf).not.toBe(old)
    expect(await who(before)).toEqual(['127.0.0.1', 'CN=d1', 'CN=middle'])
    const second = await serialOf()
    writeServerCertificate()
    await expect.poll(serialOf).not.toBe(second)
    expect(await who(before)).toEqual(['127.0.0.1', 'CN=d1', 'CN=middle'])
  })

  test('a client that reads late gets a large answer whole, and holds up nobody [G-4]', async () => {
    const { port } = await start()
    const late = await open(port)
    late.pause()
    late.write('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(await who(await open(port))).toEqual(['127.0.0.1'])
    let bytes = 0
    late.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    late.resume()
    await expect.poll(() => bytes).toBeGreaterThan(largeBytes)
  })

  test('a body above the limit is answered 413 although the client still sends', async () => {
    const { port } = await start()
    const body = Buffer.alloc(20 * bodyBytesMax)
    for (let times = 0; times < 20; times++) {
      const socket = await open(port)
      const told = untilClosed(socket)
      socket.write(`POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`)
      socket.write(body)
      expect(await told).toMatch(/^HTTP\/1.1 413 /)
    }
  })

  test('plain text on the port is closed, and the port goes on', async () => {
    const { port } = await start()
    const plain = connectPlain(port, '127.0.0.1')
    closing.push(() => plain.destroy())
    plain.write(whoRequest)
    expect(await untilClosed(plain)).not.toContain('HTTP/1.1 200')
    expect(await who(await open(port))).toEqual(['127.0.0.1'])
  })

  test('at its end open requests are answered, then every connection ends, also one in its handshake', async () => {
    const answers: (() => void)[] = []
    const { server, port } = await start((router) =>
      router.route({
        method: 'GET',
        pattern: '/wait',
        handle: () => new Promise((resolve) => answers.push(() => resolve(textAnswer(200, 'at last')))),
      }),
    )
    const idle = await open(port)
    const half = connectPlain(port, '127.0.0.1')
    closing.push(() => half.destroy())
    await once(half, 'connect')
    const waiting = await open(port)
    waiting.write('GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await expect.poll(() => answers.length).toBe(1)
    const ends = [waiting, idle, half].map(untilClosed)
    const closed = server.close()
    await expect(open(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    answers[0]?.()
    expect(await ends[0]).toMatch(/^HTTP\/1.1 200 [\s\S]*at last$/)
    await Promise.all([...ends, closed])
  })
})
