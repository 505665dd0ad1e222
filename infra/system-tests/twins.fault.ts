/** Twins of everything as a user runs it, while its processes and its store are killed: what was answered stands, and what changes arrives. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt, { type MqttClient } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { sleep, systemClock } from '#runtime/clock.ts'

const ownerKey = randomBytes(32).toString('base64')
const deviceKey = randomBytes(32).toString('base64')
const deviceId = 'twin'
const postgres = serverFor('PostgreSQL', postgresMissing)

interface Document {
  readonly version: number
  readonly properties: Readonly<Record<'desired' | 'reported', Readonly<Record<string, unknown>>>>
}

/** As a service does: again and again while the answer is that it should. */
async function rest(penstock: RunningPenstock, method: string, path: string, body?: object): Promise<Document> {
  const token = { scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
  while (true) {
    const response = await fetch(`${penstock.httpUrl}${path}`, {
      method,
      headers: { Authorization: createSasToken(token), 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch(() => undefined)
    if (response?.status === 200) return (await response.json()) as Document
    if (response !== undefined && response.status < 500)
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    await sleep(systemClock, 100)
  }
}

/** A device that keeps its session, and writes down what it was told. */
class TwinDevice {
  readonly desired: Readonly<Record<string, unknown>>[] = []
  /** Versions of reports that were committed, by their request id. */
  readonly committed = new Map<string, number>()
  readonly #client: MqttClient
  #reported = 0

  constructor(url: string) {
    this.#client = mqtt.connect(url, {
      clientId: deviceId,
      username: `localhost/${deviceId}/?api-version=2021-04-12`,
      password: createSasToken({
        scope: `localhost/devices/${deviceId}`,
        key: deviceKey,
        expiresAtMs: Date.now() + 600_000,
      }),
      clean: false,
      // As the hub's client for Python, it does not subscribe again.
      resubscribe: false,
      reconnectPeriod: 100,
    })
    this.#client.on('error', () => {})
    this.#client.on('message', (topic, payload) => this.#hear(topic, payload))
  }

  async listen(): Promise<void> {
    await this.#client.subscribeAsync(['$iothub/twin/res/#', '$iothub/twin/PATCH/properties/desired/#'], { qos: 1 })
  }

  /** Does not wait for the answer. */
  report(): void {
    const n = ++this.#reported
    this.#client.publish(`$iothub/twin/PATCH/properties/reported/?$rid=${n}`, JSON.stringify({ n }), { qos: 0 })
  }

  end(): Promise<void> {
    return this.#client.endAsync(true)
  }

  #hear(topic: string, payload: Buffer): void {
    if (topic.startsWith('$iothub/twin/PATCH/')) this.desired.push(JSON.parse(payload.toString()))
    const [, requestId, version] = /^\$iothub\/twin\/res\/204\/\?\$rid=(\d+)&\$version=(\d+)$/.exec(topic) ?? []
    if (requestId !== undefined) this.committed.set(requestId, Number(version))
  }
}

/** Nothing changes the twin any more; perhaps the last of what was reported is still being committed. */
async function everyChangeBecomesARow(penstock: RunningPenstock): Promise<void> {
  const told = 'SELECT count(DISTINCT version), min(version), max(version) FROM penstock.twin_events FORMAT TSV'
  const rows = async () => (await fetch(penstock.clickhouseUrl, { method: 'POST', body: told })).text()
  const everyVersion = async (): Promise<boolean> => {
    const { version } = await rest(penstock, 'GET', `/twins/${deviceId}`)
    // A twin begins as version 2.
    return (await rows()).trim() === `${version - 2}\t3\t${version}`
  }
  await expect.poll(everyVersion, { timeout: 30_000 }).toBe(true)
}

/** @param crash kills something that comes back by itself, or is started again */
async function survives(
  settings: Record<string, string>,
  crashes: readonly ((penstock: RunningPenstock) => Promise<void>)[],
): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-twins-'))
  const penstock = await startPenstock(dataDir, {
    PENSTOCK_IDENTITIES: 'required',
    PENSTOCK_OWNER_KEY: ownerKey,
    PENSTOCK_EDGE_PROCESSES: '1',
    ...settings,
  })
  const symmetricKey = { primaryKey: deviceKey, secondaryKey: deviceKey }
  await rest(penstock, 'PUT', `/devices/${deviceId}`, { deviceId, authentication: { type: 'sas', symmetricKey } })
  const device = new TwinDevice(penstock.mqttUrl)
  const reports = setInterval(() => device.report(), 120)
  try {
    await device.listen()
    let changes = 0
    const change = async (): Promise<void> => {
      changes++
      const desired = { [`k${changes % 3}`]: changes, [`k${(changes + 1) % 3}`]: null }
      await rest(penstock, 'PATCH', `/twins/${deviceId}`, { properties: { desired } })
    }
    for (const crash of crashes) {
      await change()
      const committed = device.committed.size
      await crash(penstock)
      await change()
      await change()
      await expect.poll(() => device.committed.size, { timeout: 30_000 }).toBeGreaterThan(committed + 5)
    }
    const { properties } = await rest(penstock, 'GET', `/twins/${deviceId}`)
    const { $version, $metadata, ...wanted } = properties.desired
    // The newest arrived, nothing was older than what came before, and what was told makes up the whole [G-8].
    await expect.poll(() => device.desired.at(-1)?.$version, { timeout: 30_000 }).toBe($version)
    const versions = device.desired.map((patch) => Number(patch.$version))
    expect(versions).toEqual(versions.toSorted((one, other) => one - other))
    const known = Object.assign({}, ...device.desired)
    expect(Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null))).toEqual({
      ...wanted,
      $version,
    })
    // In the order of the requests, each with a version of its own.
    const committed = [...device.committed.values()]
    expect(committed).toEqual(committed.toSorted((one, other) => one - other))
    expect(new Set(committed).size).toBe(committed.length)
    clearInterval(reports)
    const last = Math.max(...[...device.committed.keys()].map(Number))
    const { reported } = (await rest(penstock, 'GET', `/twins/${deviceId}`)).properties
    expect(Number(reported.n)).toBeGreaterThanOrEqual(last)
    expect(Number(reported.$version)).toBeGreaterThanOrEqual(committed.at(-1) ?? 0)
    await everyChangeBecomesARow(penstock)
  } catch (error) {
    throw new Error(`${JSON.stringify(device.desired)}\n${penstock.output()}`, { cause: error })
  } finally {
    clearInterval(reports)
    await device.end()
    await penstock.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const killed = (role: 'control' | 'edge') => async (penstock: RunningPenstock) => {
  const before = penstock.pidsOf(role)
  for (const pid of before) process.kill(pid, 'SIGKILL')
  await expect.poll(() => penstock.pidsOf(role).some((pid) => !before.includes(pid)), { timeout: 30_000 }).toBe(true)
}

describe('a device that reports without end, and a service that changes what it is to be, lose nothing of one another, and every change is told [G-8]', () => {
  test('embedded: the control role is killed, and the edge', () => survives({}, [killed('control'), killed('edge')]))

  test.skipIf(postgres.skip)(`PostgreSQL: it is killed, and the edge ${postgres.note}`, async () => {
    const server = await startPostgres()
    try {
      const restarted = async (): Promise<void> => {
        await server.kill()
        await server.start()
      }
      await survives({ PENSTOCK_POSTGRES_URL: server.url }, [restarted, killed('edge')])
    } finally {
      await server.stop()
    }
  })
})
