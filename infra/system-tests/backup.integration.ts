/** The drill of docs/BACKUP.md: everything runs, is backed up while devices send, is killed, and goes on from the backup elsewhere. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import mqtt from 'mqtt'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { derivedKey } from '#control/provisioning/derived-key.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { type PenstockSettings, penstockPorts, RunningPenstock } from '#infra/testbed/penstock.ts'

const root = join(import.meta.dirname, '../..')
const secret = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
const groupKey = Buffer.alloc(32, 3).toString('base64')
const idScope = '0ne00000001'
const deviceId = 'press-1'
/** That send at the same time. */
const lanes = 16
/** The first number that is sent after the restore. */
const newFrom = 16_000_000

let folder: string
let one: string
let two: string
let backup: string
let receiver: Server
const received = new Set<string>()
let penstock: RunningPenstock | undefined

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-drill-'))
  one = join(folder, 'one')
  two = join(folder, 'two')
  backup = join(folder, 'backup')
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      new Webhook(secret).verify(body, request.headers as Record<string, string>)
      for (const message of JSON.parse(body)) received.add(String(message.body.n))
      response.writeHead(200).end()
    })
  }).listen(0, '127.0.0.1')
})

afterAll(async () => {
  await penstock?.stop()
  receiver.closeAllConnections()
  receiver.close()
  rmSync(folder, { recursive: true, force: true })
})

const settingsOf = (dataDir: string): PenstockSettings => ({
  PENSTOCK_DATA_DIR: dataDir,
  PENSTOCK_IDENTITIES: 'required',
  PENSTOCK_PARTITIONS: '4',
})

let settings: PenstockSettings = {}

async function start(dataDir: string): Promise<void> {
  settings = { ...settingsOf(dataDir), ...(await penstockPorts()) }
  penstock = await RunningPenstock.start({ settings })
}

/** A command line as an operator types it. */
async function command(dataDir: string, ...args: string[]): Promise<{ code: number; text: string }> {
  const env = { ...process.env, ...settings, ...settingsOf(dataDir), PENSTOCK_LOG_LEVEL: 'error' }
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(root, 'infra/penstock.js'), ...args], {
      env,
    })
    return { code: 0, text: stdout + stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, text: stdout + stderr }
  }
}

async function asOwner(key: string, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const token = createSasToken({
    scope: 'localhost',
    key,
    policyName: 'iothubowner',
    expiresAtMs: Date.now() + 600_000,
  })
  const response = await fetch(`${penstock?.httpUrl}${path}`, {
    method,
    headers: { Authorization: token, 'Content-Type': 'application/json', 'If-Match': '*' },
    body: body === undefined ? null : JSON.stringify(body),
  })
  expect(response.status, path).toBe(200)
  return (await response.json()) as Record<string, unknown>
}

/** A device as its maker made it: it has a key that its group's gives it, and asks where it belongs. */
async function provision(): Promise<void> {
  const scope = `${idScope}/registrations/${deviceId}`
  const token = createSasToken({ scope, key: derivedKey(groupKey, deviceId), expiresAtMs: Date.now() + 60_000 })
  const response = await fetch(`${penstock?.httpUrl}/${scope}/register?api-version=2019-03-31`, {
    method: 'PUT',
    headers: { Authorization: token, 'Content-Type': 'application/json' },
    body: '{}',
  })
  expect(response.status).toBe(202)
}

const connectDevice = () =>
  mqtt.connectAsync(penstock?.mqttUrl ?? '', {
    clientId: deviceId,
    username: deviceId,
    password: createSasToken({
      scope: `localhost/devices/${deviceId}`,
      key: derivedKey(groupKey, deviceId),
      expiresAtMs: Date.now() + 600_000,
    }),
    reconnectPeriod: 0,
  })

const patient = { timeout: 30_000 }

/** It may be told where it belongs before it is assigned. */
const isAssigned = () =>
  connectDevice().then(
    async (device) => {
      await device.endAsync()
      return true
    },
    () => false,
  )

/** Sends numbers, several at a time, until it is told to stop. @param acknowledged gets each that was */
async function sendUntil(stopped: AbortSignal, from: number, acknowledged: Set<string>): Promise<void> {
  const device = await connectDevice()
  const send = async (lane: number): Promise<void> => {
    for (let n = from + lane; !stopped.aborted; n += lanes) {
      await device.publishAsync(
        `devices/${deviceId}/messages/events/$.ct=application%2Fjson&$.ce=utf-8`,
        `{"n":${n}}`,
        {
          qos: 1,
        },
      )
      acknowledged.add(String(n))
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, lane) => send(lane)))
  await device.endAsync()
}

/** How often each number is a row. */
async function rows(): Promise<ReadonlyMap<string, number>> {
  const query = "SELECT JSONExtractInt(body, 'n'), count() FROM penstock.telemetry GROUP BY 1 FORMAT TSV"
  const text = await (await fetch(`${penstock?.clickhouseUrl}`, { method: 'POST', body: query })).text()
  return new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
      .map(([n = '', count]) => [n, Number(count)]),
  )
}

/**
 * Lanes that lack a number though they have a later one: a lane sends the next only after the last was acknowledged, so of what the backup
 * has of it nothing may be missing, also what was sent while it was made.
 */
function holes(numbers: readonly string[]): string[] {
  const old = numbers.map(Number).filter((n) => n < newFrom)
  return Array.from({ length: lanes }, (_, lane) => old.filter((n) => n % lanes === lane))
    .map((own, lane) => ({ lane, missing: (Math.max(...own) - lane) / lanes + 1 - own.length }))
    .filter(({ missing }) => missing !== 0)
    .map(({ lane, missing }) => `${missing} of lane ${lane}`)
}

describe('a backup', () => {
  const before = new Set<string>()
  let ownerKey: string

  test('is made while devices send, and all of it was acknowledged', async () => {
    await start(one)
    ownerKey = readOwnerKey(one) ?? ''
    const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: groupKey, secondaryKey: groupKey } }
    await asOwner(ownerKey, 'PUT', '/enrollmentGroups/line', { enrollmentGroupId: 'line', attestation })
    await provision()
    await expect.poll(isAssigned, patient).toBe(true)
    await asOwner(ownerKey, 'PATCH', `/twins/${deviceId}`, {
      tags: { hall: 7 },
      properties: { desired: { everySeconds: 5 } },
    })
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/in`
    await asOwner(ownerKey, 'PUT', '/routing', {
      endpoints: [{ name: 'hook', kind: 'webhook', url, secret, delayMs: 1 }],
      routes: [{ name: 'all', endpointNames: ['hook'] }],
    })
    const acknowledged = new Set<string>()
    const stopping = new AbortController()
    const sending = sendUntil(stopping.signal, 0, acknowledged)
    await expect.poll(() => acknowledged.size, patient).toBeGreaterThan(500)
    await expect.poll(async () => (await rows()).size, patient).toBeGreaterThan(100)
    for (const n of acknowledged) before.add(n)
    const made = await command(one, 'backup', backup)
    expect(made).toMatchObject({ code: 0 })
    const during = acknowledged.size - before.size
    stopping.abort()
    await sending
    // Devices were acknowledged all the time.
    expect(during).toBeGreaterThan(100)
    expect(
      readdirSync(join(one, 'warehouse/engine/shadow')).filter((name) => name.startsWith('penstock_backup')),
    ).toEqual([])
    await penstock?.kill()
  }, 120_000)

  test('is the same installation elsewhere: every message once, the device with its old key, its twin, its routes, what is new besides [G-12]', async () => {
    expect(await command(two, 'restore', backup)).toMatchObject({ code: 0 })
    expect(readOwnerKey(two)).toBe(ownerKey)

    received.clear()
    await start(two)
    const { tags, properties } = (await asOwner(ownerKey, 'GET', `/twins/${deviceId}`)) as Record<string, object>
    expect([tags, properties]).toMatchObject([{ hall: 7 }, { desired: { everySeconds: 5 } }])
    const after = new Set<string>()
    const stopping = new AbortController()
    const sending = sendUntil(stopping.signal, newFrom, after)
    await expect.poll(() => after.size, patient).toBeGreaterThan(300)
    stopping.abort()
    await sending
    const expected = [...before, ...after]
    await expect
      .poll(async () => {
        const found = await rows()
        return expected.filter((n) => !found.has(n)).length
      }, patient)
      .toBe(0)
    expect([...(await rows()).values()].filter((count) => count !== 1)).toEqual([])
    expect(holes([...(await rows()).keys()])).toEqual([])
    await expect.poll(() => [...after].filter((n) => !received.has(n)).length, patient).toBe(0)
    const verdict = await command(two, 'verify')
    expect(verdict).toMatchObject({ code: 0, text: expect.stringContaining('stored exactly once') })
  }, 120_000)
})
