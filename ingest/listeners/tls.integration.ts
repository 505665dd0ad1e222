/** MQTT over TLS on real sockets. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import hub from 'azure-iot-device'
import overMqtt from 'azure-iot-device-mqtt'
import mqtt from 'mqtt'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { formatConnectionString } from '#control/auth/connection-string.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { mqttInBytes } from '#ingest/protocols.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Credentials } from '#ingest/session/principal.ts'
import { makeCertificate } from '#runtime/certificate-maker.ts'
import { createLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import { type Listener, listen } from './listener.ts'
import { readTlsSecrets, type TlsFiles, warnOfValidity } from './tls-secrets.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-tls-'))
const times = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 3_600_000 }
const root = makeCertificate({ commonName: 'root', authority: true, ...times })
const middle = makeCertificate({ commonName: 'middle', authority: true, issuer: root, ...times })
const device = makeCertificate({ commonName: 'd1', issuer: middle, use: 'client', ...times })
const files = {
  certFile: join(folder, 'server.pem'),
  keyFile: join(folder, 'server.key'),
  ticketKeyFile: join(folder, 'own', 'ticket.key'),
}
const connectPacket = Buffer.from('100e00044d5154540402000000026431', 'hex')
const accepted = Buffer.from('20020000', 'hex')

const listeners: Listener[] = []
const sockets: { destroy(): void }[] = []
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const listener of listeners.splice(0)) listener.stopAccepting()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function writeServerCertificate(commonName: string): void {
  const made = makeCertificate({ commonName, hosts: ['localhost', '127.0.0.1'], issuer: root, use: 'server', ...times })
  writeFileSync(files.keyFile, made.privateKeyPem)
  writeFileSync(files.certFile, made.certificatePem)
}

const listenOn = (edge: EdgeContext, tls: TlsFiles) => listen(edge, mqttInBytes(edge), '127.0.0.1', 0, tls)

async function start() {
  const seen: Credentials[] = []
  const fixture = edgeFixture({
    authenticate: (credentials) => {
      seen.push(credentials)
      return { deviceId: credentials.clientId, moduleId: undefined, expiresAtMs: undefined }
    },
  })
  const listener = await listenOn(fixture.edge, files)
  listeners.push(listener)
  return { ...fixture, port: listener.port, seen }
}

async function open(
  port: number,
  options: ConnectionOptions = {},
  onSession: (session: Buffer) => void = () => {},
): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: root.certificatePem, ...options })
  sockets.push(socket)
  // TLS 1.2 sends the ticket within the handshake, TLS 1.3 after it.
  socket.on('session', onSession)
  await once(socket, 'secureConnect')
  return socket
}

/** Sends a CONNECT and waits for its CONNACK, by which time TLS 1.3 has sent its tickets too. */
async function hello(socket: TLSSocket): Promise<void> {
  socket.write(connectPacket)
  expect((await once(socket, 'data'))[0]).toEqual(accepted)
}

const onlyVersion = (version: 'TLSv1.2' | 'TLSv1.3') => ({ minVersion: version, maxVersion: version })

describe('MQTT over TLS', () => {
  writeServerCertificate('first')

  test.each([
    ['TLSv1.2', 4],
    ['TLSv1.3', 4],
    ['TLSv1.2', 5],
    ['TLSv1.3', 5],
  ] as const)('MQTT.js over %s at level %i: acknowledged when it is on the log [G-1]', async (version, level) => {
    const { port, log, seen } = await start()
    const client = await mqtt.connectAsync(`mqtts://localhost:${port}`, {
      clientId: 'd1',
      protocolVersion: level,
      ca: root.certificatePem,
      ...onlyVersion(version),
    })
    await client.publishAsync('devices/d1/messages/events/', 'secret', { qos: 1 })
    expect(log.envelopes().map(({ body }) => String(body))).toEqual(['secret'])
    expect(seen[0]).toMatchObject({ confidential: true, certificates: [] })
    await client.endAsync()
  })

  test("the hub's device SDK for Node: getTwin fails at once instead of waiting for ever, and telemetry goes on", async () => {
    const { port, log } = await start()
    const sharedAccessKey = Buffer.alloc(32, 1).toString('base64')
    const connectionString = formatConnectionString({ hostName: `localhost:${port}`, deviceId: 'd1', sharedAccessKey })
    const client = hub.Client.fromConnectionString(connectionString, overMqtt.Mqtt)
    await client.setOptions({ ca: root.certificatePem })
    await client.open()
    client.on('message', () => {})
    await expect(client.getTwin()).rejects.toThrow('keeps no twins')
    await client.sendEvent(new hub.Message('goes on'))
    expect(log.envelopes().map(({ body }) => String(body))).toEqual(['goes on'])
    await client.close()
  })

  test('TLS 1.1 is refused', async () => {
    const { port } = await start()
    await expect(
      open(port, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^(ERR_SSL|ECONNRESET)/) })
  })

  test('a client that speaks plain MQTT on the TLS port is closed, and the port goes on', async () => {
    const { port, edge } = await start()
    const plain = createConnection(port, '127.0.0.1')
    sockets.push(plain)
    plain.on('error', () => {})
    plain.write(connectPacket)
    await once(plain, 'close')
    expect(edge.connections.size).toBe(0)
    await hello(await open(port))
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    "%s: a client's chain reaches whoever decides, and anyone may show any",
    async (version) => {
      const { port, seen } = await start()
      const chain = { cert: device.certificatePem + middle.certificatePem, key: device.privateKeyPem }
      await hello(await open(port, { ...chain, ...onlyVersion(version) }))
      expect(seen[0]?.certificates.map(({ subject }) => subject)).toEqual(['CN=d1', 'CN=middle'])
      const stranger = makeCertificate({ commonName: 'stranger', ...times })
      const own = { cert: stranger.certificatePem, key: stranger.privateKeyPem }
      await hello(await open(port, { ...own, ...onlyVersion(version) }))
      expect(seen[1]?.certificates.map(({ subject }) => subject)).toEqual(['CN=stranger'])
    },
  )

  test('of a longer chain only as many certificates are read as are followed, and none twice', async () => {
    const authorities = [root]
    for (let depth = 1; depth <= limits.certificateChainMax + 1; depth++)
      authorities.unshift(
        makeCertificate({ commonName: `middle-${depth}`, authority: true, issuer: authorities[0], ...times }),
      )
    const leaf = makeCertificate({ commonName: 'd1', issuer: authorities[0], use: 'client', ...times })
    const { port, seen } = await start()
    const cert = [leaf, ...authorities].map(({ certificatePem }) => certificatePem).join('')
    await hello(await open(port, { cert, key: leaf.privateKeyPem }))
    expect(seen[0]?.certificates.map(({ subject }) => subject).slice(0, 2)).toEqual([
      'CN=d1',
      `CN=middle-${limits.certificateChainMax + 1}`,
    ])
    expect(seen[0]?.certificates.length).toBe(limits.certificateChainMax)
    const whole = [device, middle, root].map(({ certificatePem }) => certificatePem).join('')
    await hello(await open(port, { cert: whole, key: device.privateKeyPem }))
    expect(seen[1]?.certificates.map(({ subject }) => subject)).toEqual(['CN=d1', 'CN=middle', 'CN=root'])
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    '%s: a session is resumed at another edge that shares the ticket key, with the leaf of its certificate',
    async (version) => {
      const [first, second] = [await start(), await start()]
      const chain = { cert: device.certificatePem + middle.certificatePem, key: device.privateKeyPem }
      let session: Buffer | undefined
      const keep = (given: Buffer) => {
        session = given
      }
      await hello(await open(first.port, { ...chain, ...onlyVersion(version) }, keep))
      await expect.poll(() => session).toBeDefined()
      const again = await open(second.port, { ...chain, ...onlyVersion(version), session })
      expect(again.isSessionReused()).toBe(true)
      await hello(again)
      expect(second.seen[0]?.certificates.map(({ subject }) => subject)).toEqual(['CN=d1'])
    },
  )

  test('a replaced certificate is shown to new connections, open ones go on, and one that cannot be used changes nothing', async () => {
    writeServerCertificate('old')
    const { port, log } = await start()
    const before = await open(port)
    await hello(before)
    const shown = async () => {
      const socket = await open(port)
      const name = socket.getPeerCertificate().subject.CN
      socket.destroy()
      return name
    }
    expect(await shown()).toBe('old')
    writeFileSync(files.certFile, 'not a certificate')
    writeServerCertificate('renewed')
    await expect.poll(shown).toBe('renewed')
    before.write(Buffer.from('321f001b646576696365732f64312f6d657373616765732f6576656e74732f0001', 'hex'))
    await once(before, 'data')
    expect(log.envelopes().length).toBe(1)
  })

  test('files that cannot be used stop the start with their names', async () => {
    const broken = { ...files, certFile: join(folder, 'missing.pem') }
    await expect(listenOn(edgeFixture().edge, broken)).rejects.toMatchObject({
      code: 'TLS_FILES_INVALID',
      message: expect.stringContaining('missing.pem'),
    })
    writeFileSync(join(folder, 'other.key'), root.privateKeyPem)
    await expect(listenOn(edgeFixture().edge, { ...files, keyFile: join(folder, 'other.key') })).rejects.toMatchObject({
      code: 'TLS_FILES_INVALID',
    })
  })

  test('a certificate that is not valid now is told of when it is read, and again when it changes', async () => {
    const lines: string[] = []
    const own = { certFile: join(folder, 'own.pem'), keyFile: join(folder, 'own.key') }
    const write = (beginsMs: number, endsMs: number) => {
      const validity = { notBeforeMs: Date.now() + beginsMs, notAfterMs: Date.now() + endsMs }
      const made = makeCertificate({ commonName: 'localhost', use: 'server', issuer: root, ...validity })
      writeFileSync(own.keyFile, made.privateKeyPem)
      writeFileSync(own.certFile, made.certificatePem)
    }
    const hourMs = 3_600_000
    write(-2 * hourMs, -hourMs)
    const logger = createLogger('edge', 'warn', (line) => lines.push(line.replace(/^\S+ /, '')))
    listeners.push(await listenOn(edgeFixture({ logger }).edge, own))
    expect(lines).toEqual([expect.stringMatching(/^warn {2}edge: the certificate has expired.*own\.pem/)])
    write(hourMs, 2 * hourMs)
    await expect.poll(() => lines.at(-1)).toMatch(/is not valid yet.*own\.pem/)
    const told = lines.length
    warnOfValidity(files, Date.now(), logger)
    expect(lines.length).toBe(told)
  })

  test.each([
    ['TLSv1.3', 'P-256', 'secp384r1'],
    ['TLSv1.3', 'P-256', 'secp521r1'],
    ['TLSv1.3', 'P-384', 'prime256v1'],
    ['TLSv1.2', 'P-384', 'secp384r1'],
    ['TLSv1.2', 'P-256', 'prime256v1'],
  ] as const)(
    'a client of %s that has one curve only gets in: certificate on %s, client with %s',
    async (version, curve, ecdhCurve) => {
      const own = { certFile: join(folder, `${curve}.pem`), keyFile: join(folder, `${curve}.key`) }
      const made = makeCertificate({
        commonName: 'localhost',
        hosts: ['localhost'],
        use: 'server',
        issuer: root,
        curve,
        ...times,
      })
      writeFileSync(own.keyFile, made.privateKeyPem)
      writeFileSync(own.certFile, made.certificatePem)
      const listener = await listenOn(edgeFixture().edge, own)
      listeners.push(listener)
      await hello(await open(listener.port, { ecdhCurve, ...onlyVersion(version) }))
    },
  )

  test('the ticket key is made once, for its owner only, and renewed after a day', () => {
    const read = () => readTlsSecrets(files, Date.now()).ticketKeys
    const key = read()
    expect(key?.length).toBe(48)
    expect(read()).toEqual(key)
    expect(statSync(files.ticketKeyFile).mode & 0o777).toBe(0o600)
    const yesterday = Date.now() / 1000 - 24 * 3600
    utimesSync(files.ticketKeyFile, yesterday, yesterday)
    expect(read()).not.toEqual(key)
    expect(read()).toEqual(readFileSync(files.ticketKeyFile))
  })
})
