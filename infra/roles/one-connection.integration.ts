/** One connection a device over edges that share nothing but the registry: a PostgreSQL server, or the control role's socket. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { controlSettings } from '#control/control-settings.ts'
import { ensureFirstDevice } from '#control/identities/first-device.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { RunningPenstock } from '#infra/testbed/penstock.ts'
import { type PostgresForTests, postgresMissing, startPostgres } from '#infra/testbed/postgres.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { type StandaloneEdge, startStandaloneEdge } from './standalone-edge-fixture.ts'

const deviceId = 'roaming'
const takenOver = 0x8e

/** `npx penstock edge` with a data folder of its own. */
async function startEdgeProcess(dataDir: string, index: number, postgresUrl: string): Promise<StandaloneEdge> {
  const edge = await RunningPenstock.start({
    command: 'edge',
    args: [`--index=${index}`],
    settings: {
      PENSTOCK_DATA_DIR: join(dataDir, `edge-${index}`),
      PENSTOCK_EVENTS: 'never',
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_POSTGRES_URL: postgresUrl,
    },
  })
  return { port: Number(new URL(edge.mqttUrl).port), close: async () => void (await edge.stop()) }
}

interface Device {
  /** Reason code of the DISCONNECT that it got; `undefined` before. */
  readonly reason: () => number | undefined
  readonly connected: () => boolean
}

const clients: mqtt.MqttClient[] = []
afterEach(() => {
  for (const client of clients.splice(0)) client.end(true)
})

async function connectDevice(edge: StandaloneEdge, key: string): Promise<Device> {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${edge.port}`, {
    protocolVersion: 5,
    clientId: deviceId,
    username: deviceId,
    password: key,
    reconnectPeriod: 0,
  })
  clients.push(client)
  let reason: number | undefined
  client.on('disconnect', (packet) => {
    reason = packet.reasonCode
  })
  return { reason: () => reason, connected: () => client.connected }
}

async function openControlWith(settings: Settings): Promise<{ control: Control; key: string }> {
  const options = { ...controlSettings(settings), metrics: new Metrics<MetricName>(metricsTable) }
  const control = await openControl({ ...options, logger: silentLogger, audit: silentLogger })
  const made = await ensureFirstDevice(control.registry.identities, deviceId)
  return { control, key: made?.authentication.primaryKey ?? '' }
}

const postgres = serverFor('PostgreSQL', postgresMissing)

describe.skipIf(postgres.skip)(`edges that share a PostgreSQL server ${postgres.note}`, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-one-connection-'))
  let server: PostgresForTests
  let control: Control
  let edges: [StandaloneEdge, StandaloneEdge]
  let key: string

  beforeAll(async () => {
    server = await startPostgres()
    const settings = settingsFromEnvironment({
      PENSTOCK_DATA_DIR: dataDir,
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_POSTGRES_URL: server.url,
    })
    ;({ control, key } = await openControlWith(settings))
    edges = [await startEdgeProcess(dataDir, 0, server.url), await startEdgeProcess(dataDir, 1, server.url)]
  })

  afterAll(async () => {
    for (const edge of edges ?? []) await edge.close()
    await control?.close()
    await server?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test('the connection at one ends as soon as the device connects at the other, there and back [MQTT-3.1.4-2]', async () => {
    const [here, there] = edges
    const first = await connectDevice(here, key)
    const second = await connectDevice(there, key)
    await expect.poll(first.reason, { timeout: 30_000 }).toBe(takenOver)
    const third = await connectDevice(here, key)
    await expect.poll(second.reason, { timeout: 30_000 }).toBe(takenOver)
    expect(third.connected()).toBe(true)
    const connected = async () => (await control.registry.identities.get({ deviceId, moduleId: undefined }))?.connected
    await expect.poll(connected, { timeout: 30_000 }).toBe(true)
  })

  test('while the server is away both are open, and once it is back the older ends', async () => {
    const [here, there] = edges
    const older = await connectDevice(here, key)
    const known = await connectDevice(there, key)
    await expect.poll(older.reason, { timeout: 30_000 }).toBe(takenOver)
    // Both edges have met the device, so that neither needs a look-up.
    const first = await connectDevice(here, key)
    await expect.poll(known.reason, { timeout: 30_000 }).toBe(takenOver)
    await server.kill()
    const second = await connectDevice(there, key)
    expect([first.connected(), second.connected()]).toEqual([true, true])
    await server.start()
    await expect.poll(first.reason, { timeout: 30_000 }).toBe(takenOver)
    expect(second.connected()).toBe(true)
  })
})

test('edges of one data folder without a supervisor, on the embedded store: the newer connection ends the older', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-one-connection-'))
  const settings = settingsFromEnvironment({ PENSTOCK_DATA_DIR: dataDir, PENSTOCK_IDENTITIES: 'required' })
  const { control, key } = await openControlWith(settings)
  const here = await startStandaloneEdge(settings, 'machine-0')
  const there = await startStandaloneEdge(settings, 'machine-1')
  const first = await connectDevice(here, key)
  const second = await connectDevice(there, key)
  await expect.poll(first.reason, { timeout: 30_000 }).toBe(takenOver)
  expect(second.connected()).toBe(true)
  for (const edge of [here, there]) await edge.close()
  await control.close()
  rmSync(dataDir, { recursive: true, force: true })
})
