/** A small fleet on everything as a user runs it, with a receiver of OTLP: what analysts and boards look at. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual, promisify } from 'node:util'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import mqtt, { type MqttClient } from 'mqtt'
import { expect } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { type OtlpReceiver, startOtlpReceiver } from '#infra/testbed/otlp-receiver.ts'
import { RunningPenstock } from '#infra/testbed/penstock.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'

const ownerKey = randomBytes(32).toString('base64')
const deviceKey = randomBytes(32).toString('base64')
const tokenLifeMs = 600_000

/** Of a message that `thermometer-1` sends. */
export const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
export const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
export const devices = ['thermometer-1', 'thermometer-2', 'pump-1'] as const

export interface ObservedPenstock {
  readonly penstock: RunningPenstock
  readonly receiver: OtlpReceiver
  /** Of who may only read. */
  readonly client: ClickHouseClient
  /** Lets a device connect, send eight messages, ask for its twin, and go. */
  readonly sendAs: (device: string) => Promise<void>
  /** `npx penstock` on the same data. @returns what it printed */
  readonly command: (...args: readonly string[]) => Promise<string>
  readonly close: () => Promise<void>
}

/** Starts it, with a fleet that sent messages, came, went and reported. */
export async function observedPenstock(): Promise<ObservedPenstock> {
  const receiver = await startOtlpReceiver()
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-observed-'))
  const penstock = await RunningPenstock.start({
    settings: {
      PENSTOCK_DATA_DIR: dataDir,
      ...{ PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: ownerKey },
      ...{ PENSTOCK_OTLP_URL: receiver.url, PENSTOCK_OTLP_HEADERS: 'authorization=Bearer%20abc,x-scope=test' },
      ...{ PENSTOCK_OTLP_INTERVAL_MS: '1000', PENSTOCK_OTLP_BATCHES_PER_TRACE: '1' },
    },
  })
  const client = createClient({
    url: penstock.clickhouseUrl,
    username: 'readonly',
    database: 'penstock',
    log: { level: ClickHouseLogLevel.OFF },
  })
  const close = async () => {
    await client.close()
    await penstock.stop()
    await receiver.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
  const command = async (...args: readonly string[]): Promise<string> => {
    const env = {
      ...{ ...process.env, PENSTOCK_DATA_DIR: dataDir, PENSTOCK_CLICKHOUSE_URL: penstock.clickhouseUrl },
      ...{ PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: ownerKey },
      ...{ PENSTOCK_HTTP_PORT: new URL(penstock.httpUrl).port, PENSTOCK_OTLP_BATCHES_PER_TRACE: '1' },
    }
    const program = [join(import.meta.dirname, '../penstock.js'), ...args]
    return (await promisify(execFile)(process.execPath, program, { env })).stdout
  }
  try {
    await sendAsFleet(penstock)
    await untilCounted(client)
  } catch (error) {
    await close()
    throw error
  }
  return { penstock, receiver, client, command, sendAs: (device) => sendAs(penstock, device), close }
}

const rowsMsMax = 60_000

/** Messages, presence of three devices, and versions of a twin. @throws with what there is, if that is not all within a minute */
async function untilCounted(client: ClickHouseClient): Promise<void> {
  const count = async (from: string): Promise<number> => {
    const result = await client.query({ query: `SELECT count() FROM penstock.${from}`, format: 'TabSeparated' })
    return Number(await result.text())
  }
  const ofFleet = `WHERE device_id IN ('${devices.join("', '")}')`
  const endMs = systemClock.monotonicMs() + rowsMsMax
  for (;;) {
    const counted = {
      messages: await count('telemetry'),
      devices: await count(`devices ${ofFleet}`),
      events: await count(`device_events ${ofFleet}`),
      twins: await count("twin_events WHERE device_id = 'thermometer-1' AND op_type = 'updateTwin'"),
    }
    if (isDeepStrictEqual(counted, { messages: 24, devices: 3, events: 9, twins: 2 })) return
    if (systemClock.monotonicMs() > endMs) throw new Error(`rows are missing: ${JSON.stringify(counted)}`)
    await sleep(systemClock, 50)
  }
}

async function sendAsFleet(penstock: RunningPenstock): Promise<void> {
  for (const device of devices) await register(penstock, device)
  await asService(penstock, 'PATCH', '/twins/thermometer-1', { tags: { site: 'north' } })
  for (const device of devices) await sendAs(penstock, device)
  await asService(penstock, 'PATCH', '/twins/thermometer-1', { properties: { desired: { offset: 2 } } })
}

async function sendAs(penstock: RunningPenstock, device: string): Promise<void> {
  const client = await connected(penstock, device)
  for (let n = 0; n < 8; n++) {
    const body = device === 'pump-1' ? { flow: n * 1.5 } : { temperature: 20 + n, humidity: 50 - n }
    const traced = device === 'thermometer-1' && n === 3 && { properties: { userProperties: { traceparent } } }
    await client.publishAsync(`${telemetryPath(device)}/`, JSON.stringify(body), { qos: 1, ...traced })
  }
  const answered = new Promise((resolve) => client.once('message', resolve))
  await client.subscribeAsync('$iothub/twin/res/#')
  await client.publishAsync('$iothub/twin/GET/?$rid=1', '')
  await answered
  await client.endAsync()
}

function connected(penstock: RunningPenstock, deviceId: string): Promise<MqttClient> {
  return mqtt.connectAsync(penstock.mqttUrl, {
    clientId: deviceId,
    username: deviceId,
    password: deviceKey,
    protocolVersion: 5,
    reconnectPeriod: 0,
  })
}

function register(penstock: RunningPenstock, deviceId: string): Promise<void> {
  const symmetricKey = { primaryKey: deviceKey, secondaryKey: deviceKey }
  return asService(penstock, 'PUT', `/devices/${deviceId}`, { deviceId, authentication: { type: 'sas', symmetricKey } })
}

async function asService(penstock: RunningPenstock, method: string, path: string, body: object): Promise<void> {
  const expiresAtMs = Date.now() + tokenLifeMs
  const token = createSasToken({ scope: 'localhost', key: ownerKey, policyName: 'iothubowner', expiresAtMs })
  const response = await fetch(`${penstock.httpUrl}${path}`, {
    method,
    headers: { Authorization: token, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(response.status, await response.text()).toBe(200)
}
