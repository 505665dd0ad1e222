/** Models as people use them: a device that announces one, the command line, and ClickHouse's own client as who may change nothing. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@clickhouse/client'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ownerToken } from '#control/client/client.ts'
import { runModelsCommand } from '#infra/commands/models.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'

const ownerKey = Buffer.from('the owner of the tests has a key').toString('base64')
const dataDir = mkdtempSync(join(tmpdir(), 'penstock-models-'))
let penstock: RunningPenstock
let analyst: ReturnType<typeof createClient>

beforeAll(async () => {
  penstock = await startPenstock(dataDir, { PENSTOCK_IDENTITIES: 'required', PENSTOCK_OWNER_KEY: ownerKey })
  analyst = createClient({ url: penstock.clickhouseUrl, username: 'readonly' })
  await rest('PUT', '/devices/t1', { deviceId: 't1' })
}, 120_000)
afterAll(async () => {
  await analyst?.close()
  await penstock?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

const access = () => ({ url: penstock.httpUrl, hostName: 'localhost', ownerKey })

/** Until ClickHouse has what models say, which a busy machine may do after it answered. */
const inLine = () =>
  expect
    .poll(
      async () => ((await rest('GET', '/api/models')).json as { isInLine: boolean }[]).map((each) => each.isInLine),
      {
        timeout: 30_000,
      },
    )
    .not.toContain(false)

/** Lines that a command writes. */
async function models(...args: readonly string[]): Promise<string> {
  const written: string[] = []
  await runModelsCommand(args, { ...access(), write: (line) => written.push(line) })
  return written.join('\n')
}

async function rest(method: string, path: string, body?: object): Promise<{ status: number; json: unknown }> {
  const response = await fetch(`${penstock.httpUrl}${path}`, {
    method,
    headers: { Authorization: ownerToken(access(), Date.now() + 60_000), 'Content-Type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
}

const rowsOf = async (query: string): Promise<unknown> => (await analyst.query({ query, format: 'JSONEachRow' })).json()

const file = (name: string, json: unknown): string => {
  const path = join(dataDir, name)
  writeFileSync(path, JSON.stringify(json))
  return path
}
const thermostat = (schema: unknown = 'double') => ({
  '@context': 'dtmi:dtdl:context;2',
  '@id': 'dtmi:com:example:Thermostat;1',
  '@type': 'Interface',
  contents: [
    { '@type': 'Telemetry', name: 'temperature', schema },
    { '@type': 'Telemetry', name: 'state', schema: { '@type': 'Enum', valueSchema: 'string', enumValues: [] } },
    { '@type': 'Property', name: 'target', schema: 'double' },
  ],
})

describe('models', () => {
  test('rows of a device that announces its model stand in a view of typed columns, and in a pinned one', {
    timeout: 60_000,
  }, async () => {
    const path = file('thermostat.json', thermostat())
    expect(await models('plan', path, '--pin', 'temperature')).toMatch(
      /ADD COLUMN IF NOT EXISTS `Thermostat_temperature`[\s\S]*CREATE OR REPLACE VIEW penstock\.`v_Thermostat`/,
    )
    expect(await models('list')).toBe('')
    expect(await models('add', path)).toMatch(
      /^Thermostat\tpenstock\.v_Thermostat\t2 fields\t0 pinned\trows: of devices that announced dtmi:com:example:Thermostat;1/,
    )
    const { json } = await rest('GET', '/devices/t1')
    const { primaryKey } = (json as { authentication: { symmetricKey: { primaryKey: string } } }).authentication
      .symmetricKey
    const options = { clientId: 't1', password: primaryKey, reconnectPeriod: 0 }
    const announcing = await mqtt.connectAsync(penstock.mqttUrl, {
      ...options,
      username: 'localhost/t1/?api-version=2021-04-12&model-id=dtmi:com:example:Thermostat;1',
    })
    const send = (device: mqtt.MqttClient, body: string) =>
      device.publishAsync('devices/t1/messages/events/', body, { qos: 1 })
    await send(announcing, '{"temperature":21.5,"state":"on"}')
    await models('pin', 'Thermostat', 'temperature')
    await inLine()
    await send(announcing, '{"temperature":22.5,"state":7}')
    await announcing.endAsync()
    const silent = await mqtt.connectAsync(penstock.mqttUrl, { ...options, username: 't1' })
    await send(silent, '{"temperature":-1,"state":"of no model"}')
    await silent.endAsync()
    const rows = () =>
      rowsOf('SELECT device_id, temperature, state FROM penstock.v_Thermostat ORDER BY enqueued_at, temperature')
    await expect.poll(rows, { timeout: 30_000 }).toEqual([
      { device_id: 't1', temperature: 21.5, state: 'on' },
      { device_id: 't1', temperature: 22.5, state: '7' },
    ])
    const pinned = 'SELECT Thermostat_temperature AS pinned FROM penstock.telemetry ORDER BY pinned NULLS FIRST'
    await expect
      .poll(() => rowsOf(pinned), { timeout: 30_000 })
      .toEqual([{ pinned: null }, { pinned: 21.5 }, { pinned: 22.5 }])
    await models('charts', 'Thermostat', 'on')
    await inLine()
    expect(
      await rowsOf('SELECT sum(temperature_count) AS n, max(temperature_max) AS top FROM penstock.charts_Thermostat'),
    ).toEqual([{ n: 2, top: 22.5 }])
    expect(await models('unpin', 'Thermostat', 'temperature')).toMatch(/\t0 pinned\t/)
    await models('remove', 'Thermostat')
    await expect.poll(() => rowsOf('EXISTS penstock.v_Thermostat'), { timeout: 30_000 }).toEqual([{ result: 0 }])
    expect(await models('list')).toBe('')
    expect(await rowsOf('SELECT count() AS n FROM penstock.telemetry')).toEqual([{ n: 3 }])
  })

  test('a suggestion is a model that can be added', { timeout: 60_000 }, async () => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const suggested: unknown = JSON.parse(await models('suggest', '--device-prefix', 't'))
    expect(suggested).toMatchObject({ properties: { temperature: { type: 'number' } } })
    expect(await models('add', file('room.json', suggested), '--device-prefix', 't')).toMatch(
      /^room\tpenstock\.v_room\t\d fields\t0 pinned\trows: of devices whose ids begin with t/,
    )
    await inLine()
    expect(await rowsOf('SELECT max(temperature) AS top FROM penstock.v_room')).toEqual([{ top: 22.5 }])
    await models('remove', 'room')
  })

  test('what is wrong is said, with what is allowed, and changes nothing', { timeout: 60_000 }, async () => {
    const faulty = thermostat({ '@type': 'Map' })
    await expect(models('add', file('faulty.json', faulty))).rejects.toThrow(/contents\[0\]\.schema: Map is not read/)
    await expect(models('plan', file('faulty.json', faulty))).rejects.toMatchObject({ code: 'CONTROL_REFUSED' })
    expect(await rest('PUT', '/api/models/x', { document: faulty })).toMatchObject({
      status: 400,
      json: { problems: [{ path: 'contents[0].schema', message: expect.stringContaining('Map is not read') }] },
    })
    const deep = `{"document":${'['.repeat(100)}${']'.repeat(100)}}`
    const asked: readonly (readonly [string, string, object | undefined, number])[] = [
      ['PUT', '/api/models/1x', { document: thermostat() }, 400],
      ['PUT', '/api/models/x', {}, 400],
      ['PUT', '/api/models/x', { document: thermostat(), guard: { kind: 'all' } }, 400],
      ['PUT', '/api/models/x', JSON.parse(deep) as object, 400],
      ['GET', '/api/models/x', undefined, 404],
      ['PUT', '/api/models/x/pins/t', undefined, 404],
      ['DELETE', '/api/models/x', undefined, 404],
      ['POST', '/api/models/plan', { name: 'x', document: thermostat(), pins: ['none'] }, 400],
    ]
    for (const [method, path, body, status] of asked)
      expect((await rest(method, path, body)).status, `${method} ${path}`).toBe(status)
    for (const line of [[], ['nonsense'], ['pin', 'x'], ['add'], ['add', '/nowhere'], ['charts', 'x', 'maybe']])
      await expect(models(...line), line.join(' ')).rejects.toThrow()
    expect(await models('list')).toBe('')
  })
})
