/** What the listeners do with sockets that the edge is done with. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, afterEach, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { mqttInBytes } from '#ingest/protocols.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { type Listener, listen } from './listener.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-listener-'))
const listeners: Listener[] = []
const clients: Socket[] = []

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy()
  for (const listener of listeners.splice(0)) listener.stopAccepting()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function tlsFiles() {
  const files = {
    certFile: join(folder, 'server.pem'),
    keyFile: join(folder, 'server.key'),
    ticketKeyFile: join(folder, 'own', 'ticket.key'),
  }
  const times = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 3_600_000 }
  const made = makeCertificate({ commonName: 'localhost', hosts: ['127.0.0.1'], use: 'server', ...times })
  writeFileSync(files.keyFile, made.privateKeyPem)
  writeFileSync(files.certFile, made.certificatePem)
  return files
}

const hello = Buffer.from('100e00044d5154540402000000026431', 'hex')
const foreignId = Buffer.from('100e00044d5154540402000000026420', 'hex')

test.each([
  ['TCP', 'refused', foreignId],
  ['TCP', 'ended', Buffer.concat([hello, hello])],
  ['TLS', 'refused', foreignId],
  ['TLS', 'ended', Buffer.concat([hello, hello])],
])('over %s a socket that was %s and goes on sending is torn down all the same [G-4]', async (over, _what, bytes) => {
  const clock = virtualClock(Date.now())
  const { edge } = edgeFixture({ clock })
  const listener = await listen(edge, mqttInBytes(edge), '127.0.0.1', 0, over === 'TLS' ? tlsFiles() : undefined)
  listeners.push(listener)
  const to = { port: listener.port, host: '127.0.0.1', allowHalfOpen: true }
  const client = over === 'TLS' ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to)
  clients.push(client)
  client.on('error', () => {})
  client.resume()
  client.write(bytes)
  await once(client, 'end')
  expect(edge.connections.size).toBe(0)
  const closed = new Promise((resolve) => client.once('close', resolve))
  while (clock.step());
  // Writes on until it learns that nobody is there.
  const drip = (): void => {
    if (client.destroyed) return
    client.write('x')
    setImmediate(drip)
  }
  drip()
  await closed
})
