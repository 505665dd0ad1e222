/** What a web page may try that the browser of this machine shows: everything runs here, identities are trusted, nobody has a password. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@clickhouse/client'
import mqtt from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'

let dataDir = ''
let penstock: RunningPenstock

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-callers-'))
  penstock = await startPenstock(dataDir, { PENSTOCK_HOSTNAME: 'localhost,hub.example' })
})

afterAll(async () => {
  await penstock?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

/** Status of a request whose headers say what no library lets a program say. */
function statusOf(url: string, headers: Record<string, string>, method = 'GET', body = ''): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    asked.on('upgrade', (_, socket) => {
      socket.destroy()
      resolve(101)
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

const upgrade = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': Buffer.alloc(16).toString('base64'),
  'Sec-WebSocket-Protocol': 'mqtt',
}

const ways: readonly (readonly [string, number, (headers: Record<string, string>) => Promise<number>])[] = [
  ['SELECT', 200, (headers) => statusOf(`${penstock.clickhouseUrl}/?query=SELECT+1`, headers)],
  ['a statement in a body', 200, (headers) => statusOf(penstock.clickhouseUrl, headers, 'POST', 'SELECT 1')],
  ['/ping', 200, (headers) => statusOf(`${penstock.clickhouseUrl}/ping`, headers)],
  ['telemetry', 204, (headers) => statusOf(`${penstock.httpUrl}/devices/d/messages/events`, headers, 'POST', 'x')],
  ['/metrics', 200, (headers) => statusOf(`${penstock.httpUrl}/metrics`, headers)],
  ['/api/noisiest', 200, (headers) => statusOf(`${penstock.httpUrl}/api/noisiest`, headers)],
  ['/mqtt', 101, (headers) => statusOf(`${penstock.httpUrl}/mqtt`, { ...upgrade, ...headers })],
  [
    '/$iothub/websocket',
    101,
    (headers) => statusOf(`${penstock.httpUrl}/$iothub/websocket`, { ...upgrade, ...headers }),
  ],
]

test.each(ways)(
  '%s: a page of another name or origin gets nothing, programs of this machine do',
  async (_, good, ask) => {
    expect(await ask({ Host: 'evil.example' })).toBe(403)
    expect(await ask({ Host: 'evil.example', Origin: 'http://evil.example' })).toBe(403)
    expect(await ask({ Origin: 'http://evil.example' })).toBe(403)
    expect(await ask({ Origin: 'null' })).toBe(403)
    expect(await ask({ 'Sec-Fetch-Site': 'cross-site' })).toBe(403)
    expect(await ask({ 'Sec-Fetch-Site': 'same-site' })).toBe(403)
    expect(await ask({ 'Sec-Fetch-Site': 'same-origin' })).toBe(good)
    expect(await ask({ 'Sec-Fetch-Site': 'none' })).toBe(good)
    expect(await ask({})).toBe(good)
    expect(await ask({ Host: 'localhost:1' })).toBe(good)
    expect(await ask({ Host: '[::1]' })).toBe(good)
    expect(await ask({ Host: 'HUB.example' })).toBe(good)
  },
)

test('a registry that nobody needs asks for its keys, under the names of this machine only', async () => {
  const ask = (headers: Record<string, string>) => statusOf(`${penstock.httpUrl}/devices/first-device`, headers)
  expect(await ask({ Host: 'evil.example' })).toBe(403)
  await expect.poll(() => ask({}), { timeout: 60_000 }).toBe(401)
})

test('clients that are no browsers notice nothing', async () => {
  const clickhouse = createClient({ url: penstock.clickhouseUrl.replace('127.0.0.1', 'localhost') })
  const result = await clickhouse.query({ query: 'SELECT 1 AS one', format: 'JSONEachRow' })
  expect(await result.json()).toEqual([{ one: 1 }])
  await clickhouse.close()
  const url = `${penstock.httpUrl.replace('http', 'ws')}/mqtt`
  const device = await mqtt.connectAsync(url, { clientId: 'd1' })
  await device.publishAsync('devices/d1/messages/events/', 'hello', { qos: 1 })
  await device.endAsync()
})
