/** Devices with certificates over HTTPS and WebSocket, against everything as a user runs it: who gets in, who does not, who is cut off. */
import { execFile } from 'node:child_process'
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import mqtt, { type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { type IssuedCertificate, makeCertificate } from '#runtime/certificate-maker.ts'

const run = promisify(execFile)
const ownerKey = randomBytes(32).toString('base64')
const dataDir = mkdtempSync(join(tmpdir(), 'penstock-certificates-'))
const ca = makeDevelopmentCa({ dataDir, hostNames: ['localhost'], deviceIds: [], nowMs: Date.now() })
const times = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 3_600_000 }
const authority: IssuedCertificate = ((): IssuedCertificate => {
  const certificatePem = readFileSync(ca.caFile, 'utf8')
  const privateKeyPem = readFileSync(join(ca.folder, 'ca.key'), 'utf8')
  const commonName = /CN=(.*)/.exec(new X509Certificate(certificatePem).subject)?.[1] ?? ''
  return { commonName, certificatePem, privateKeyPem, privateKey: createPrivateKey(privateKeyPem) }
})()
const middle = makeCertificate({ commonName: 'line 7', authority: true, issuer: authority, ...times })

let penstock: RunningPenstock
let httpsPort = 0
const clients: MqttClient[] = []

beforeAll(async () => {
  penstock = await startPenstock(dataDir, {
    PENSTOCK_IDENTITIES: 'required',
    PENSTOCK_OWNER_KEY: ownerKey,
    PENSTOCK_TLS_CERT: ca.certFile,
    PENSTOCK_TLS_KEY: ca.keyFile,
    PENSTOCK_MQTTS_PORT: '0',
    PENSTOCK_AMQPS_PORT: '0',
    PENSTOCK_HTTPS_PORT: '0',
    PENSTOCK_EDGE_PROCESSES: '2',
  })
  httpsPort = Number(/https:\/\/[^:\s]+:(\d+)/.exec(penstock.output())?.[1])
  const path = '/certificateAuthorities/factory'
  const { verificationCode } = (await rest('PUT', path, { certificate: authority.certificatePem })) as {
    verificationCode: string
  }
  const proof = makeCertificate({ commonName: verificationCode, issuer: authority, ...times })
  await rest('POST', `${path}/verify`, { certificate: proof.certificatePem })
})

afterAll(async () => {
  for (const client of clients) client.end(true)
  await penstock?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function rest(method: string, path: string, body: object, more: object = {}): Promise<unknown> {
  const owner = { scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
  const response = await fetch(`${penstock.httpUrl}${path}`, {
    method,
    headers: { Authorization: createSasToken(owner), 'Content-Type': 'application/json', ...more },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  expect(response.ok, `${response.status} ${text}`).toBe(true)
  return text === '' ? undefined : JSON.parse(text)
}

const byAuthority = { type: 'certificateAuthority' } as const

function byThumbprint({ certificatePem }: IssuedCertificate): object {
  const primaryThumbprint = new X509Certificate(certificatePem).fingerprint256.replaceAll(':', '')
  return { type: 'selfSigned', x509Thumbprint: { primaryThumbprint } }
}

function register(deviceId: string, authentication: object): Promise<unknown> {
  return rest('PUT', `/devices/${deviceId}`, { deviceId, authentication })
}

function replace(deviceId: string, authentication: object, status = 'enabled'): Promise<unknown> {
  return rest('PUT', `/devices/${deviceId}`, { deviceId, status, authentication }, { 'If-Match': '*' })
}

const certificateOf = (deviceId: string, more: Partial<Parameters<typeof makeCertificate>[0]> = {}) =>
  makeCertificate({ commonName: deviceId, use: 'client', ...times, ...more })

interface Answer {
  readonly status: number
  readonly body: string
}

/** `POST …/messages/events` by curl, with the certificate and what lies between it and its authority. */
async function post(deviceId: string, shown?: IssuedCertificate, chain = ''): Promise<Answer> {
  const folder = mkdtempSync(join(dataDir, 'curl-'))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  if (shown !== undefined) {
    writeFileSync(cert, shown.certificatePem + chain)
    writeFileSync(key, shown.privateKeyPem)
  }
  const url = `https://localhost:${httpsPort}/devices/${deviceId}/messages/events?api-version=2020-03-13`
  const own = shown === undefined ? [] : ['--cert', cert, '--key', key]
  const args = ['-sS', '--cacert', ca.caFile, ...own, '-d', '{"t":1}', '-w', '\n%{http_code}', url]
  const { stdout } = await run('curl', args)
  const end = stdout.lastIndexOf('\n')
  return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end) }
}

const refused = { status: 401, body: expect.stringContaining('"Message":"ErrorCode:IotHubUnauthorizedAccess;') }

function connect(deviceId: string, shown?: IssuedCertificate, chain = ''): Promise<MqttClient> {
  const own = shown === undefined ? {} : { cert: shown.certificatePem + chain, key: shown.privateKeyPem }
  return mqtt.connectAsync(`wss://localhost:${httpsPort}/$iothub/websocket`, {
    clientId: deviceId,
    username: `localhost/${deviceId}/?api-version=2021-04-12`,
    protocolVersion: 5,
    reconnectPeriod: 0,
    wsOptions: { ca: authority.certificatePem, ...own },
  })
}

async function connected(...who: Parameters<typeof connect>): Promise<MqttClient> {
  const client = await connect(...who)
  clients.push(client)
  return client
}

const notAuthorized = { code: 0x87 }

async function rowCount(deviceId: string): Promise<number> {
  const query = `SELECT count() FROM penstock.telemetry WHERE device_id = '${deviceId}'`
  return Number(await (await fetch(penstock.clickhouseUrl, { method: 'POST', body: query })).text())
}

describe('devices with certificates on the HTTPS port', () => {
  test('by thumbprint: telemetry over HTTPS and MQTT over WebSocket become rows', async () => {
    const own = certificateOf('thumb')
    await register('thumb', byThumbprint(own))
    expect(await post('thumb', own)).toEqual({ status: 204, body: '' })
    const client = await connected('thumb', own)
    await client.publishAsync('devices/thumb/messages/events/', '{"t":2}', { qos: 1 })
    await expect.poll(() => rowCount('thumb'), { timeout: 30_000 }).toBe(2)
  })

  test('by authority, over an intermediate: telemetry over HTTPS and MQTT over WebSocket become rows', async () => {
    const own = certificateOf('chain', { issuer: middle })
    await register('chain', byAuthority)
    expect(await post('chain', own, middle.certificatePem)).toEqual({ status: 204, body: '' })
    const client = await connected('chain', own, middle.certificatePem)
    await client.publishAsync('devices/chain/messages/events/', '{"t":2}', { qos: 1 })
    await expect.poll(() => rowCount('chain'), { timeout: 30_000 }).toBe(2)
  })

  test('without a certificate, with an expired one, a foreign one or another device’s: 401 in the words of the hub [G-6]', async () => {
    const own = certificateOf('strict')
    await register('strict', byThumbprint(own))
    await register('strict-chain', byAuthority)
    const past = { notBeforeMs: Date.now() - 7_200_000, notAfterMs: Date.now() - 3_600_000 }
    const expired = certificateOf('late', past)
    await register('late', byThumbprint(expired))
    const other = makeCertificate({ commonName: 'other authority', authority: true, ...times })
    const attempts: [string, IssuedCertificate | undefined, string][] = [
      ['strict', undefined, ''],
      ['strict', certificateOf('strict'), ''],
      ['strict', certificateOf('strict', { issuer: authority }), ''],
      ['late', expired, ''],
      ['strict-chain', undefined, ''],
      ['strict-chain', own, ''],
      ['strict-chain', certificateOf('strict-chain'), ''],
      ['strict-chain', certificateOf('strict-chain', { issuer: authority, ...past }), ''],
      ['strict-chain', certificateOf('strict-chain', { issuer: other }), other.certificatePem],
      ['strict-chain', certificateOf('another', { issuer: authority }), ''],
      ['strict-chain', certificateOf('strict-chain', { issuer: authority, use: 'server' }), ''],
      ['nobody', certificateOf('nobody', { issuer: authority }), ''],
    ]
    for (const [deviceId, shown, chain] of attempts) {
      expect(await post(deviceId, shown, chain)).toEqual(refused)
      await expect(connect(deviceId, shown, chain)).rejects.toMatchObject(notAuthorized)
    }
    expect(await rowCount('strict')).toBe(0)
  })

  test('a device with a key is let in with it beside a certificate, and not by the certificate', async () => {
    const own = certificateOf('keyed', { issuer: authority })
    const key = randomBytes(32).toString('base64')
    await register('keyed', { type: 'sas', symmetricKey: { primaryKey: key, secondaryKey: key } })
    expect(await post('keyed', own)).toEqual(refused)
    const token = createSasToken({ scope: 'localhost/devices/keyed', key, expiresAtMs: Date.now() + 600_000 })
    const url = `https://localhost:${httpsPort}/devices/keyed/messages/events`
    const args = ['-sS', '--cacert', ca.caFile, '-H', `Authorization: ${token}`, '-d', 'x', '-w', '%{http_code}', url]
    expect((await run('curl', args)).stdout).toBe('204')
  })

  test('whoever is disabled or given another certificate is cut off, over HTTPS and WebSocket [G-6]', async () => {
    const before = certificateOf('moved')
    const after = certificateOf('moved')
    await register('moved', byThumbprint(before))
    expect((await post('moved', before)).status).toBe(204)
    const first = await connected('moved', before)
    const firstEnded = new Promise((resolve) => first.once('close', () => resolve(undefined)))
    await replace('moved', byThumbprint(after))
    await firstEnded
    // The other edge process may hear of it a moment later.
    await expect.poll(() => post('moved', before), { timeout: 30_000 }).toEqual(refused)
    expect((await post('moved', after)).status).toBe(204)
    const second = await connected('moved', after)
    const secondEnded = new Promise((resolve) => second.once('close', () => resolve(undefined)))
    await replace('moved', byThumbprint(after), 'disabled')
    await secondEnded
    const disabled = { status: 403, body: expect.stringContaining('DeviceDisabled') }
    await expect.poll(() => post('moved', after), { timeout: 30_000 }).toEqual(disabled)
  })

  test('what was admitted on a connection is decided anew for another device, and once the device has changed [G-6]', async () => {
    const own = certificateOf('kept')
    await register('kept', byThumbprint(own))
    await register('neighbour', byThumbprint(certificateOf('neighbour')))
    const agent = new Agent({ keepAlive: true, maxSockets: 1, cert: own.certificatePem, key: own.privateKeyPem })
    const reused: boolean[] = []
    const statusOf = (deviceId: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const url = `https://localhost:${httpsPort}/devices/${deviceId}/messages/events`
        const asked = request(url, { agent, method: 'POST', ca: authority.certificatePem }, (response) => {
          reused.push(asked.reusedSocket)
          response.resume().once('end', () => resolve(response.statusCode))
        })
        asked.on('error', reject).end('x')
      })
    expect(await statusOf('kept')).toBe(204)
    expect(await statusOf('kept')).toBe(204)
    expect(await statusOf('neighbour')).toBe(401)
    expect(await statusOf('kept')).toBe(204)
    await replace('kept', byThumbprint(certificateOf('kept')))
    await expect.poll(() => statusOf('kept'), { timeout: 30_000 }).toBe(401)
    expect(reused).toEqual(reused.map((_, index) => index > 0))
    agent.destroy()
  })
})
