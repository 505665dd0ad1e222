/**
 * Services by clients that nobody here wrote, unchanged, against everything as a user runs it: commands and what is told of them over AMQP,
 * and events as from Event Hubs, over TLS and WebSocket; and all that the service SDK for Python can do.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { type DevelopmentCa, makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import type { ReceivedCommand } from '#infra/testbed/clients/commanded-device.ts'
import type { ReadEvent } from '#infra/testbed/clients/hub-events.ts'
import type { ClientCommand } from '#infra/testbed/clients/hub-service.ts'
import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { pythonForDevices, pythonSdkMissing, pythonServiceSdkMissing } from '#infra/testbed/python-sdk.ts'
import { serverFor } from '#infra/testbed/require-server.ts'

const hub = 'hub.penstock.test'
const client = (name: string): string => join(import.meta.dirname, '../testbed/clients', name)
const ownerKey = randomBytes(32).toString('base64')
const network = serverFor('a network namespace', namespaceMissing)
const python = serverFor('Python', pythonSdkMissing)
const pythonServices = serverFor('the service SDK for Python', pythonServiceSdkMissing)
const owner = { hostName: hub, sharedAccessKeyName: 'iothubowner', sharedAccessKey: ownerKey }
const events = `Endpoint=sb://${hub}/;SharedAccessKeyName=iothubowner;SharedAccessKey=${ownerKey};EntityPath=`

/** What `hub_services.py` says, by step. */
const pythonSaid = {
  identities: {
    ...{ keys: true, reason: 'swapped', thumbprint: 'B'.repeat(40), disabled: 'disabled' },
    ...{ edge: ['certificateAuthority', true], exists: 409, stale: 412 },
    ...{ modules: { m: 'you', other: 'me' }, module: true, noModule: 404, noDevice: 404, listed: 2 },
  },
  many: {
    created: [true, []],
    again: [false, [['py-x509', '409001']]],
    ...{ statistics: [true, 1], pages: [8, 8, 4], queried: true, deleted: [true, []] },
  },
  twins: {
    fresh: [2, 'enabled', 'sas'],
    patched: { fw: { version: '2', url: 'u' }, gone: 1 },
    stale: 412,
    replaced: [{ hall: 'a', floor: 1 }, { level: 1 }],
    module: { of: 'it' },
    grouped: ['raw', [{ hall: 'a', n: 1 }]],
    invalid: 400,
  },
  methods: {
    answers: Array(2).fill([207, { asked: 'blink', with: { times: 3 } }]),
    ...{ away: 404, unknown: 404 },
  },
  commands: {
    got: ['Amqp', 'AmqpOverWebsocket'].flatMap((transport) => [
      [transport, 'c', 'text/plain', 'hällo', { 'le vel': 'ö &=' }],
      'C2D message send failure',
    ]),
    feedback: [
      ['Amqp', 'Success'],
      ['AmqpOverWebsocket', 'Success'],
    ],
  },
  digitalTwins: {
    twin: {
      $dtId: 'py',
      serial: 'a',
      lamp: { on: false, $metadata: { on: { desiredValue: true, ackVersion: 1, ackCode: 200 } } },
      $metadata: { $model: 'dtmi:test:Lamp;1', level: { desiredValue: 1 }, serial: {} },
    },
    told: { lamp: { __t: 'c', on: true } },
    ...{ stale: 412, invalid: 400, unknown: 404, away: 404 },
    command: { asked: 'reboot', with: { delay: 1 } },
    component: { asked: 'lamp*blink', with: 'fast' },
  },
  jobs: {
    ...{ exists: 409, later: 'scheduled', cancelled: 'cancelled', unknown: 404 },
    ...{ update: ['completed', 1, 1, 0], call: ['completed', 1, 1, 0] },
    rows: ['deviceJob', [['py', 'completed']]],
    transfers: ['export', 'cancelled', true, [true]],
  },
  configurations: {
    priorities: [{ a: 'b' }, 8],
    ...{ stale: 412, listed: ['py-eco'], applied: 'eco', tested: [true, {}], once: { once: true }, gone: 404 },
  },
  connected: 1,
  left: [],
}

describe.skipIf(network.skip || python.skip)(`real services over AMQP ${network.note}${python.note}`, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-services-'))
  const uploadsFolder = mkdtempSync(join(tmpdir(), 'penstock-uploaded-'))
  let inside: Namespace
  let penstock: RunningPenstock
  let ca: DevelopmentCa

  beforeAll(async () => {
    ca = makeDevelopmentCa({ dataDir, hostNames: [hub], deviceIds: [], nowMs: Date.now() })
    inside = await openNamespace([hub])
    const settings = {
      PENSTOCK_BIND: '0.0.0.0',
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: hub,
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_TLS_CERT: ca.certFile,
      PENSTOCK_TLS_KEY: ca.keyFile,
      PENSTOCK_HTTPS_PORT: '443',
      PENSTOCK_EDGE_PROCESSES: '2',
      PENSTOCK_PARTITIONS: '3',
      PENSTOCK_UPLOADS: uploadsFolder,
    }
    penstock = await startPenstock(dataDir, settings, inside.through)
  })
  afterAll(async () => {
    await penstock?.stop()
    await inside?.close()
    for (const folder of [dataDir, uploadsFolder]) rmSync(folder, { recursive: true, force: true })
  })

  const node = (args: readonly string[], input?: unknown): Promise<string> =>
    inside.run(process.execPath, args, {
      environment: { NODE_EXTRA_CA_CERTS: ca.caFile },
      input: JSON.stringify(input ?? null),
    })

  async function deviceNamed(deviceId: string): Promise<string> {
    const script = `const r = await fetch(...JSON.parse(require('fs').readFileSync(0))); console.log(await r.text())`
    const scope = { scope: hub, key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 }
    const headers = { Authorization: createSasToken(scope), 'Content-Type': 'application/json' }
    const init = { method: 'PUT', headers, body: JSON.stringify({ deviceId }) }
    const made = JSON.parse(
      await node(['-e', `(async () => {${script}})()`], [`https://${hub}/devices/${deviceId}`, init]),
    )
    const sharedAccessKey: string = made.authentication.symmetricKey.primaryKey
    return formatConnectionString({ hostName: hub, deviceId, sharedAccessKey })
  }

  const service = (transport: string, ...what: readonly string[]) => [
    client('hub-service.ts'),
    transport,
    formatConnectionString(owner),
    ...what,
  ]
  const linesOf = <T>(output: string): T[] =>
    output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))

  const transports = [
    ['amqp', 'complete', 'Success'],
    ['amqp-ws', 'reject', 'Rejected'],
  ] as const
  const command = (deviceId: string, index: number): ClientCommand => ({
    ...{ deviceId, body: `command ${index}`, messageId: `${deviceId}-${index}`, ack: 'full' },
    properties: { 'Le vel': 'ö &=/%' },
  })

  /** A service sends two commands to a device, which completes or rejects them, and one to nobody. */
  async function commanded(transport: string, settlement: string): Promise<void> {
    const deviceId = `over-${transport}`
    const device = await deviceNamed(deviceId)
    const commands = [command(deviceId, 1), command('nobody', 9), command(deviceId, 2)]
    const outcomes = JSON.parse(await node(service(transport, 'send'), commands))
    expect(outcomes).toEqual(['accepted', 'DeviceNotFoundError', 'accepted'])
    const got = linesOf<ReceivedCommand>(await node([client('commanded-device.ts'), 'amqp', device, '2', settlement]))
    expect(got.map(({ body, messageId, properties }) => [body, messageId, properties['Le vel']])).toEqual(
      [1, 2].map((index) => [`command ${index}`, `${deviceId}-${index}`, 'ö &=/%']),
    )
  }

  test("the hub's service SDK for Node sends commands, and is told what became of them and of files [G-7]", async () => {
    const [feedback, files] = [node(service('amqp-ws', 'feedback', '4')), node(service('amqp', 'files', '1'))]
    const uploads = await deviceNamed('uploads')
    const uploading = node([client('upload-file.ts'), uploads, 'small.txt', '5'])
    await Promise.all(transports.map(([transport, settlement]) => commanded(transport, settlement)))
    const told = linesOf<{ readonly originalMessageId: string }>(await feedback)
    const expected = transports.flatMap(([transport, , statusCode]) =>
      [1, 2].map((index) => ({
        deviceId: `over-${transport}`,
        originalMessageId: `over-${transport}-${index}`,
        statusCode,
      })),
    )
    const byId = (one: { originalMessageId: string }, other: { originalMessageId: string }) =>
      one.originalMessageId.localeCompare(other.originalMessageId)
    expect(told.toSorted(byId)).toEqual(expected.toSorted(byId).map((record) => expect.objectContaining(record)))
    expect(await uploading).toBe('uploaded\n')
    const file = { deviceId: 'uploads', blobName: 'uploads/small.txt', blobSizeInBytes: 5 }
    expect(linesOf(await files)).toEqual([expect.objectContaining(file)])
  })

  test("the hub's clients for events read each message once, and at every edge under the same number, also after one died", async () => {
    const devices = await Promise.all(['one', 'two', 'three'].map(deviceNamed))
    const messages = (round: number) =>
      Array.from({ length: 20 }, (_, index) => ({
        ...{ body: `${round} ${index}`, messageId: `m-${index}`, correlationId: 'c', properties: { 'Le vel': 'ö' } },
        ...{ contentType: 'application/json', contentEncoding: 'utf-8' },
      }))
    const send = (round: number) =>
      Promise.all(devices.map((device) => node([client('hub-device.ts'), 'amqp', device], messages(round))))
    await send(1)
    const read = (transport: string, group: string, count: number) =>
      node([client('hub-events.ts'), transport, `${events}telemetry`, group, String(count)])
    const args = [client('hub_events.py'), `${events}telemetry`, ca.caFile, '$Default', '60']
    const outputs = [read('amqp', 'billing', 60), read('amqp-ws', 'other', 60), inside.run(pythonForDevices, args)]
    const byNumber = (events: readonly ReadEvent[]): readonly string[] =>
      events.map(({ partition, number, deviceId, body }) => `${partition} ${number} ${deviceId} ${body}`).sort()
    const [first = [], ...others] = (await Promise.all(outputs)).map((output) => byNumber(linesOf(output)))
    expect(new Set(first).size).toBe(60)
    expect(others).toEqual([first, first])
    const [killed = 0] = penstock.pidsOf('edge')
    process.kill(killed, 'SIGKILL')
    await send(2)
    const whole = byNumber(linesOf(await read('amqp', 'billing', 120)))
    expect(new Set(whole).size).toBe(120)
    expect(whole).toEqual(expect.arrayContaining([...first]))
    const bodies = (read: readonly string[]) => read.map((line) => line.split(' ').slice(2).join(' ')).sort()
    const sent = ['one', 'two', 'three'].flatMap((deviceId) =>
      [1, 2].flatMap((round) => messages(round).map(({ body }) => `${deviceId} ${body}`)),
    )
    expect(bodies(whole)).toEqual(sent.sort())
  })

  test("the hub's client for events reads what became of devices", async () => {
    const read = linesOf<ReadEvent>(await node([client('hub-events.ts'), 'amqp', `${events}events`, '$Default', '3']))
    expect(read.map(({ number }) => number)).toEqual(
      read.map(({ number }) => number).toSorted((one, other) => one - other),
    )
  })
  test("the hub's service SDK for Node changes and reads digital twins", async () => {
    await deviceNamed('digital')
    const output = await node([client('hub-digital-twin.ts'), formatConnectionString(owner), 'digital'])
    const lamp = { $metadata: { on: { desiredValue: true, desiredVersion: 2 } } }
    expect(JSON.parse(output)).toEqual({ twin: { $dtId: 'digital', lamp, $metadata: {} }, called: 404 })
  })

  test.skipIf(pythonServices.skip)(
    `the hub's service SDK for Python does all that it can ${pythonServices.note}`,
    async () => {
      const args = [client('hub_services.py'), formatConnectionString(owner), ca.caFile]
      const environment = { REQUESTS_CA_BUNDLE: ca.caFile }
      const output = await inside.run(pythonForDevices, args, { environment })
      const said: Record<string, unknown> = Object.assign({}, ...linesOf<object>(output))
      for (const [step, expected] of Object.entries(pythonSaid)) expect(said[step], step).toEqual(expected)
    },
  )
})
