/** Registration over raw MQTT and HTTP, as no SDK does it, and the commands of docs/PROVISIONING.md. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSasToken } from '#control/auth/sas-token.ts'
import { derivedKey } from '#control/provisioning/derived-key.ts'
import { runProvisioningCommand } from '#infra/commands/provisioning.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { CommandsInstallation } from './commands-fixture.ts'

const hub = new CommandsInstallation()
const idScope = '0ne00000001'
const key = Buffer.alloc(32, 3).toString('base64')

beforeAll(async () => {
  await hub.start()
  await hub.addDevice('d1')
  const attestation = { type: 'symmetricKey', symmetricKey: { primaryKey: key, secondaryKey: key } }
  const body = JSON.stringify({ enrollmentGroupId: 'raw', attestation })
  expect((await hub.asOwner('PUT', '/enrollmentGroups/raw', { body })).status).toBe(200)
}, 60_000)
afterAll(() => hub.stop())

const tokenOf = (registrationId: string, usedKey = derivedKey(key, registrationId)): string =>
  createSasToken({
    scope: `${idScope}/registrations/${registrationId}`,
    key: usedKey,
    expiresAtMs: Date.now() + 60_000,
  })

const connect = (registrationId: string, password = tokenOf(registrationId), clean = true): Promise<MqttClient> =>
  connectAsync(`mqtt://127.0.0.1:${hub.edge.mqttPort}`, {
    clientId: registrationId,
    username: `${idScope}/registrations/${registrationId}/api-version=2019-03-31&ClientVersion=test`,
    password,
    clean,
    reconnectPeriod: 0,
  })

/** What comes next below `$dps/`. */
function nextAnswer(client: MqttClient): Promise<{ topic: string; body: Record<string, unknown> }> {
  return new Promise((resolve) =>
    client.once('message', (topic, body) => resolve({ topic, body: JSON.parse(body.toString()) })),
  )
}

describe('registration over MQTT', () => {
  test('is a request and a poll, and listens to nothing else', async () => {
    const client = await connect('raw-1', tokenOf('raw-1'), false)
    const [granted] = await client.subscribeAsync('$dps/registrations/res/#', { qos: 1 })
    expect(granted?.qos).toBe(1)
    for (const filter of ['$iothub/methods/POST/#', '$iothub/twin/res/#', '#'])
      expect((await client.subscribeAsync(filter).catch(() => [{ qos: 128 }]))[0]?.qos).toBe(128)
    let answer = nextAnswer(client)
    const body = JSON.stringify({ registrationId: 'raw-1', payload: null })
    await client.publishAsync('$dps/registrations/PUT/iotdps-register/?$rid=7', body, { qos: 1 })
    const begun = await answer
    expect(begun).toMatchObject({
      topic: '$dps/registrations/res/202/?$rid=7&retry-after=1',
      body: { status: 'assigning' },
    })
    answer = nextAnswer(client)
    const { operationId } = begun.body
    await client.publishAsync(
      `$dps/registrations/GET/iotdps-get-operationstatus/?$rid=8&operationId=${operationId}`,
      ' ',
    )
    expect(await answer).toMatchObject({
      topic: '$dps/registrations/res/200/?$rid=8',
      body: { registrationState: { assignedHub: hub.hub, deviceId: 'raw-1' } },
    })
    answer = nextAnswer(client)
    await client.publishAsync('$dps/registrations/PUT/iotdps-register/?$rid=9', '{"registrationId":"raw-2"}')
    expect(await answer).toMatchObject({ topic: '$dps/registrations/res/400/?$rid=9', body: { errorCode: 400_004 } })
    await client.endAsync()
  })

  test('its connection sends no telemetry, as nobody and as no device', async () => {
    for (const topic of [
      'devices/d1/messages/events/',
      'devices/raw-3/messages/events/',
      'anything',
      '$iothub/twin/GET/?$rid=1',
    ]) {
      const client = await connect('raw-3')
      const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
      client.publish(topic, 'x', { qos: 0 })
      await closed
    }
  })

  test('it takes over no connection of a device of the same name, and is told apart from it', async () => {
    const device = await hub.connect('d1', 4)
    const registrant = await connect('d1')
    await registrant.endAsync()
    expect(device.connected).toBe(true)
    const closed = new Promise<void>((resolve) => device.once('close', () => resolve()))
    device.publish('$dps/registrations/PUT/iotdps-register/?$rid=1', '{}')
    await closed
  })

  test('who proves nothing, says another scope, or calls itself otherwise is refused', async () => {
    await expect(connect('raw-4', tokenOf('raw-4', key))).rejects.toThrow(/Not authorized/)
    const options = { clientId: 'raw-4', password: tokenOf('raw-4'), reconnectPeriod: 0 }
    for (const username of [`0ne9/registrations/raw-4/api-version=1`, `${idScope}/registrations/raw-5/api-version=1`])
      await expect(connectAsync(`mqtt://127.0.0.1:${hub.edge.mqttPort}`, { ...options, username })).rejects.toThrow(
        /Not authorized/,
      )
  })
})

describe('registration over HTTP', () => {
  test('is a PUT and a GET, and a POST tells of it later', async () => {
    const path = `/${idScope}/registrations/http-1`
    const begun = await hub.call(tokenOf('http-1'), 'PUT', `${path}/register?api-version=2019-03-31`, { body: '{}' })
    expect([begun.status, begun.headers.get('retry-after')]).toEqual([202, '1'])
    const { operationId } = (await begun.json()) as { operationId: string }
    const done = await hub.call(tokenOf('http-1'), 'GET', `${path}/operations/${operationId}?api-version=2019-03-31`)
    expect(await done.json()).toMatchObject({ status: 'assigned', registrationState: { assignedHub: hub.hub } })
    const later = await hub.call(tokenOf('http-1'), 'POST', path)
    expect(await later.json()).toMatchObject({ deviceId: 'http-1' })
    const refused = await hub.call(tokenOf('http-1', key), 'PUT', `${path}/register`, { body: '{}' })
    expect([refused.status, await refused.json()]).toMatchObject([
      401,
      { errorCode: 401_002, message: 'not authorized' },
    ])
    const elsewhere = await hub.call(tokenOf('http-1'), 'PUT', '/0ne9/registrations/http-1/register')
    expect(elsewhere.status).toBe(404)
  })
})

describe('docs/PROVISIONING.md', () => {
  const document = readFileSync(join(import.meta.dirname, '../../docs/PROVISIONING.md'), 'utf8')
  /** The authorities that the document speaks of. */
  const folder = mkdtempSync(join(tmpdir(), 'penstock-authorities-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const lines = [...document.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, text = '']) => text.trim().split('\n'))

  test('has commands, and each of them does what it says, in their order', async () => {
    expect(lines.length).toBeGreaterThan(8)
    const told = new Map<string, string[]>()
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const authorities = ['authority', 'next'].map((commonName) => {
      const { certificatePem } = makeCertificate({ commonName, authority: true, ...times })
      writeFileSync(join(folder, `${commonName}.pem`), certificatePem)
      return commonName
    })
    const authoritiesOfLine = async () =>
      JSON.stringify(await (await hub.asOwner('GET', '/enrollmentGroups/line-8')).json())
    const authoritiesAfter: boolean[][] = []
    for (const line of lines) {
      const written: string[] = []
      const access = { ...hub.commandOptions((text) => written.push(text)), idScope, provisioningHost: 'localhost' }
      await register(line)
      const words = line.replace('npx penstock provisioning ', '').split(' ')
      await runProvisioningCommand(
        words.map((word) => (word.endsWith('.pem') ? join(folder, word) : word)),
        access,
      )
      if (line.includes('line-8')) {
        const text = await authoritiesOfLine()
        authoritiesAfter.push(authorities.map((name) => text.includes(`"subjectName":"CN=${name}"`)))
      }
      told.set(line, written)
      if (line.includes('flash press-1')) pressKey = written.find((text) => text.startsWith('key='))?.slice(4) ?? ''
    }
    expect(told.get('npx penstock provisioning flash press-1 --group line-7')?.slice(0, 3)).toEqual([
      'host=localhost',
      `id-scope=${idScope}`,
      'registration-id=press-1',
    ])
    expect(told.get('npx penstock provisioning show press-1')?.[0]).toContain(`press-1\tassigned\t${hub.hub}`)
    expect(told.get('npx penstock provisioning hubs')).toEqual([`${hub.hub}\t1`])
    expect(authoritiesAfter).toEqual([
      [true, false],
      [true, true],
      [false, true],
    ])
    expect((await hub.asOwner('GET', '/devices/press-1')).status).toBe(404)
    expect((await hub.asOwner('GET', '/enrollmentGroups/line-7')).status).toBe(404)
  })

  let pressKey = ''

  /** The device is flashed and started where the document says "once it has registered". */
  async function register(next: string): Promise<void> {
    if (!next.endsWith('registrations line-7')) return
    const token = tokenOf('press-1', pressKey)
    expect((await hub.call(token, 'PUT', `/${idScope}/registrations/press-1/register`, { body: '{}' })).status).toBe(
      202,
    )
  }
})
