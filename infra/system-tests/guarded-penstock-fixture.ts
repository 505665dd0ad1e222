/** Everything as a user runs it, with identities required, TLS beside plain and low limits; and what clients of all kinds do to it. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type MqttClient } from 'mqtt'
import { generate, type Packet, parser as packetParser } from 'mqtt-packet'
import { afterAll, beforeAll, expect } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'

const secret = () => randomBytes(32).toString('base64')
export const ownerKey = secret()
export const deviceKey = secret()
export const secondKey = secret()
export const guessedKey = secret()
export const clickhousePassword = `clickhouse-${randomBytes(12).toString('hex')}`
/** Whatever was told to a client, to be searched for secrets at the end. */
export const told: string[] = []
/** Tokens that were sent. */
export const tokens: string[] = []

export const connectionsMax = 100
export const deviceFailures = 10
let dataDir = ''
/** Set once it runs, like the addresses below. */
export let penstock: RunningPenstock
export let host = '127.0.0.1'
export let mqttPort = 0
export let mqttsPort = 0
export let amqpsPort = 0
export let httpPort = 0
export let httpsPort = 0

/** Starts it before the tests of the file that calls this, and stops it after them. */
export function guardedPenstock(): void {
  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'penstock-guarded-'))
    const nowMs = Date.now()
    const server = makeCertificate({
      commonName: 'localhost',
      hosts: ['localhost', '127.0.0.1'],
      notBeforeMs: nowMs - 60_000,
      notAfterMs: nowMs + 86_400_000,
      use: 'server',
    })
    writeFileSync(join(dataDir, 'server.pem'), server.certificatePem)
    writeFileSync(join(dataDir, 'server.key'), server.privateKeyPem, { mode: 0o600 })
    penstock = await startPenstock(dataDir, {
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_CLICKHOUSE_PASSWORD: clickhousePassword,
      PENSTOCK_TLS_CERT: join(dataDir, 'server.pem'),
      PENSTOCK_TLS_KEY: join(dataDir, 'server.key'),
      PENSTOCK_MQTTS_PORT: '0',
      PENSTOCK_AMQPS_PORT: '0',
      PENSTOCK_HTTPS_PORT: '0',
      PENSTOCK_EDGE_CONNECTIONS_MAX: String(connectionsMax),
      PENSTOCK_DEVICE_FAILURES_PER_MINUTE: String(deviceFailures),
      PENSTOCK_DEVICE_QUOTAS: 'throttled messages:10',
      PENSTOCK_LOG_LEVEL: 'debug',
    })
    host = new URL(penstock.httpUrl).hostname
    const portOf = (scheme: string): number =>
      Number(new RegExp(`${scheme}://[^:\\s]+:(\\d+)`).exec(penstock.output())?.[1])
    mqttPort = portOf('mqtt')
    mqttsPort = portOf('mqtts')
    amqpsPort = portOf('amqps')
    httpPort = Number(new URL(penstock.httpUrl).port)
    httpsPort = portOf('https')
    for (const deviceId of ['honest', 'victim', 'noisy', 'throttled', hostileId]) await register(deviceId)
  })

  afterAll(async () => {
    await penstock?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
}

/** Allowed by the registry, and as near to SQL as an id may come. */
export const hostileId = "x'or(1=1)"

export function ownerToken(): string {
  const content = { scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
  return kept(createSasToken(content))
}

export function deviceToken(deviceId: string, key = deviceKey): string {
  return kept(createSasToken({ scope: `localhost/devices/${deviceId}`, key, expiresAtMs: Date.now() + 600_000 }))
}

export function kept(token: string): string {
  tokens.push(token)
  return token
}

export async function ask(
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(`${penstock.httpUrl}${path}`, init)
  const text = await response.text()
  told.push(text, JSON.stringify([...response.headers]))
  return { status: response.status, text, headers: response.headers }
}

export async function register(deviceId: string, status = 'enabled'): Promise<void> {
  const authentication = { type: 'sas', symmetricKey: { primaryKey: deviceKey, secondaryKey: secondKey } }
  const response = await fetch(`${penstock.httpUrl}/devices/${encodeURIComponent(deviceId)}`, {
    method: 'PUT',
    headers: { Authorization: ownerToken(), 'Content-Type': 'application/json' },
    body: JSON.stringify({ deviceId, status, authentication }),
  })
  expect(response.status, await response.text()).toBe(200)
}

export function send(deviceId: string, body: string, headers: Record<string, string> = {}): ReturnType<typeof ask> {
  return ask(`/devices/${encodeURIComponent(deviceId)}/messages/events?api-version=2020-03-13`, {
    method: 'POST',
    headers: { Authorization: deviceToken(deviceId), ...headers },
    body,
  })
}

export async function rows(statement: string): Promise<string> {
  const headers = { 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': clickhousePassword }
  const response = await fetch(penstock.clickhouseUrl, { method: 'POST', headers, body: statement })
  return (await response.text()).trim()
}

/** Polls until the statement answers as expected; the test's own time-out bounds it. */
export async function until(statement: string, expected: string): Promise<void> {
  while ((await rows(statement)) !== expected) await new Promise((resolve) => setTimeout(resolve, 50))
}

/** Polls until the metrics say so: processes report theirs once a second. */
export async function untilMetrics(expected: RegExp): Promise<void> {
  while (!expected.test((await ask('/metrics')).text)) await new Promise((resolve) => setTimeout(resolve, 50))
}

export function connectDevice(deviceId: string, password = deviceKey): Promise<MqttClient> {
  return mqtt.connectAsync(penstock.mqttUrl, {
    clientId: deviceId,
    username: deviceId,
    password,
    protocolVersion: 5,
    reconnectPeriod: 0,
  })
}

/** Everything one raw connection is answered, once the other side has closed it. */
export function exchange(
  port: number,
  bytes: Buffer | string,
  socket: Socket = connectTcp(port, host),
): Promise<Buffer> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    socket.write(bytes)
    socket.on('data', (part) => parts.push(part))
    socket.on('error', () => {})
    socket.on('close', () => {
      told.push(Buffer.concat(parts).toString('latin1'))
      resolve(Buffer.concat(parts))
    })
  })
}

export function connectPacket(clientId: string, password: string): Buffer {
  const client = { clientId, username: clientId, password: Buffer.from(password) }
  return generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 60, ...client })
}

/** As above, and says goodbye at once. */
export function connectThenLeave(clientId: string, password: string): Buffer {
  return Buffer.concat([connectPacket(clientId, password), generate({ cmd: 'disconnect' })])
}

export function firstPacket(bytes: Buffer): (Packet & { reasonCode?: number }) | undefined {
  let first: Packet | undefined
  const parser = packetParser({ protocolVersion: 5 })
  parser.on('packet', (packet: Packet) => {
    first ??= packet
  })
  parser.parse(bytes)
  return first
}
