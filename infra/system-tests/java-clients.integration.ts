/**
 * The hub's SDKs for Java, unchanged, against everything as a user runs it: a network and host names of their own, TLS by the development
 * authority, identities required. One JVM runs all of them.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { type DevelopmentCa, makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import { JavaClients, javaSdkMissing, makeTrustStore } from '#infra/testbed/java-sdk.ts'
import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const hub = 'hub.penstock.test'
const provisioning = 'provisioning.penstock.test'
const idScope = '0ne000ABCDE'
const ownerKey = randomBytes(32).toString('base64')
const owner = formatConnectionString({ hostName: hub, sharedAccessKeyName: 'iothubowner', sharedAccessKey: ownerKey })
const network = serverFor('a network namespace', namespaceMissing)
const java = serverFor('Java', javaSdkMissing)

const transports = ['MQTT', 'MQTT_WS', 'AMQPS', 'AMQPS_WS', 'HTTPS'] as const
type Transport = (typeof transports)[number]
const provisioningTransports = transports
/** An error as a program in Java sees it. */
const failure = (name: string, code?: number) => expect.objectContaining({ name, ...(code ? { code } : {}) })

describe.skipIf(network.skip || java.skip)(`real clients in Java ${network.note}${java.note}`, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-java-'))
  const uploadsFolder = mkdtempSync(join(tmpdir(), 'penstock-uploaded-'))
  let inside: Namespace
  let penstock: RunningPenstock
  let ca: DevelopmentCa
  let clients: JavaClients

  beforeAll(async () => {
    const deviceIds = [
      ...transports.map((name) => `x509-${name}`),
      ...provisioningTransports.map((name) => `dps-${name}`),
    ]
    ca = makeDevelopmentCa({ dataDir, hostNames: [hub, provisioning], deviceIds, nowMs: Date.now() })
    const trustStore = join(dataDir, 'trust.p12')
    makeTrustStore(trustStore, ca.caFile)
    inside = await openNamespace([hub, provisioning])
    const settings = {
      PENSTOCK_BIND: '0.0.0.0',
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: hub,
      PENSTOCK_PROVISIONING_HOSTNAME: provisioning,
      PENSTOCK_PROVISIONING_ID_SCOPE: idScope,
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_TLS_CERT: ca.certFile,
      PENSTOCK_TLS_KEY: ca.keyFile,
      PENSTOCK_MQTTS_PORT: '8883',
      PENSTOCK_HTTPS_PORT: '443',
      PENSTOCK_UPLOADS: uploadsFolder,
    }
    penstock = await startPenstock(dataDir, settings, inside.through)
    clients = await JavaClients.start(inside.through, trustStore)
  })
  afterAll(async () => {
    await clients?.stop()
    await penstock?.stop()
    await inside?.close()
    for (const folder of [dataDir, uploadsFolder]) rmSync(folder, { recursive: true, force: true })
  })

  /** Registers devices, and modules as `device/module`. @returns their connection strings */
  function made(ids: readonly string[], thumbprints = {}): Promise<Record<string, string>> {
    return clients.run('make', { owner, hostName: hub, ids, thumbprints })
  }

  interface Row {
    readonly body: string
    readonly properties: Record<string, string>
    readonly system_properties: Record<string, string>
  }

  /** The device's rows in order, once all are there. */
  async function rows(deviceId: string, count: number): Promise<readonly Row[]> {
    const query = `SELECT body, properties, system_properties FROM penstock.telemetry WHERE device_id = '${deviceId}' ORDER BY log_partition, log_offset, body FORMAT JSON`
    const script = `fetch(...JSON.parse(require('fs').readFileSync(0))).then(async (r) => console.log(await r.text()))`
    const input = JSON.stringify([penstock.clickhouseUrl, { method: 'POST', body: query }])
    let found: readonly Row[] = []
    const read = async (): Promise<number> => {
      found = JSON.parse(await inside.run(process.execPath, ['-e', script], { input })).data
      return found.length
    }
    await expect.poll(read, { timeout: 30_000, interval: 200 }).toBe(count)
    return found
  }

  const messages = [1, 2].map((n) => ({
    ...{ body: `{"n":${n}}`, messageId: `m-${n}`, correlationId: `c/${n}` },
    ...{ contentType: 'application/json', contentEncoding: 'utf-8', properties: { level: 'v &=/%' } },
  }))
  const stored = messages.map(({ body, properties, ...system }) => ({
    ...{ body, properties: expect.objectContaining(properties) },
    system_properties: expect.objectContaining(system),
  }))

  interface Seen {
    readonly commands: readonly {
      readonly body: string
      readonly messageId: string
      readonly properties: { order?: string }
    }[]
    readonly calls: readonly unknown[]
    readonly read?: object
    readonly reportedVersion?: number
    readonly desired: object
  }

  /** How it settles its commands in turn. Over MQTT the SDK knows no other way than the first. */
  const settlements = (transport: Transport): Record<string, readonly string[]> =>
    transport.startsWith('MQTT')
      ? { 'command 1': ['COMPLETE'], 'command 2': ['COMPLETE'] }
      : { 'command 1': ['ABANDON', 'COMPLETE'], 'command 2': ['REJECT'] }

  /** A whole life of a device or module: what it saw, and what the service did. @param isTold somebody takes feedback meanwhile */
  async function life(transport: Transport, id: string, connectionString: string, isTold = false) {
    const [deviceId, moduleId] = id.split('/')
    const who = { owner, deviceId, moduleId }
    const isLasting = transport !== 'HTTPS'
    const listening = isLasting ? { reported: { ready: true, é: [1, null] }, calls: 1, desired: 'level' } : {}
    const commands = [1, 2].map((n) => ({
      ...{ deviceId, moduleId, body: `command ${n}`, messageId: `${id}-${n}`, properties: { order: `o-${n}` } },
    }))
    const [seen, spoken, sent] = await Promise.all([
      clients.run<Seen>('device', {
        transport,
        connectionString,
        messages,
        settlements: settlements(transport),
        ...(isTold && { feedback: commands.map(({ messageId }) => messageId) }),
        ...listening,
      }),
      isLasting
        ? clients.run('speak', { ...who, desired: { level: { low: 5 } }, method: 'reboot', payload: { delay: 5 } })
        : undefined,
      clients.run('send', { owner, transport: transport.endsWith('WS') ? 'AMQPS_WS' : 'AMQPS', commands }),
    ])
    return { seen, spoken, sent }
  }

  test('a device over each transport sends, has a twin, answers a call and settles commands, of which a service is told', async () => {
    const ids = transports.map((transport) => `java-${transport}`)
    const strings = await made(ids)
    const feedback = clients.run('feedback', { owner, transport: 'AMQPS', count: 2 * transports.length })
    const lives = await Promise.all(
      transports.map((transport) => life(transport, `java-${transport}`, strings[`java-${transport}`] ?? '', true)),
    )
    for (const [index, { seen, spoken, sent }] of lives.entries()) {
      const transport = transports[index] ?? expect.fail()
      expect(sent).toEqual(['accepted', 'accepted'])
      const got = Object.entries(settlements(transport)).flatMap(([body, ways]) => ways.map(() => body))
      expect(seen.commands.map(({ body }) => body).toSorted()).toEqual(got)
      for (const { body, messageId, properties } of seen.commands) {
        const n = body.replace('command ', '')
        expect([messageId, properties.order]).toEqual([`java-${transport}-${n}`, `o-${n}`])
      }
      expect(await rows(`java-${transport}`, 2)).toEqual(stored)
      if (spoken === undefined) continue
      expect(seen).toMatchObject({
        calls: [{ delay: 5 }],
        read: {},
        reportedVersion: expect.any(Number),
        desired: { level: { low: 5 } },
      })
      expect(spoken).toMatchObject({
        ...{ status: 200, payload: { name: 'reboot', given: { delay: 5 } } },
        ...{ reported: { ready: true, é: [1, null] }, desired: { level: { low: 5 } }, desiredVersion: 2 },
      })
    }
    const expected = transports.flatMap((transport) => [
      [`java-${transport}-1`, [`java-${transport}`, 'Success']],
      [`java-${transport}-2`, [`java-${transport}`, transport.startsWith('MQTT') ? 'Success' : 'Rejected']],
    ])
    expect(await feedback).toEqual(Object.fromEntries(expected))
  })

  test('devices prove themselves by certificates over each transport', async () => {
    const certified = ca.devices.filter(({ id }) => id.startsWith('x509-'))
    const thumbprints = Object.fromEntries(certified.map(({ id, thumbprint }) => [id, thumbprint]))
    const strings = await made(Object.keys(thumbprints), thumbprints)
    const sent = certified.map(async ({ id, certFile, keyFile }) => {
      const proof = { certificate: readFileSync(certFile, 'utf8'), privateKey: readFileSync(keyFile, 'utf8') }
      const transport = id.replace('x509-', '')
      await clients.run('device', { transport, connectionString: strings[id], ...proof, messages })
      return await rows(id, 2)
    })
    expect(await Promise.all(sent)).toEqual(certified.map(() => stored))
  })

  test('modules do what devices do, and several devices share a connection', async () => {
    const modules = [
      ['MQTT', 'several-1/pump'],
      ['AMQPS', 'several-2/pump'],
    ] as const
    const devices = ['several-1', 'several-2', 'several-3']
    const strings = await made([...devices, ...modules.map(([, id]) => id)])
    const lives = await Promise.all(modules.map(([transport, id]) => life(transport, id, strings[id] ?? '')))
    for (const { seen, spoken } of lives) {
      expect(seen).toMatchObject({ calls: [{ delay: 5 }], desired: { level: { low: 5 } } })
      expect(spoken).toMatchObject({ status: 200, payload: { name: 'reboot' } })
    }
    const commands = devices.map((deviceId) => ({ deviceId, body: deviceId, messageId: deviceId, properties: {} }))
    const plan = { transport: 'AMQPS', messages, reported: { ready: true } }
    const [seen] = await Promise.all([
      clients.run<Seen[]>(
        'devices',
        devices.map((id) => ({ ...plan, connectionString: strings[id], settlements: { [id]: ['COMPLETE'] } })),
      ),
      clients.run('send', { owner, transport: 'AMQPS', commands }),
    ])
    expect(seen.map((one) => one.commands.map(({ body }) => body))).toEqual(devices.map((id) => [id]))
  })

  test('a device uploads files, of which a service is told; one that it gives back comes again', async () => {
    const { uploads: connectionString } = await made(['uploads'])
    const told = clients.run('files', { owner, transport: 'AMQPS_WS', count: 3 })
    const files = ['a.txt', 'logs/b.txt', "it's a+b & c.txt"]
    const uploaded = files.map((name) => clients.run('upload', { connectionString, name, text: 'twelve bytes' }))
    expect(await Promise.all(uploaded)).toEqual([201, 201, 201])
    expect(await told).toEqual(Object.fromEntries(files.map((name) => [`uploads/${name}`, 12])))
  })

  test('a service makes, reads, changes and deletes devices and modules', async () => {
    expect(await clients.run('registry', { owner })).toEqual({
      again: failure('IotHubConflictException', 409),
      isSame: true,
      status: 'Disabled',
      modules: ['pump'],
      noModule: failure('IotHubNotFoundException', 404),
      disabled: 1,
      stale: failure('IotHubPreconditionFailedException', 412),
      gone: failure('IotHubNotFoundException', 404),
      export: ['EXPORT', true],
      import: ['IMPORT', 'http://127.0.0.1:9/account/fleet'],
    })
  })

  test('a service asks for twins, calls devices in vain, and has jobs and configurations', async () => {
    const deviceIds = ['toured-1', 'toured-2', 'toured-3']
    await made(deviceIds)
    expect(await clients.run('services', { owner, deviceIds })).toEqual({
      replaced: { only: true },
      stale: failure('IotHubPreconditionFailedException', 412),
      noTwin: failure('IotHubNotFoundException', 404),
      offline: failure('IotHubNotFoundException', 404_103),
      unknown: failure('IotHubNotFoundException', 404_001),
      pages: [deviceIds.slice(0, 2), deviceIds.slice(2)],
      grouped: [{ hall: 'a', count: 3 }],
      noQuery: failure('IotHubBadFormatException', 400),
      jobs: {
        update: ['completed', 3, 0],
        call: ['completed', 0, 3],
        later: 'scheduled',
        cancelled: 'cancelled',
        completed: ['update'],
        devices: Object.fromEntries(deviceIds.map((id) => [id, 'failed'])),
      },
      updated: { only: true, job: 'done' },
      configuration: {
        priority: 8,
        content: { 'properties.desired.mode': 'eco' },
        listed: ['eco'],
        gone: failure('IotHubNotFoundException', 404),
      },
    })
  })

  interface Enrolled {
    readonly groupKey: string
    readonly single: { readonly key: string }
  }

  test('a service enrols devices, which get their hub by key and by certificate over each transport', async () => {
    const service = formatConnectionString({
      ...{ hostName: provisioning, sharedAccessKeyName: 'provisioningserviceowner', sharedAccessKey: ownerKey },
    })
    const authority = readFileSync(ca.caFile, 'utf8')
    const enrolled = await clients.run<Enrolled>('enrol', { owner: service, authority })
    expect(enrolled).toEqual({
      groupKey: expect.any(String),
      subject: expect.stringContaining('Penstock development CA'),
      single: {
        ...{ key: expect.any(String), status: 'disabled', enabled: 'enabled' },
        stale: failure('ProvisioningServiceClientPreconditionFailedException'),
      },
      bulk: {
        ...{ made: true, pages: [['java-a', 'java-b', 'java-c'], ['java-single']], deleted: true },
        gone: failure('ProvisioningServiceClientNotFoundException'),
      },
    })
    const { groupKey, single } = enrolled
    const register = (transport: string, registrationId: string, proof: object): Promise<unknown> =>
      clients.run('register', { transport, hostName: provisioning, idScope, registrationId, ...proof })
    const assigned = (deviceId: string) => ({
      ...{ status: 'PROVISIONING_DEVICE_STATUS_ASSIGNED', substatus: 'INITIAL_ASSIGNMENT', hub, deviceId },
    })
    const registered = provisioningTransports.flatMap((transport) => {
      const { certFile, keyFile } = ca.devices.find(({ id }) => id === `dps-${transport}`) ?? expect.fail()
      const proof = { certificate: readFileSync(certFile, 'utf8'), privateKey: readFileSync(keyFile, 'utf8') }
      return [
        register(transport, `keyed-${transport}`, { groupKey, payload: '{"size":1}' }),
        register(transport, `dps-${transport}`, proof),
      ]
    })
    expect(await Promise.all(registered)).toEqual(
      provisioningTransports.flatMap((transport) => [assigned(`keyed-${transport}`), assigned(`dps-${transport}`)]),
    )
    expect(await register('MQTT', 'java-single', single)).toEqual(assigned('java-single-device'))
    expect(await clients.run('registration', { owner: service, registrationId: 'java-single' })).toEqual({
      deviceId: 'java-single-device',
      gone: failure('ProvisioningServiceClientNotFoundException'),
    })
  })
})
