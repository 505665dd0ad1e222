/** Whoever waits for a next step keeps an edge awake that gathers, on each way in. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import mqtt from 'mqtt'
import { afterEach, expect, test, vi } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { mqttInBytes } from '#ingest/protocols.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { textAnswer } from '#runtime/http/answer.ts'
import { openHttpServer } from '#runtime/http/http.ts'
import { listen } from './listener.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const host = '127.0.0.1'

function edgeThatCounts() {
  const { edge } = edgeFixture()
  const steps = vi.spyOn(edge.batcher, 'stayAwake')
  return { edge, steps }
}

test('over TCP: the socket, and its CONNECT', async () => {
  const { edge, steps } = edgeThatCounts()
  const listener = await listen(edge, mqttInBytes(edge), host, 0)
  closing.push(() => listener.stopAccepting())
  const silent = connectPlain(listener.port, host)
  closing.push(() => silent.destroy())
  await expect.poll(() => steps.mock.calls.length).toBe(1)
  const client = await mqtt.connectAsync(`mqtt://${host}:${listener.port}`, { clientId: 'd1' })
  closing.push(() => client.end(true))
  expect(steps.mock.calls.length).toBe(3)
})

test('over TLS: the socket, its handshake as it begins and as it is done, and the CONNECT', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-awake-'))
  closing.push(() => rmSync(folder, { recursive: true, force: true }))
  const times = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 3_600_000 }
  const made = makeCertificate({ commonName: 'server', use: 'server', hosts: [host], ...times })
  const files = { certFile: join(folder, 'c.pem'), keyFile: join(folder, 'k.pem'), ticketKeyFile: join(folder, 't') }
  writeFileSync(files.certFile, made.certificatePem)
  writeFileSync(files.keyFile, made.privateKeyPem)
  const { edge, steps } = edgeThatCounts()
  const listener = await listen(edge, mqttInBytes(edge), host, 0, files)
  closing.push(() => listener.stopAccepting())
  const silent = connectTls({ port: listener.port, host, rejectUnauthorized: false })
  closing.push(() => silent.destroy())
  await once(silent, 'secureConnect')
  await expect.poll(() => steps.mock.calls.length).toBe(3)
  const client = await mqtt.connectAsync(`mqtts://${host}:${listener.port}`, {
    clientId: 'd1',
    rejectUnauthorized: false,
  })
  closing.push(() => client.end(true))
  expect(steps.mock.calls.length).toBe(7)
})

test('over HTTP: the connection, and each request on it', async () => {
  const steps = vi.fn()
  const server = await openHttpServer({
    host,
    port: 0,
    onStep: steps,
    routes: (router) => router.route({ method: 'GET', pattern: '/', handle: () => textAnswer(200, 'here\n') }),
  })
  closing.push(() => server.close())
  const socket = connectPlain(server.port, host)
  closing.push(() => socket.destroy())
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await once(socket.resume(), 'end')
  expect(steps.mock.calls.length).toBe(3)
})
