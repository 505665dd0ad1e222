/** Whoever drips bytes, before a refusal, during it and after it, holds no socket of the edge for long (docs/SECURITY.md). */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { generate } from 'mqtt-packet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'

const ownerKey = randomBytes(32).toString('base64')
const deviceKey = randomBytes(32).toString('base64')
const host = '127.0.0.1'
const sockets: Socket[] = []
let dataDir = ''
let penstock: RunningPenstock

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-drip-'))
  const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 86_400_000 }
  const server = makeCertificate({ commonName: 'localhost', hosts: [host], use: 'server', ...times })
  writeFileSync(join(dataDir, 'server.pem'), server.certificatePem)
  writeFileSync(join(dataDir, 'server.key'), server.privateKeyPem, { mode: 0o600 })
  penstock = await startPenstock(dataDir, {
    PENSTOCK_IDENTITIES: 'required',
    PENSTOCK_OWNER_KEY: ownerKey,
    PENSTOCK_TLS_CERT: join(dataDir, 'server.pem'),
    PENSTOCK_TLS_KEY: join(dataDir, 'server.key'),
    PENSTOCK_MQTTS_PORT: '0',
    PENSTOCK_AMQPS_PORT: '0',
    PENSTOCK_HTTPS_PORT: '0',
  })
  const owner = { scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
  const authentication = { type: 'sas', symmetricKey: { primaryKey: deviceKey, secondaryKey: ownerKey } }
  const made = await fetch(`${penstock.httpUrl}/devices/honest`, {
    method: 'PUT',
    headers: { Authorization: createSasToken(owner), 'Content-Type': 'application/json' },
    body: JSON.stringify({ deviceId: 'honest', status: 'enabled', authentication }),
  })
  expect(made.status).toBe(200)
})

afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await penstock?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

type Scheme = 'mqtt' | 'mqtts' | 'http' | 'https'

function portOf(scheme: Scheme): number {
  if (scheme === 'http') return Number(new URL(penstock.httpUrl).port)
  return Number(new RegExp(`${scheme}://[^:\\s]+:(\\d+)`).exec(penstock.output())?.[1])
}

function open(scheme: Scheme, isPlain = false): Socket {
  const to = { port: portOf(scheme), host, allowHalfOpen: true }
  const isTls = scheme.endsWith('s') && !isPlain
  const socket = isTls ? connectTls({ ...to, rejectUnauthorized: false }) : connectTcp(to)
  sockets.push(socket)
  socket.on('error', () => {})
  socket.resume()
  return socket
}

const dripMs = 250

/** Sends `first`, then byte by byte of `drop` without end; resolves once nobody is there any more. An end alone does not count. */
function gone(socket: Socket, first: Buffer | string, drop: (index: number) => Buffer | string): Promise<void> {
  socket.write(first)
  let index = 0
  const drip = setInterval(() => socket.write(drop(index++)), dripMs)
  return new Promise((resolve) => {
    socket.on('close', () => {
      clearInterval(drip)
      resolve()
    })
  })
}

function connectPacket(password: string, clientId = 'honest'): Buffer {
  const client = { clientId, username: clientId, password: Buffer.from(password) }
  return generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 0, ...client })
}

const one = () => Buffer.from([0x78])
const byteOf = (bytes: Buffer) => (index: number) => bytes.subarray(index % bytes.length, (index % bytes.length) + 1)

/** A CONNECT too long to come to its end in time. */
const longHello = () => connectPacket(deviceKey.repeat(10))
/** Is let in, then ended by its second CONNECT. */
const endedHello = () => Buffer.concat([connectPacket(deviceKey), connectPacket(deviceKey)])

const post = (more: string) => `POST /devices/honest/messages/events HTTP/1.1\r\nHost: h\r\n${more}`
const pathOf = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`
const endlessHead = byteOf(Buffer.from(`X-Name: ${'x'.repeat(1_000)}`))
const token = () =>
  createSasToken({ scope: 'localhost/devices/honest', key: deviceKey, expiresAtMs: Date.now() + 600_000 })

const upgrade =
  'GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n'

/** A binary message, masked with nothing. */
function messageOf(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x82, 0x80 | 126, bytes.length >> 8, bytes.length & 0xff, 0, 0, 0, 0]), bytes])
}

/** Beginning of a handshake whose record says that more is to come. */
const halfHandshake = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])

async function untilUncounted(): Promise<void> {
  const metrics = async () => (await fetch(`${penstock.httpUrl}/metrics`)).text()
  while (!/^penstock_edge_connections 0$/m.test(await metrics()))
    await new Promise((resolve) => setTimeout(resolve, 100))
}

function overMqtt(scheme: 'mqtt' | 'mqtts'): Promise<void>[] {
  return [
    gone(open(scheme), '', byteOf(longHello())),
    gone(open(scheme), longHello().subarray(0, 40), one),
    gone(open(scheme), connectPacket('wrong'), one),
    gone(open(scheme), endedHello(), one),
  ]
}

function overHttp(scheme: 'http' | 'https'): Promise<void>[] {
  const allowed = `Authorization: ${token()}\r\n`
  const long = 'Content-Length: 100000\r\n\r\n'
  return [
    gone(open(scheme), '', byteOf(Buffer.from(post('')))),
    gone(open(scheme), post(''), endlessHead),
    gone(open(scheme), post(allowed + long), one),
    gone(open(scheme), post(`${allowed}Transfer-Encoding: chunked\r\n\r\n`), () => '1\r\nx\r\n'),
    gone(open(scheme), post(long), one),
    gone(open(scheme), post('Content-Length: 99999999\r\n\r\n'), one),
    gone(open(scheme), pathOf('/nothing'), byteOf(Buffer.from(post('')))),
  ]
}

function overWebSocket(scheme: 'http' | 'https'): Promise<void>[] {
  const dripped = (first: Buffer, drop: (index: number) => Buffer | string) =>
    gone(open(scheme), Buffer.concat([Buffer.from(upgrade), first]), drop)
  const oneMessage = () => messageOf(one())
  return [
    gone(open(scheme), upgrade.slice(0, -2), endlessHead),
    dripped(Buffer.alloc(0), (index) => messageOf(byteOf(longHello())(index))),
    dripped(messageOf(longHello()).subarray(0, 40), one),
    dripped(messageOf(connectPacket('wrong')), oneMessage),
    dripped(messageOf(endedHello()), oneMessage),
    dripped(messageOf(endedHello()), one),
  ]
}

test.concurrent.each([
  ['mqtt', () => overMqtt('mqtt')],
  ['mqtts', () => [...overMqtt('mqtts'), gone(open('mqtts', true), halfHandshake, one)]],
  ['http', () => overHttp('http')],
  ['https', () => [...overHttp('https'), gone(open('https', true), halfHandshake, one)]],
  ['WebSocket', () => overWebSocket('http')],
  ['WebSocket over TLS', () => overWebSocket('https')],
])(
  'whoever drips bytes over %s, before, during and after a refusal, is gone and in no count [G-4]',
  async (_over, attempts) => {
    await Promise.all(attempts())
    await untilUncounted()
  },
)
