import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { afterAll, afterEach, expect, test } from 'vitest'
import { makeDevelopmentCa } from '#infra/development-ca.ts'
import { openHttpServer } from '#runtime/http.ts'
import { textAnswer } from '#runtime/http-answer.ts'
import { silentLogger } from '#runtime/logger.ts'
import { openRenewingHttps } from './renewing-https.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-https-'))
const made = () => makeDevelopmentCa({ dataDir, hostNames: ['hub.test'], deviceIds: [], nowMs: Date.now() })
const { caFile, certFile, keyFile } = made()
const ca = readFileSync(caFile)

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

async function start(): Promise<number> {
  const https = await openRenewingHttps(0, { certFile, keyFile }, silentLogger, (port) =>
    openHttpServer({
      host: '127.0.0.1',
      port,
      sharePort: true,
      tls: { certFile, keyFile },
      routes: (router) => router.route({ method: 'GET', pattern: '/', handle: () => textAnswer(200, 'here') }),
    }),
  )
  closing.push(() => https.close())
  return https.port
}

async function open(
  port: number,
  options: ConnectionOptions = {},
  onSession: (session: Buffer) => void = () => {},
): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'hub.test', ca, ...options })
  closing.push(() => socket.destroy())
  // TLS 1.2 sends the ticket within the handshake, TLS 1.3 after it.
  socket.on('session', onSession)
  await once(socket, 'secureConnect')
  return socket
}

async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n')
  return String((await once(socket, 'data'))[0])
}

test.each(['TLSv1.2', 'TLSv1.3'] as const)('HTTPS speaks %s, and resumes sessions', async (version) => {
  const port = await start()
  const only = { minVersion: version, maxVersion: version }
  let session: Buffer | undefined
  const socket = await open(port, only, (given) => {
    session = given
  })
  expect(await ask(socket)).toContain('here')
  await expect.poll(() => session).toBeDefined()
  const again = await open(port, { ...only, session })
  expect(again.isSessionReused()).toBe(true)
  expect(await ask(again)).toContain('here')
})

test('HTTPS refuses TLS 1.1', async () => {
  const port = await start()
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  await expect(open(port, old)).rejects.toMatchObject({ code: expect.stringMatching(/^(ERR_SSL|ECONNRESET)/) })
})

test('a renewed certificate is shown to new connections on the same port, and open ones go on', async () => {
  const port = await start()
  const shown = async () => {
    const socket = await open(port)
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  const before = await open(port)
  const first = await shown()
  writeFileSync(certFile, 'cut off')
  made()
  await expect.poll(shown, { timeout: 20_000 }).not.toBe(first)
  expect(await ask(before)).toContain('here')
  const second = await shown()
  made()
  await expect.poll(shown, { timeout: 20_000 }).not.toBe(second)
  expect(await ask(before)).toContain('here')
})
