/**
 * Clients that nobody here wrote, unchanged, against everything as a user runs it: a network and host names of their own, TLS by the
 * development authority, identities required. What counts is the row in ClickHouse.
 */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { type DevelopmentCa, makeDevelopmentCa } from '#infra/commands/development-ca.ts'
import type { ReceivedCommand } from '#infra/testbed/clients/commanded-device.ts'
import type { ClientMessage } from '#infra/testbed/clients/hub-device.ts'
import { namedBlock } from '#infra/testbed/document-blocks.ts'
import { findMosquitto, mosquittoMissing } from '#infra/testbed/mosquitto.ts'
import { type Namespace, namespaceMissing, openNamespace } from '#infra/testbed/namespace.ts'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { pythonForDevices, pythonSdkMissing } from '#infra/testbed/python-sdk.ts'
import { serverFor } from '#infra/testbed/require-server.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'

const hub = 'hub.penstock.test'
/** Of the network's own, but no loopback address: whoever comes over it is a stranger. */
const elsewhere = '10.9.9.9'
const client = (name: string): string => join(import.meta.dirname, '../testbed/clients', name)
const transports = ['mqtt', 'mqtt-ws', 'amqp', 'amqp-ws', 'http'] as const
/** Over which the hub talks to a device at any time. AMQP over TCP does the same in `ingest/amqp/hub-sdk.integration.ts`. */
const lastingTransports = ['mqtt', 'mqtt-ws', 'amqp-ws'] as const
const pythonTransports = ['mqtt', 'mqtt-ws'] as const
const certificateIds = (transport: string): readonly string[] => [`thumbprint-${transport}`, `authority-${transport}`]
const ownerKey = randomBytes(32).toString('base64')
const network = serverFor('a network namespace', namespaceMissing)
const python = serverFor('Python', pythonSdkMissing)
const mosquitto = serverFor('mosquitto', mosquittoMissing)

describe.skipIf(network.skip)(`real clients over TLS ${network.note}`, () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-devices-'))
  const uploadsFolder = mkdtempSync(join(tmpdir(), 'penstock-uploaded-'))
  let inside: Namespace
  let penstock: RunningPenstock
  let ca: DevelopmentCa

  beforeAll(async () => {
    const deviceIds = [...transports.flatMap(certificateIds), ...pythonTransports.map((name) => `python-x509-${name}`)]
    ca = makeDevelopmentCa({ dataDir, hostNames: [hub], deviceIds, nowMs: Date.now() })
    inside = await openNamespace([hub])
    await inside.run('ip', ['address', 'add', `${elsewhere}/32`, 'dev', 'lo'])
    const settings = {
      PENSTOCK_BIND: '0.0.0.0',
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_HOSTNAME: hub,
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_TLS_CERT: ca.certFile,
      PENSTOCK_TLS_KEY: ca.keyFile,
      PENSTOCK_MQTTS_PORT: '8883',
      PENSTOCK_HTTPS_PORT: '443',
      PENSTOCK_EDGE_PROCESSES: '2',
      PENSTOCK_UPLOADS: uploadsFolder,
    }
    penstock = await startPenstock(dataDir, settings, inside.through)
    await registerAuthority()
  })
  afterAll(async () => {
    await penstock?.stop()
    await inside?.close()
    for (const folder of [dataDir, uploadsFolder]) rmSync(folder, { recursive: true, force: true })
  })

  const trusted = (): Record<string, string> => ({ NODE_EXTRA_CA_CERTS: ca.caFile })
  const node = (args: readonly string[], input?: unknown): Promise<string> =>
    inside.run(process.execPath, args, { environment: trusted(), input: JSON.stringify(input ?? null) })

  function certificateOf(deviceId: string): DevelopmentCa['devices'][number] {
    const made = ca.devices.find(({ id }) => id === deviceId)
    if (made === undefined) throw new Error(`no certificate of ${deviceId}`)
    return made
  }

  /** A request from inside the network. */
  async function ask(url: string, init: object): Promise<unknown> {
    const script = `const r = await fetch(...JSON.parse(require('fs').readFileSync(0))); const t = await r.text();
      if (!r.ok) { console.error(r.status, t); process.exit(1) } console.log(t)`
    const text = await node(['-e', `(async () => {${script}})()`], [url, init])
    return text.trim() === '' ? undefined : JSON.parse(text)
  }

  const ownerToken = (): string =>
    createSasToken({ scope: hub, key: ownerKey, policyName: 'iothubowner', expiresAtMs: Date.now() + 600_000 })

  function rest(method: string, path: string, body?: object): Promise<unknown> {
    const headers = { Authorization: ownerToken(), 'Content-Type': 'application/json' }
    const text = body === undefined ? {} : { body: JSON.stringify(body) }
    return ask(`https://${hub}${path}`, { method, headers, ...text })
  }

  interface TwinStep {
    readonly read?: { readonly desired: object; readonly reported: object }
    readonly desired?: Record<string, unknown>
    readonly reported?: string
  }

  /** Reported properties that a device sends, of which the third is refused. */
  const reports = [{ n: 1, fw: { version: '1', url: 'u' } }, { n: 2, fw: { url: null } }, { 'a.b': 1 }, { n: 3 }]

  /** Runs a client of the hub against a device's twin, and changes what the device is to be meanwhile. */
  async function followTwin(
    deviceId: string,
    run: (connectionString: string) => Promise<string>,
    connectionString: string,
  ): Promise<readonly TwinStep[]> {
    const steps = run(connectionString).then((output) =>
      output
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    )
    const isReported = async (): Promise<unknown> => {
      const twin = (await rest('GET', `/twins/${deviceId}`)) as { properties: { reported: { n?: number } } }
      return twin.properties.reported.n
    }
    // Its last patch: it listens by then.
    await expect.poll(isReported, { timeout: 30_000, interval: 100 }).toBe(3)
    await rest('PATCH', `/twins/${deviceId}`, { properties: { desired: { level: 2, gone: null } } })
    await rest('PATCH', `/twins/${deviceId}`, { properties: { desired: { last: true } } })
    return steps
  }

  /** What it was told after it had read its twin, as one document. */
  function told(steps: readonly TwinStep[]): Record<string, unknown> {
    return Object.assign({}, ...steps.map(({ desired }) => desired ?? {}))
  }

  /** Registers a device over REST and gives its key and connection string. */
  async function device(deviceId: string, authentication?: object): Promise<{ key: string; connectionString: string }> {
    const made = (await rest('PUT', `/devices/${deviceId}`, { deviceId, authentication })) as {
      authentication: { symmetricKey?: { primaryKey: string | null } }
    }
    const key = made.authentication.symmetricKey?.primaryKey ?? ''
    const proof = authentication === undefined ? { sharedAccessKey: key } : { x509: true }
    return { key, connectionString: formatConnectionString({ hostName: hub, deviceId, ...proof }) }
  }

  /** As its owner does: puts the authority, and proves to hold its key. */
  async function registerAuthority(): Promise<void> {
    const certificatePem = readFileSync(ca.caFile, 'utf8')
    const path = '/certificateAuthorities/development'
    const { verificationCode } = (await rest('PUT', path, { certificate: certificatePem })) as {
      verificationCode: string
    }
    const privateKeyPem = readFileSync(join(ca.folder, 'ca.key'), 'utf8')
    const commonName = /CN=(.*)/.exec(new X509Certificate(certificatePem).subject)?.[1] ?? ''
    const issuer = { commonName, certificatePem, privateKeyPem, privateKey: createPrivateKey(privateKeyPem) }
    const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 }
    const proof = makeCertificate({ commonName: verificationCode, issuer, ...times })
    await rest('POST', `${path}/verify`, { certificate: proof.certificatePem })
  }

  interface Row {
    readonly body: string
    readonly properties: Record<string, string>
    readonly system_properties: Record<string, string>
  }

  /** The device's rows in order, once all are there. */
  async function rows(deviceId: string, count: number): Promise<Row[]> {
    const query = `SELECT body, properties, system_properties FROM penstock.telemetry WHERE device_id = '${deviceId}' ORDER BY log_partition, log_offset, body FORMAT JSON`
    let found: Row[] = []
    const read = async (): Promise<number> => {
      const answer = (await ask(penstock.clickhouseUrl, { method: 'POST', body: query })) as { data: Row[] }
      found = answer.data
      return found.length
    }
    await expect.poll(read, { timeout: 30_000, interval: 200 }).toBe(count)
    return found
  }

  /** Names and values travel as headers over HTTP, so they are plain there. */
  const messagesWith = (properties: Record<string, string>): readonly ClientMessage[] =>
    [1, 2, 3].map((index) => ({
      body: `{"temperature":${index}}`,
      messageId: `m-${index}`,
      correlationId: `c/${index}`,
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      properties,
    }))
  const storedOf = (sent: readonly ClientMessage[]): readonly Row[] =>
    sent.map(({ body, properties, ...system }) => ({
      body,
      properties: { ...properties },
      system_properties: system,
    }))
  const messages = messagesWith({ plain: 'yes', 'k 1': 'v &=/%é' })
  const stored = storedOf(messages)

  const messagesOver = (transport: string): readonly ClientMessage[] =>
    transport === 'http' ? messagesWith({ plain: 'yes', 'k-1': 'v &=/%' }) : messages
  // In an HTTP batch, which holds all but the first, the SDK sends no system properties.
  const storedOver = (transport: string, sent: readonly ClientMessage[]): readonly Row[] =>
    storedOf(sent).map((row, index) => (transport === 'http' && index > 0 ? { ...row, system_properties: {} } : row))

  test.each(transports)(
    "the hub's device SDK for Node over %s: every message with its properties is a row",
    async (transport) => {
      const deviceId = `node-${transport}`
      const { connectionString } = await device(deviceId)
      const sent = messagesOver(transport)
      expect(await node([client('hub-device.ts'), transport, connectionString], sent)).toBe('sent\n')
      expect(await rows(deviceId, sent.length)).toEqual(storedOver(transport, sent))
    },
  )

  test.each(transports)(
    "the hub's device SDK for Node over %s with certificates: by thumbprint, and by a registered authority",
    async (transport) => {
      const [byThumbprint = '', byAuthority = ''] = certificateIds(transport)
      const primaryThumbprint = certificateOf(byThumbprint).thumbprint
      const kinds = [
        [byThumbprint, { type: 'selfSigned', x509Thumbprint: { primaryThumbprint } }],
        [byAuthority, { type: 'certificateAuthority' }],
      ] as const
      const sent = messagesOver(transport)
      for (const [id, authentication] of kinds) {
        const { certFile, keyFile } = certificateOf(id)
        const { connectionString } = await device(id, authentication)
        expect(await node([client('hub-device.ts'), transport, connectionString, certFile, keyFile], sent)).toBe(
          'sent\n',
        )
        expect(await rows(id, sent.length)).toEqual(storedOver(transport, sent))
      }
    },
  )

  test.each(lastingTransports)(
    "the hub's device SDK for Node over %s: reads its twin, reports in order, and is told what it is to be [G-8]",
    async (transport) => {
      const deviceId = `twin-node-${transport}`
      const { connectionString } = await device(deviceId)
      await rest('PATCH', `/twins/${deviceId}`, { tags: { t: 1 }, properties: { desired: { level: 1, gone: 1 } } })
      const run = (target: string): Promise<string> => node([client('hub-twin.ts'), transport, target], reports)
      const steps = await followTwin(deviceId, run, connectionString)
      expect(steps[0]).toEqual({
        read: { desired: { level: 1, gone: 1, $version: 2 }, reported: { $version: 1 } },
      })
      expect(steps.flatMap(({ reported = [] }) => reported)).toEqual([
        'committed',
        'committed',
        expect.stringContaining('the patch has a key with'),
        'committed',
      ])
      expect(told(steps)).toMatchObject({ level: 2, gone: null, last: true, $version: 4 })
      expect(await rest('GET', `/twins/${deviceId}`)).toMatchObject({
        version: 8,
        properties: { reported: { n: 3, fw: { version: '1' }, $version: 4 } },
      })
    },
  )

  test("the hub's device SDK for Node is told `not authorized` for a wrong key, over each transport", async () => {
    await device('cheated')
    const sharedAccessKey = randomBytes(32).toString('base64')
    const connectionString = formatConnectionString({ hostName: hub, deviceId: 'cheated', sharedAccessKey })
    for (const transport of transports) {
      await expect(node([client('hub-device.ts'), transport, connectionString], messagesWith({}))).rejects.toThrow(
        /UnauthorizedError/,
      )
    }
  })

  const service = formatConnectionString({
    hostName: hub,
    sharedAccessKeyName: 'iothubowner',
    sharedAccessKey: ownerKey,
  })

  test.each(lastingTransports)(
    "the hub's SDKs for Node over %s: a direct method is answered, or the caller told why not [G-9]",
    async (transport) => {
      const { connectionString } = await device(`called-${transport}`)
      const outcomes = JSON.parse(await node([client('hub-methods.ts'), transport, connectionString, service]))
      const answered = { status: 200, payload: { echo: { 'k é': [1, null, '"'] } } }
      expect(outcomes).toEqual({
        before: { errorCode: 404_103 },
        answered,
        silent: { errorCode: 504_101 },
        beside: { status: 200, payload: { echo: null } },
        reconnected: answered,
        unknown: { errorCode: 404_001 },
      })
    },
  )

  const command = (deviceId: string, index: number): Promise<unknown> =>
    ask(`https://${hub}/devices/${deviceId}/messages/deviceBound`, {
      method: 'POST',
      headers: {
        Authorization: ownerToken(),
        'iothub-messageid': `m-${index}`,
        'iothub-correlationid': 'c/1 &=%',
        'iothub-contenttype': 'text/plain',
        'iothub-ack': 'full',
        'iothub-app-level': 'v &=/%',
      },
      body: `command ${index}`,
    })

  /** Two commands wait before the device runs, and two come while it is connected. @returns what it got */
  async function commanded(deviceId: string, runs: () => Promise<string>): Promise<readonly ReceivedCommand[]> {
    for (const index of [1, 2]) await command(deviceId, index)
    const running = runs()
    const isEmpty = async (): Promise<boolean> => {
      const { cloudToDeviceMessageCount } = (await ask(`https://${hub}/devices/${deviceId}`, {
        headers: { Authorization: ownerToken() },
      })) as { cloudToDeviceMessageCount: number }
      return cloudToDeviceMessageCount === 0
    }
    await expect.poll(isEmpty, { timeout: 30_000, interval: 200 }).toBe(true)
    for (const index of [3, 4]) await command(deviceId, index)
    const output = await running
    await expect.poll(isEmpty, { timeout: 30_000, interval: 200 }).toBe(true)
    return output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  }

  /** Over HTTP the SDK for Node gives no content type, and properties under the names of their headers. */
  const commandsOver = (transport: string): readonly unknown[] =>
    [1, 2, 3, 4].map((index) => ({
      body: `command ${index}`,
      messageId: `m-${index}`,
      correlationId: 'c/1 &=%',
      contentType: transport === 'http' ? null : 'text/plain',
      properties: expect.objectContaining({ [transport === 'http' ? 'iothub-app-level' : 'level']: 'v &=/%' }),
    }))

  test.each([...lastingTransports, 'http'])(
    "the hub's device SDK for Node over %s gets every command with its properties, in order [G-7]",
    async (transport) => {
      const deviceId = `commanded-${transport}`
      const { connectionString } = await device(deviceId)
      const got = await commanded(deviceId, () =>
        node([client('commanded-device.ts'), transport, connectionString, '4']),
      )
      expect(got).toEqual(commandsOver(transport))
    },
  )

  /** What services are told of the next file, which they are then done with. */
  async function fileNotification(): Promise<unknown> {
    const script = `const [url, headers] = JSON.parse(require('fs').readFileSync(0));
      const taken = await fetch(url, { headers }); const text = await taken.text();
      await fetch(url + '/' + taken.headers.get('etag').replaceAll('"', ''), { method: 'DELETE', headers }); console.log(text)`
    const url = `https://${hub}/messages/servicebound/filenotifications`
    return JSON.parse(await node(['-e', `(async () => {${script}})()`], [url, { Authorization: ownerToken() }]))
  }

  const notified = (deviceId: string, name: string, bytes: number): unknown =>
    expect.objectContaining({ deviceId, blobName: `${deviceId}/${name}`, blobSizeInBytes: bytes })

  test.each([
    ['in one request', 'small.txt', 5],
    ['in blocks, several at once', 'large & more/50 MiB + 1.bin', 50 * 1024 * 1024 + 1],
  ])("the hub's device SDK for Node uploads a file %s, and a service is told", async (_how, name, bytes) => {
    const deviceId = `uploads-${bytes}`
    const { connectionString } = await device(deviceId)
    expect(await node([client('upload-file.ts'), connectionString, name, String(bytes)])).toBe('uploaded\n')
    expect(await fileNotification()).toEqual(notified(deviceId, name, bytes))
    const [file = ''] = readdirSync(join(uploadsFolder, deviceId))
    expect(statSync(join(uploadsFolder, deviceId, file)).size).toBe(bytes)
    const event = `SELECT properties['blobName'] AS name, properties['bytes'] AS bytes FROM penstock.device_events WHERE device_id = '${deviceId}' AND event = 'fileUploaded' FORMAT JSON`
    const told = async () =>
      ((await ask(penstock.clickhouseUrl, { method: 'POST', body: event })) as { data: unknown[] }).data
    await expect.poll(told, { timeout: 30_000, interval: 200 }).toEqual([{ name, bytes: String(bytes) }])
  })

  describe.skipIf(python.skip)(`Python ${python.note}`, () => {
    test.each(pythonTransports)(
      "the hub's device SDK over %s gets every command with its properties, in order [G-7]",
      async (transport) => {
        const deviceId = `python-commanded-${transport}`
        const { connectionString } = await device(deviceId)
        const got = await commanded(deviceId, () =>
          inside.run(pythonForDevices, [client('commanded_device.py'), transport, connectionString, ca.caFile, '4']),
        )
        expect(got).toEqual(commandsOver(transport))
      },
    )

    test.each(pythonTransports)(
      "the hub's device SDK over %s answers methods, also after it connected anew without subscribing",
      async (transport) => {
        const { connectionString } = await device(`python-called-${transport}`)
        const answering = inside.run(pythonForDevices, [
          client('hub_methods.py'),
          ...[transport, connectionString, ca.caFile],
        ])
        const answers = await node([client('call-method.ts'), service, `python-called-${transport}`, '2'])
        expect(JSON.parse(answers)).toEqual([0, 1].map((echo) => ({ status: 200, payload: { echo } })))
        expect(await answering).toBe('answered\n')
      },
    )

    const run = (args: readonly string[]): Promise<string> =>
      inside.run(pythonForDevices, [client('hub_device.py'), ...args], { input: JSON.stringify(messages) })

    test.each(pythonTransports)("the hub's device SDK over %s: every message is a row", async (transport) => {
      const deviceId = `python-${transport}`
      const { connectionString } = await device(deviceId)
      expect(await run([transport, connectionString, ca.caFile])).toBe('sent\n')
      expect(await rows(deviceId, messages.length)).toEqual(stored)
    })

    test.each(pythonTransports)(
      "the hub's device SDK over %s with a certificate of a registered authority",
      async (transport) => {
        const { id, certFile, keyFile } = certificateOf(`python-x509-${transport}`)
        await device(id, { type: 'certificateAuthority' })
        expect(await run([transport, `${hub}/${id}`, ca.caFile, certFile, keyFile])).toBe('sent\n')
        expect(await rows(id, messages.length)).toEqual(stored)
      },
    )

    test("the hub's device SDK: a twin, and what changed of it while the device was away [G-8]", async () => {
      const { connectionString } = await device('twin-python')
      const follow = (target: string): Promise<string> =>
        inside.run(pythonForDevices, [client('hub_twin.py'), 'mqtt', target, ca.caFile], {
          input: JSON.stringify(reports),
        })
      const steps = await followTwin('twin-python', follow, connectionString)
      expect(steps.flatMap(({ reported = [] }) => reported)).toEqual([
        'committed',
        'committed',
        'ClientError',
        'committed',
      ])
      expect(told(steps)).toMatchObject({ level: 2, last: true, $version: 3 })
      await rest('PATCH', '/twins/twin-python', {
        properties: { desired: { level: null, away: { so: 'long' }, last: true } },
      })
      const again = await inside.run(pythonForDevices, [client('hub_twin.py'), 'mqtt', connectionString, ca.caFile], {
        input: '[]',
      })
      const patches = again
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as TwinStep)
      expect(told(patches)).toMatchObject({ level: null, away: { so: 'long' }, last: true, $version: 4 })
    })

    test("the hub's device SDK uploads a file, and a service is told", async () => {
      const { connectionString } = await device('uploads-python')
      const args = [client('upload_file.py'), connectionString, ca.caFile, 'größer als 1.txt']
      expect(await inside.run(pythonForDevices, args, { input: 'from Python' })).toBe('201\nnotified\n')
      expect(await fileNotification()).toEqual(notified('uploads-python', 'größer als 1.txt', 11))
    })

    test("the hub's device SDK is told of a wrong key", async () => {
      const sharedAccessKey = randomBytes(32).toString('base64')
      const connectionString = formatConnectionString({ hostName: hub, deviceId: 'nobody', sharedAccessKey })
      await expect(run(['mqtt', connectionString, ca.caFile])).rejects.toThrow(/CredentialError/)
    })
  })

  test.each([
    ['mqtts', '8883', '4'],
    ['mqtts', '8883', '5'],
    ['wss', '443/mqtt', '4'],
    ['wss', '443/$iothub/websocket', '5'],
  ])('MQTT.js at %s port %s, protocol level %s, with device id and key', async (scheme, port, version) => {
    const deviceId = `mqttjs-${scheme}-${version}`
    const { key } = await device(deviceId)
    const url = `${scheme}://${hub}:${port}`
    expect(await node([client('mqtt-device.ts'), url, version, deviceId, key], ['a', 'b'])).toBe('sent\n')
    expect((await rows(deviceId, 2)).map(({ body }) => body)).toEqual(['a', 'b'])
  })

  test.skipIf(mosquitto.skip).each(['mqttv311', 'mqttv5'])(
    `mosquitto_pub, %s, with device id and key ${mosquitto.note}`,
    async (version) => {
      const deviceId = `mosquitto-${version}`
      const { key } = await device(deviceId)
      const bodies = join(dataDir, `${deviceId}.txt`)
      writeFileSync(bodies, 'from a file')
      const args = ['-h', hub, '-p', '8883', '--cafile', ca.caFile, '-V', version, '-q', '1', '-i', deviceId]
      const who = ['-u', deviceId, '-P', key, '-t', `devices/${deviceId}/messages/events/a=b`, '-f', bodies]
      await inside.run(findMosquitto('mosquitto_pub') ?? '', [...args, ...who])
      expect(await rows(deviceId, 1)).toMatchObject([{ body: 'from a file', properties: { a: 'b' } }])
    },
  )

  test('a key sent without TLS from beyond loopback is refused, and the answer says what to mend', async () => {
    const { key } = await device('plain')
    const httpUrl = `http://${elsewhere}:${new URL(penstock.httpUrl).port}`
    const events = `${httpUrl}/devices/plain/messages/events`
    const sent = ask(events, { method: 'POST', headers: { Authorization: key }, body: 'x' })
    await expect(sent).rejects.toThrow(/401 .*IotHubUnauthorizedAccess.*over TLS only/)
    const headers = { Authorization: ownerToken() }
    await expect(ask(`${httpUrl}/devices/plain`, { headers })).rejects.toThrow(
      /401 .*IotHubUnauthorizedAccess.*over TLS only/,
    )
    await expect(ask(`${httpUrl}/api/noisiest`, { headers })).rejects.toThrow(/401 .*over TLS only/)
    for (const path of ['devices/plain', 'api/noisiest']) {
      await expect(ask(`https://${hub}/${path}`, { headers })).resolves.toBeDefined()
    }
    const mqttUrl = `mqtt://${elsewhere}:${new URL(penstock.mqttUrl).port}`
    for (const version of ['4', '5']) {
      await expect(node([client('mqtt-device.ts'), mqttUrl, version, 'plain', key], ['x'])).rejects.toThrow(
        /not authorized/i,
      )
    }
  })

  test('the audit log names the client whose request an edge passed on, and not whom it claims to be', async () => {
    const url = `http://${elsewhere}:${new URL(penstock.httpUrl).port}/devices/audited`
    await expect(ask(url, { headers: { 'X-Penstock-Client-Address': '192.0.2.1' } })).rejects.toThrow(/401/)
    await expect
      .poll(() => penstock.output())
      .toMatch(/audit: refused operation="?GET \/devices\/audited.* from=10\.9\.9\.9/)
  })

  test('clients of InfluxDB and OpenTelemetry, with id and key: rows that a query of the documents reads', async () => {
    const { key } = await device('press-7')
    expect(await node([client('point-senders.ts'), `https://${hub}`, 'press-7', key])).toMatch('sent')
    const [point, metric] = await rows('press-7', 2)
    expect(JSON.parse(point?.body ?? '')).toMatchObject({ measurement: 'boiler', fields: { temperature: 21.5 } })
    expect(JSON.parse(metric?.body ?? '')).toMatchObject({ metric: 'strokes', type: 'sum', value: 3 })
    const query = `${namedBlock('docs/SENDERS.md', 'points.sql')} FORMAT JSONCompact`
    const answer = (await ask(penstock.clickhouseUrl, { method: 'POST', body: query })) as { data: unknown[] }
    expect(answer.data).toEqual([['2026-01-31 12:00:00.000000000', 'a', 21.5]])
    await expect(node([client('point-senders.ts'), `https://${hub}`, 'press-7', 'd3Jvbmc='])).rejects.toThrow()
  })

  test('anyone with curl: a JSON array over HTTPS with id and key', async () => {
    const { key } = await device('curl')
    const url = `https://${hub}/devices/curl/messages/events?split=array`
    const body = JSON.stringify([{ t: 1 }, { t: 2 }])
    await ask(url, { method: 'POST', headers: { Authorization: key }, body })
    expect((await rows('curl', 2)).map((row) => row.body)).toEqual(['{"t":1}', '{"t":2}'])
  })
})
